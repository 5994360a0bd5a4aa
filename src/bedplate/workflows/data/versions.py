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
    """One registered version: its S3 URI with a trailing slash, its manifest, and the manifest's stored bytes."""

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
    """Returns the S3 URI of a version's folder, with a trailing slash."""
    return f"s3://{stack.outputs.data_bucket}/{stack.names(model).dataset_versions_prefix}{sha256}/"


def list_versions(stack: StackContext, model: str) -> tuple[DataVersion, ...]:
    """Returns every registered version, newest first. Raises GateFailed for a corrupt manifest.

    A version without a signature is left out: its registration was interrupted, because the signature is written last.
    """
    stack.model(model)
    root = f"s3://{stack.outputs.data_bucket}/{stack.names(model).dataset_versions_prefix}"
    signature_uris = [info.uri for info in stack.objects.list(root) if info.uri.endswith(f"/{SIGNATURE}")]
    with ThreadPoolExecutor(MAX_READERS) as pool:
        loaded = pool.map(lambda uri: _read_version(stack, model, uri.removesuffix(SIGNATURE)), signature_uris)
        return tuple(sorted(loaded, key=lambda v: (v.manifest.registered_at, v.manifest.sha256), reverse=True))


def find_dataset_version(stack: StackContext, model: str, ref: str) -> DataVersion:
    """Returns the version whose content hash starts with `ref`, or the last accepted one for `latest`.

    Raises NotFound without a match, UsageError when `ref` is too short or ambiguous.
    """
    versions = list_versions(stack, model)
    next_step = f"bedplate data list {model}"
    if ref == LATEST:
        accepted = _latest_accepted(versions)
        if accepted is None:
            raise NotFound(
                f"{model} has no accepted dataset version", next_step=f"bedplate data register {model} --data FILE"
            )
        return accepted
    if len(ref) < MIN_HASH_DIGITS:
        raise UsageError(
            f"Expected `latest` or at least {MIN_HASH_DIGITS} digits of a content hash, found {ref!r}",
            next_step=next_step,
        )
    matches = [v for v in versions if v.manifest.sha256.startswith(ref.lower())]
    if not matches:
        raise NotFound(f"{model} has no dataset version whose hash starts with {ref!r}", next_step=next_step)
    if len(matches) > 1:
        raise UsageError(f"The hashes of {len(matches)} dataset versions start with {ref!r}", next_step=next_step)
    return matches[0]


def find_last_accepted(stack: StackContext, model: str, *, excluding: str | None = None) -> DataVersion | None:
    """Returns the newest accepted version, without the one whose hash is `excluding`."""
    return _latest_accepted(v for v in list_versions(stack, model) if v.manifest.sha256 != excluding)


def require_signature(stack: StackContext, version: DataVersion) -> None:
    """Raises GateFailed unless the stack's key signed the manifest, and the manifest's hash is that of its folder."""
    model, label = version.manifest.model, f"Version {version.short_hash} of {version.manifest.model}'s data"
    try:
        document = json.loads(stack.objects.get(f"{version.prefix}{SIGNATURE}"))
        signature = base64.b64decode(document["signature"], validate=True)
    except (NotFound, ValueError, KeyError, TypeError) as exc:
        raise GateFailed(f"{label} has no readable signature: {exc}", next_step=_register_again(model)) from exc
    stored_sha256 = version.prefix.rstrip("/").rpartition("/")[2]
    if version.manifest.sha256 != stored_sha256:
        raise GateFailed(
            f"{label} is stored under the hash of version {stored_sha256[:12]}", next_step=_register_again(model)
        )
    key = signing_key(stack)
    if not stack.signer.verify(key, bytes.fromhex(digest(version.manifest_bytes)), signature):
        raise GateFailed(
            f"{label}: its signature is not by {key}; the manifest was changed, or signed with another key",
            next_step=_register_again(model),
        )


def download_version(stack: StackContext, version: DataVersion) -> Path:
    """Downloads a version's data, verifies its signature and its hash, and returns the local file.

    The object is downloaded every time, because a cached copy would hide that it was changed. Raises GateFailed when
    the verification fails or the object is missing.
    """
    require_signature(stack, version)
    path = _cache_path(stack, version)
    try:
        stack.objects.download(version.data_uri, path)
    except NotFound as exc:
        raise GateFailed(
            f"{version.data_uri} does not exist, although its manifest does",
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
    """Returns the registered profile of each column. Raises GateFailed when it was changed since the registration."""
    from bedplate.domain.drift.profile import profile_from_json

    document = json.loads(_read_file(stack, version, PROFILE, version.manifest.profile_sha256))
    check_format(document, PROFILE, next_step=_register_again(version.manifest.model))
    return {name: profile_from_json(profile) for name, profile in document["columns"].items()}


def read_datasheet(stack: StackContext, version: DataVersion) -> Mapping[str, Any]:
    """Returns the datasheet. Raises GateFailed when it was changed since the registration."""
    datasheet: dict[str, Any] = json.loads(_read_file(stack, version, DATASHEET, version.manifest.datasheet_sha256))
    check_format(datasheet, DATASHEET, next_step=_register_again(version.manifest.model))
    return {key: value for key, value in datasheet.items() if key != "format"}


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
    """Returns one file of a version. Raises GateFailed when it does not exist or has another hash."""
    uri, next_step = f"{version.prefix}{name}", _register_again(version.manifest.model)
    try:
        content = stack.objects.get(uri)
    except NotFound as exc:
        raise GateFailed(f"{uri} does not exist, although its manifest does", next_step=next_step) from exc
    if digest(content) != expected_sha256:
        raise GateFailed(f"{uri} was changed after its registration", next_step=next_step)
    return content


def _read_version(stack: StackContext, model: str, prefix: str) -> DataVersion:
    try:
        manifest_bytes = stack.objects.get(f"{prefix}{MANIFEST}")
        return DataVersion(prefix, Manifest.decode(manifest_bytes), manifest_bytes)
    except (NotFound, ValueError) as exc:
        raise GateFailed(f"{prefix}{MANIFEST} cannot be read: {exc}", next_step=_register_again(model)) from exc


def _cache_path(stack: StackContext, version: DataVersion) -> Path:
    base = Path(os.environ.get("BEDPLATE_STATE_DIR") or stack.project_dir / ".bedplate")
    return base / "cache" / f"data-{version.manifest.sha256[:16]}{Path(version.manifest.file).suffix}"


def _register_again(model: str) -> str:
    return f"bedplate data register {model} --data FILE --again"
