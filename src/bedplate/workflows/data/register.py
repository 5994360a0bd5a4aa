"""Registers a file as a dataset version: checks it, compares it with the last accepted version, uploads and signs it.

The signature is written last: an interrupted registration does not count, and the same command completes it.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.domain.data.version import (
    DATASHEET,
    MANIFEST,
    PROFILE,
    SIGNATURE,
    Manifest,
    build_datasheet,
    canonical_json,
    contract_sha256,
    digest,
)
from bedplate.domain.documents import FORMAT
from bedplate.domain.ledger import format_iso_ms
from bedplate.errors import ApprovalNeeded
from bedplate.ports import Reporter
from bedplate.settings import ModelSpec, Purpose
from bedplate.workflows.data.check import DataReport, check_file, require_valid
from bedplate.workflows.data.files import DataFile, file_sha256, is_profiled
from bedplate.workflows.data.versions import (
    DataVersion,
    download_version,
    find_last_accepted,
    list_versions,
    read_profile,
    require_signature,
    signing_key,
    version_prefix,
)
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext

if TYPE_CHECKING:
    import pyarrow as pa

    from bedplate.domain.data.poisoning import Anomaly

MAX_WARNING = 300


@dataclass(frozen=True, slots=True)
class Registration:
    """The plan of a registration. `existing` is the registered version with the same bytes.

    `report` is None where `existing` was already checked against the same contract.
    """

    spec: ModelSpec
    file: DataFile
    sha256: str
    table: pa.Table
    report: DataReport | None
    anomalies: tuple[Anomaly, ...]
    parent: DataVersion | None
    existing: DataVersion | None


def plan(
    stack: StackContext,
    spec: ModelSpec,
    path: Path,
    reporter: Reporter,
    *,
    purpose: Purpose | None = None,
    again: bool = False,
) -> Registration:
    """Checks and compares the file; changes nothing. With `again`, an existing version of the same bytes is ignored.

    Raises NotFound, UsageError (not a table), GateFailed (the file violates the contract, or the existing version does
    not match its signature).
    """
    file = DataFile.open(path, next_step=f"bedplate data check {spec.name} --data <file.parquet>")
    sha256 = file_sha256(path)
    signing_key(stack)
    existing = (
        None if again else next((v for v in list_versions(stack, spec.name) if v.manifest.sha256 == sha256), None)
    )
    if existing:
        require_signature(stack, existing)
    is_checked = existing is not None and existing.manifest.contract_sha256 == contract_sha256(spec)
    if is_checked and not (purpose and _has_excluded_columns(spec, file, purpose)):
        return Registration(spec, file, sha256, file.table(spec.data), None, (), None, existing)
    reporter("step", {"text": f"Checking {path} against the data contract"})
    parent = find_last_accepted(stack, spec.name, excluding=sha256)
    report = check_file(
        stack,
        spec,
        path,
        purpose=purpose,
        against=parent.short_hash if parent else None,
        profile=read_profile(stack, parent) if parent else None,
    )
    require_valid(report)
    table = file.table(spec.data)
    if existing:
        return Registration(spec, file, sha256, table, report, (), None, existing)
    return Registration(
        spec, file, sha256, table, report, _find_anomalies(stack, spec, table, parent, reporter), parent, None
    )


def require_accepted(registration: Registration, accept: str | None) -> None:
    """Raises ApprovalNeeded when there are warnings and no reason to accept them was given."""
    existing = registration.existing
    warnings = existing.manifest.warnings if existing else tuple(map(str, registration.anomalies))
    if not warnings or accept or (existing and existing.manifest.is_accepted):
        return
    lines = "".join(f"\n  {warning}" for warning in warnings)
    count = "one anomaly" if len(warnings) == 1 else f"{len(warnings)} anomalies"
    raise ApprovalNeeded(
        f"{registration.file.path} has {count}:{lines}",
        next_step=f"look at the rows, then: bedplate data register {registration.spec.name} "
        f"--data {registration.file.path} "
        "--accept 'REASON'",
    )


def register(
    stack: StackContext, registration: Registration, reporter: Reporter, *, accept: str | None = None
) -> DataVersion:
    """Uploads, signs and records the data. An existing version is only updated with the reason in `accept`."""
    if registration.existing is None:
        return _register_new(stack, registration, reporter, accept)
    if accept and not registration.existing.manifest.is_accepted:
        accepted_at = format_iso_ms(stack.clock.now())
        manifest = replace(registration.existing.manifest, accept_reason=accept, accepted_at=accepted_at)
        version = _sign(stack, registration.existing.prefix, manifest)
        _record(stack, version, f"accepted despite {_count_warnings(manifest)}: {accept}")
        return version
    return registration.existing


def _find_anomalies(
    stack: StackContext, spec: ModelSpec, table: pa.Table, parent: DataVersion | None, reporter: Reporter
) -> tuple[Anomaly, ...]:
    from bedplate.domain.data.poisoning import find_anomalies

    previous = None
    if parent:
        reporter("step", {"text": f"Comparing with version {parent.short_hash}, the last accepted one"})
        parent_file = DataFile.open(download_version(stack, parent), next_step=f"bedplate data list {spec.name}")
        previous = parent_file.table(spec.data)
    return find_anomalies(table, spec.data, previous)


def _register_new(
    stack: StackContext, registration: Registration, reporter: Reporter, accept: str | None
) -> DataVersion:
    from bedplate.domain.drift.profiling import build_reference

    prefix = version_prefix(stack, registration.spec.name, registration.sha256)
    reporter("step", {"text": f"Registering data version {registration.sha256[:12]}"})
    profiled = [n for n in registration.table.column_names if is_profiled(registration.spec.data.columns[n])]
    profiles = {name: column.to_json() for name, column in build_reference(registration.table, profiled).items()}
    profile = canonical_json({"format": FORMAT, "columns": profiles})
    sheet = build_datasheet(registration.spec, columns=tuple(registration.table.column_names))
    now = format_iso_ms(stack.clock.now())
    name = "data.csv" if registration.file.is_text else "data.parquet"
    manifest = Manifest(
        model=registration.spec.name,
        sha256=registration.sha256,
        file=name,
        size=registration.file.path.stat().st_size,
        rows=registration.table.num_rows,
        schema_sha256=digest(str(registration.table.schema.remove_metadata()).encode()),
        contract_sha256=contract_sha256(registration.spec),
        datasheet_sha256=digest(sheet),
        profile_sha256=digest(profile),
        parent=registration.parent.manifest.sha256 if registration.parent else None,
        registered_at=now,
        registered_by=stack.identity.actor,
        warnings=tuple(str(s)[:MAX_WARNING] for s in registration.anomalies),
        accept_reason=accept if registration.anomalies else None,
        accepted_at=now if accept or not registration.anomalies else "",
    )
    stack.objects.upload(registration.file.path, f"{prefix}{name}")
    stack.objects.put(f"{prefix}{DATASHEET}", sheet, content_type="application/json")
    stack.objects.put(f"{prefix}{PROFILE}", profile, content_type="application/json")
    version = _sign(stack, prefix, manifest)
    _record(stack, version, f"{manifest.rows:,} rows, {_count_warnings(manifest)}")
    return version


def _sign(stack: StackContext, prefix: str, manifest: Manifest) -> DataVersion:
    raw, key = manifest.encode(), signing_key(stack)
    signature = stack.signer.sign(key, bytes.fromhex(digest(raw)))
    document = {"key": key, "manifest_sha256": digest(raw), "signature": base64.b64encode(signature).decode()}
    stack.objects.put(f"{prefix}{MANIFEST}", raw, content_type="application/json")
    stack.objects.put(f"{prefix}{SIGNATURE}", json.dumps(document).encode(), content_type="application/json")
    return DataVersion(prefix, manifest, raw)


def _record(stack: StackContext, version: DataVersion, detail: str) -> None:
    manifest = version.manifest
    Ledger.of(stack).record(
        "data-registered",
        f"data {version.short_hash} of {manifest.model} registered: {detail}",
        actor=stack.identity.actor,
        model=manifest.model,
        data={
            "sha256": manifest.sha256,
            "uri": version.data_uri,
            "manifest_sha256": digest(version.manifest_bytes),
            "rows": manifest.rows,
            "parent": manifest.parent,
            "warnings": list(manifest.warnings),
            "accepted": manifest.accept_reason,
        },
    )


def _has_excluded_columns(spec: ModelSpec, file: DataFile, purpose: Purpose) -> bool:
    return any(name in file.columns for name in spec.data.excluded_columns(purpose))


def _count_warnings(manifest: Manifest) -> str:
    number = len(manifest.warnings)
    return "no warning" if number == 0 else "one warning" if number == 1 else f"{number} warnings"
