"""Finds a model's registered dataset versions and verifies their signatures."""

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
    MIN_HASH_DIGITS,
    PROFILE,
    SIGNATURE,
    Manifest,
    digest,
)
from bedplate.domain.documents import check_format
from bedplate.errors import GateFailed, NotFound, UsageError
from bedplate.workflows.data.files import file_sha256
from bedplate.workflows.stack_context import StackContext

if TYPE_CHECKING:
    from bedplate.domain.drift.profile import ColumnProfile

MAX_READERS = 16
LATEST = "latest"


@dataclass(frozen=True, slots=True)
class DataVersion:
    """One registered version: its S3 prefix, its manifest, and the manifest's stored bytes."""

    prefix: str
    manifest: Manifest
    manifest_bytes: bytes

    @property
    def data_uri(self) -> str:
        return f"{self.prefix}{self.manifest.file}"

    @property
    def short_hash(self) -> str:
        return self.manifest.sha256[:12]


def version_prefix(stack: StackContext, model: str, sha256: str) -> str:
    return f"s3://{stack.outputs.data_bucket}/{stack.names(model).dataset_versions_prefix}{sha256}/"


def list_versions(stack: StackContext, model: str) -> tuple[DataVersion, ...]:
    """Returns every completely registered version, newest first. Raises GateFailed for a corrupt manifest."""
    stack.model(model)
    root = f"s3://{stack.outputs.data_bucket}/{stack.names(model).dataset_versions_prefix}"
    signature_uris = [info.uri for info in stack.objects.list(root) if info.uri.endswith(f"/{SIGNATURE}")]
    with ThreadPoolExecutor(MAX_READERS) as pool:
        loaded = pool.map(lambda uri: _read_version(stack, model, uri.removesuffix(SIGNATURE)), signature_uris)
        return tuple(sorted(loaded, key=lambda v: (v.manifest.registered_at, v.manifest.sha256), reverse=True))


def find_dataset_version(stack: StackContext, model: str, ref: str) -> DataVersion:
    """Returns the version whose content hash begins with `ref`, or the last accepted one for `latest`.

    Raises NotFound, and UsageError when the prefix is too short or ambiguous.
    """
    versions = list_versions(stack, model)
    next_step = f"bedplate data list {model}"
    if ref == LATEST:
        accepted = _latest_accepted(versions)
        if accepted is None:
            raise NotFound(
                f"{model} has no accepted version of its data", next_step=f"bedplate data register {model} --data FILE"
            )
        return accepted
    if len(ref) < MIN_HASH_DIGITS:
        raise UsageError(
            f"{ref!r}: expected `latest` or at least {MIN_HASH_DIGITS} digits of a content hash", next_step=next_step
        )
    matches = [v for v in versions if v.manifest.sha256.startswith(ref.lower())]
    if not matches:
        raise NotFound(f"{model} has no version of its data that begins with {ref}", next_step=next_step)
    if len(matches) > 1:
        raise UsageError(f"{len(matches)} versions of {model}'s data begin with {ref}", next_step=next_step)
    return matches[0]


def find_last_accepted(stack: StackContext, model: str, *, excluding: str | None = None) -> DataVersion | None:
    """Returns the newest accepted version, without the one whose hash is `excluding`."""
    return _latest_accepted(v for v in list_versions(stack, model) if v.manifest.sha256 != excluding)


def require_signature(stack: StackContext, version: DataVersion) -> None:
    """Raises GateFailed unless the platform's key signed the manifest."""
    model, label = version.manifest.model, f"Version {version.short_hash} of {version.manifest.model}'s data"
    try:
        document = json.loads(stack.objects.get(f"{version.prefix}{SIGNATURE}"))
        signature = base64.b64decode(document["signature"], validate=True)
    except (NotFound, ValueError, KeyError, TypeError) as exc:
        raise GateFailed(f"{label} has no readable signature: {exc}", next_step=_register_again(model)) from exc
    stored_sha256 = version.prefix.rstrip("/").rpartition("/")[2]
    if version.manifest.sha256 != stored_sha256:
        raise GateFailed(
            f"{label} is stored in the place of version {stored_sha256[:12]}", next_step=_register_again(model)
        )
    key = signing_key(stack)
    if not stack.signer.verify(key, bytes.fromhex(digest(version.manifest_bytes)), signature):
        raise GateFailed(
            f"{label}: {key} did not sign this manifest; it was changed, or signed with another key",
            next_step=_register_again(model),
        )


