"""Finds registered versions of a model's data, and says whether one is what was signed."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedplate.domain.data.version import (
    DATASHEET,
    MANIFEST,
    MIN_PREFIX,
    PROFILE,
    SIGNATURE,
    Manifest,
    digest,
)
from bedplate.errors import GateFailed, NotFound, UsageError
from bedplate.workflows.data.files import file_sha256
from bedplate.workflows.stack_context import StackContext

if TYPE_CHECKING:
    from bedplate.domain.drift.profile import ColumnProfile

READERS = 16
LATEST = "latest"


@dataclass(frozen=True, slots=True)
class DataVersion:
    """One registered version: where it lies, what its manifest says, and the manifest's bytes as they are stored."""

    prefix: str
    manifest: Manifest
    raw: bytes

    @property
    def data_uri(self) -> str:
        return f"{self.prefix}{self.manifest.file}"

    @property
    def short(self) -> str:
        return self.manifest.sha256[:12]


def prefix_of(stack: StackContext, model: str, sha256: str) -> str:
    return f"s3://{stack.outputs.data_bucket}/{stack.names(model).dataset_versions_prefix}{sha256}/"


def versions(stack: StackContext, model: str) -> tuple[DataVersion, ...]:
    """Every version whose registration was completed, newest first. Raises GateFailed for an illegible manifest."""
    stack.model(model)
    root = f"s3://{stack.outputs.data_bucket}/{stack.names(model).dataset_versions_prefix}"
    signed = [info.uri for info in stack.objects.list(root) if info.uri.endswith(f"/{SIGNATURE}")]
    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(lambda uri: _read(stack, model, uri.removesuffix(SIGNATURE)), signed))
    return tuple(sorted(found, key=lambda v: (v.manifest.registered_at, v.manifest.sha256), reverse=True))


def find(stack: StackContext, model: str, name: str) -> DataVersion:
    """The version with this content hash or the beginning of it, or the last accepted one for `latest`.

    Raises NotFound, UsageError when the beginning is too short or belongs to several.
    """
    held = versions(stack, model)
    here = f"bedplate data list {model}"
    if name == LATEST:
        accepted = _standard(held)
        if accepted is None:
            raise NotFound(
                f"{model} has no accepted version of its data", next_step=f"bedplate data register {model} --data FILE"
            )
        return accepted
    if len(name) < MIN_PREFIX:
        raise UsageError(
            f"{name!r}: at least {MIN_PREFIX} digits of a content hash, or latest, expected", next_step=here
        )
    found = [v for v in held if v.manifest.sha256.startswith(name.lower())]
    if not found:
        raise NotFound(f"{model} has no version of its data that begins with {name}", next_step=here)
    if len(found) > 1:
        raise UsageError(f"{len(found)} versions of {model}'s data begin with {name}", next_step=here)
    return found[0]


def last_accepted(stack: StackContext, model: str, *, but: str | None = None) -> DataVersion | None:
    """The newest version that is a standard for others, other than `but`."""
    return _standard(v for v in versions(stack, model) if v.manifest.sha256 != but)


def must_be_signed(stack: StackContext, version: DataVersion) -> None:
    """Raises GateFailed unless the manifest is what the platform's key signed."""
    model, what = version.manifest.model, f"Version {version.short} of {version.manifest.model}'s data"
    try:
        told = json.loads(stack.objects.get(f"{version.prefix}{SIGNATURE}"))
        signature = base64.b64decode(told["signature"], validate=True)
    except (NotFound, ValueError, KeyError, TypeError) as exc:
        raise GateFailed(f"{what} has no signature that can be read: {exc}", next_step=_anew(model)) from exc
    named = version.prefix.rstrip("/").rpartition("/")[2]
    if version.manifest.sha256 != named:
        raise GateFailed(f"{what} lies where version {named[:12]} belongs", next_step=_anew(model))
    key = signing_key(stack)
    if not stack.signer.verify(key, bytes.fromhex(digest(version.raw)), signature):
        raise GateFailed(
            f"{what}: its manifest is not what {key} signed; somebody changed it, or it was signed by another key",
            next_step=_anew(model),
        )


def fetch(stack: StackContext, version: DataVersion) -> Path:
    """A local copy of the data, of a version whose signature holds and whose bytes are those that were signed.

    The object is read anew every time: a copy from before would hide that it was changed. Raises GateFailed.
    """
    must_be_signed(stack, version)
    path = _cached(stack, version)
    try:
        stack.objects.download(version.data_uri, path)
    except NotFound as exc:
        raise GateFailed(
            f"{version.data_uri} is gone, though its manifest is there", next_step=_anew(version.manifest.model)
        ) from exc
    found = file_sha256(path)
    if found != version.manifest.sha256:
        path.unlink()
        raise GateFailed(
            f"{version.data_uri} is not the data that was registered: its content hashes to {found[:12]}, "
            f"{version.short} was signed by {version.manifest.registered_by} on {version.manifest.registered_at[:10]}",
            next_step=_anew(version.manifest.model),
        )
    return path


def profile_of(stack: StackContext, version: DataVersion) -> dict[str, ColumnProfile]:
    """Profiles of the columns as they were registered. Raises GateFailed when they were changed since."""
    from bedplate.domain.drift.profile import profile_from_json

    raw = _part(stack, version, PROFILE, version.manifest.profile_sha256)
    return {name: profile_from_json(found) for name, found in json.loads(raw).items()}


def datasheet(stack: StackContext, version: DataVersion) -> Mapping[str, Any]:
    """What is told of the data's origin. Raises GateFailed when it was changed since."""
    sheet: dict[str, Any] = json.loads(_part(stack, version, DATASHEET, version.manifest.datasheet_sha256))
    return sheet


def signing_key(stack: StackContext) -> str:
    """Raises NotFound on a stack that has none yet."""
    if not stack.outputs.signing_key_arn:
        raise NotFound(
            f"Stack {stack.name!r} has no key that signs datasets yet", next_step=f"bedplate up --stack {stack.name}"
        )
    return stack.outputs.signing_key_arn


def _standard(held: Iterable[DataVersion]) -> DataVersion | None:
    accepted = [v for v in held if v.manifest.is_accepted]
    return max(accepted, key=lambda v: (v.manifest.accepted_at, v.manifest.sha256), default=None)


def _part(stack: StackContext, version: DataVersion, name: str, expected: str) -> bytes:
    try:
        raw = stack.objects.get(f"{version.prefix}{name}")
    except NotFound as exc:
        raise GateFailed(f"{version.prefix}{name} is gone", next_step=_anew(version.manifest.model)) from exc
    if digest(raw) != expected:
        raise GateFailed(
            f"{version.prefix}{name} was changed since it was registered", next_step=_anew(version.manifest.model)
        )
    return raw


def _read(stack: StackContext, model: str, prefix: str) -> DataVersion:
    try:
        raw = stack.objects.get(f"{prefix}{MANIFEST}")
        return DataVersion(prefix, Manifest.decode(raw), raw)
    except (NotFound, ValueError) as exc:
        raise GateFailed(f"{prefix}{MANIFEST} cannot be read: {exc}", next_step=_anew(model)) from exc


def _cached(stack: StackContext, version: DataVersion) -> Path:
    base = Path(os.environ.get("BEDPLATE_STATE_DIR") or stack.project_dir / ".bedplate")
    return base / "cache" / f"data-{version.manifest.sha256[:16]}{Path(version.manifest.file).suffix}"


def _anew(model: str) -> str:
    return f"bedplate data register {model} --data FILE --again"
