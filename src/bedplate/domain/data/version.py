"""What is kept of a registered dataset: its manifest, which is signed, its datasheet, and where each of them lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bedplate.settings import ModelSpec

FORMAT = 1
MANIFEST, SIGNATURE, DATASHEET, PROFILE = "manifest.json", "signature.json", "datasheet.json", "profile.json"
MIN_PREFIX = 6
"""Digits of a content hash that people may name a version by."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the signature vouches for. `sha256` is the file's own, byte by byte, and the version's name.

    `warnings` are what the poisoning checks said; `accepted` is why they were overruled. A version with warnings that
    nobody overruled is kept, and is nobody's standard. `parent` is the accepted version that it was compared with.
    """

    model: str
    sha256: str
    file: str
    size: int
    rows: int
    schema_sha256: str
    contract_sha256: str
    datasheet_sha256: str
    profile_sha256: str
    parent: str | None
    registered_at: str
    registered_by: str
    warnings: tuple[str, ...]
    accepted: str | None
    accepted_at: str
    """When it became a standard for others: at registration, or when somebody overruled the warnings; else empty."""
    format: int = FORMAT

    @property
    def is_accepted(self) -> bool:
        return bool(self.accepted_at)

    @property
    def status(self) -> str:
        if not self.warnings:
            return "accepted"
        return "accepted in spite of warnings" if self.accepted else "with warnings"

    def encode(self) -> bytes:
        """The bytes that are stored and signed: canonical JSON."""
        return canonical(asdict(self))

    @classmethod
    def decode(cls, raw: bytes) -> Manifest:
        """Raises ValueError for anything that `encode` did not write."""
        try:
            found = json.loads(raw)
            return cls(**{**found, "warnings": tuple(found["warnings"])})
        except (TypeError, KeyError) as exc:
            raise ValueError(f"no manifest of a dataset: {exc}") from exc


def datasheet_of(spec: ModelSpec, *, columns: tuple[str, ...]) -> bytes:
    """The datasheet as JSON: what model.yaml says of the data, and what follows from its contract."""
    sheet = {
        "model": spec.name,
        "owner": spec.owner,
        **spec.data.datasheet.model_dump(),
        "privacy_class": spec.data.privacy_class,
        "retention_days": spec.data.retention_days,
        "columns": {
            name: c.model_dump(mode="json", include={"type", "role", "privacy", "purposes", "description"})
            for name, c in spec.data.columns.items()
            if name in columns
        },
    }
    return json.dumps(sheet, indent=2, ensure_ascii=False).encode()


def contract_sha256(spec: ModelSpec) -> str:
    return digest(spec.data.model_dump_json().encode())


def canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