def download_version(stack: StackContext, version: DataVersion) -> Path:
    """Downloads a version's data and verifies its signature and its hash. Raises GateFailed.

    The object is downloaded every time, because a cached copy would hide that it was changed.
    """
    require_signature(stack, version)
    path = _cache_path(stack, version)
    try:
        stack.objects.download(version.data_uri, path)
    except NotFound as exc:
        raise GateFailed(
            f"{version.data_uri} is missing, although its manifest exists",
            next_step=_register_again(version.manifest.model),
        ) from exc
    actual_sha256 = file_sha256(path)
    if actual_sha256 != version.manifest.sha256:
        path.unlink()
        raise GateFailed(
            f"{version.data_uri} was changed after its registration: its hash is {actual_sha256[:12]}, and "
            f"{version.manifest.registered_by} signed {version.short_hash} on {version.manifest.registered_at[:10]}",
            next_step=_register_again(version.manifest.model),
        )
    return path


def read_profile(stack: StackContext, version: DataVersion) -> dict[str, ColumnProfile]:
    """Returns the registered profile of each column. Raises GateFailed when it was changed since."""
    from bedplate.domain.drift.profile import profile_from_json

    raw = _read_file(stack, version, PROFILE, version.manifest.profile_sha256)
    document = json.loads(raw)
    check_format(document, PROFILE, next_step=_register_again(version.manifest.model))
    return {name: profile_from_json(profile) for name, profile in document["columns"].items()}


def read_datasheet(stack: StackContext, version: DataVersion) -> Mapping[str, Any]:
    """Returns the datasheet. Raises GateFailed when it was changed since the registration."""
    sheet: dict[str, Any] = json.loads(_read_file(stack, version, DATASHEET, version.manifest.datasheet_sha256))
    check_format(sheet, DATASHEET, next_step=_register_again(version.manifest.model))
    return {key: value for key, value in sheet.items() if key != "format"}


def signing_key(stack: StackContext) -> str:
    """Returns the ARN of the key that signs datasets. Raises NotFound on a stack without one."""
    if not stack.outputs.signing_key_arn:
        raise NotFound(
            f"Stack {stack.name!r} has no key for signing datasets yet", next_step=f"bedplate up --stack {stack.name}"
        )
    return stack.outputs.signing_key_arn


def _latest_accepted(versions: Iterable[DataVersion]) -> DataVersion | None:
    accepted = [v for v in versions if v.manifest.is_accepted]
    return max(accepted, key=lambda v: (v.manifest.accepted_at, v.manifest.sha256), default=None)


def _read_file(stack: StackContext, version: DataVersion, name: str, expected_sha256: str) -> bytes:
    try:
        raw = stack.objects.get(f"{version.prefix}{name}")
    except NotFound as exc:
        raise GateFailed(
            f"{version.prefix}{name} is missing", next_step=_register_again(version.manifest.model)
        ) from exc
    if digest(raw) != expected_sha256:
        raise GateFailed(
            f"{version.prefix}{name} was changed since it was registered",
            next_step=_register_again(version.manifest.model),
        )
    return raw


def _read_version(stack: StackContext, model: str, prefix: str) -> DataVersion:
    try:
        raw = stack.objects.get(f"{prefix}{MANIFEST}")
        return DataVersion(prefix, Manifest.decode(raw), raw)
    except (NotFound, ValueError) as exc:
        raise GateFailed(f"{prefix}{MANIFEST} cannot be read: {exc}", next_step=_register_again(model)) from exc


def _cache_path(stack: StackContext, version: DataVersion) -> Path:
    base = Path(os.environ.get("BEDPLATE_STATE_DIR") or stack.project_dir / ".bedplate")
    return base / "cache" / f"data-{version.manifest.sha256[:16]}{Path(version.manifest.file).suffix}"


def _register_again(model: str) -> str:
    return f"bedplate data register {model} --data FILE --again"
