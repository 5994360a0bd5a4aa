"""The documents of a registered version of data: the signed manifest, the datasheet, and their file names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bedplate.domain.documents import FORMAT, check_format
from bedplate.settings import ModelSpec

MANIFEST, SIGNATURE, DATASHEET, PROFILE = "manifest.json", "signature.json", "datasheet.json", "profile.json"
MIN_HASH_DIGITS = 6
"""Fewest digits of a content hash that identify a version on the command line."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The signed description of a version. `sha256` is the hash of the file's bytes and the name of the version.

    `warnings` are anomalies that were found; `accept_reason` is why a person accepted the version in spite of them. A
    version with warnings that nobody accepted is stored, but later versions are not compared with it. `parent` is the
    accepted version that this one was compared with.
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
    accept_reason: str | None
    accepted_at: str
    """When the version was accepted: at registration without warnings, or when a person accepted it; else empty."""
    format: int = FORMAT

    @property
    def is_accepted(self) -> bool:
        return bool(self.accepted_at)

    @property
    def status(self) -> str:
        if not self.warnings:
            return "accepted"
        return "accepted in spite of warnings" if self.accept_reason else "with warnings"

    def encode(self) -> bytes:
        """Returns the bytes that are stored and signed: canonical JSON."""
        return canonical_json(asdict(self))

    @classmethod
    def decode(cls, raw: bytes) -> Manifest:
        """Raises UnsupportedFormat for another format, ValueError for anything that `encode` did not write."""
        try:
            document = json.loads(raw)
            check_format(document, MANIFEST)
            return cls(**{**document, "warnings": tuple(document["warnings"])})
        except (TypeError, KeyError) as exc:
            raise ValueError(f"not a manifest of a dataset: {exc}") from exc


def build_datasheet(spec: ModelSpec, *, columns: tuple[str, ...]) -> bytes:
    """Returns the datasheet as JSON: the entries of model.yaml on the data, and what follows from its contract."""
    sheet = {
        "format": FORMAT,
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
    """Returns the hash of the spec's data contract."""
    return digest(spec.data.model_dump_json().encode())


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """Returns JSON with sorted keys and without white space: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(body: bytes) -> str:
    """Returns the SHA-256 of the bytes as 64 hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()
