"""Registers a file as a version of a model's data: checked, compared with the last accepted one, uploaded, signed.

The signature is written last, so a registration that was cut short is none, and the same command completes it.
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
    canonical,
    contract_sha256,
    datasheet_of,
    digest,
)
from bedplate.domain.ledger import iso_ms
from bedplate.errors import ApprovalNeeded
from bedplate.ports import Reporter
from bedplate.settings import ModelSpec, Purpose
from bedplate.workflows.data.check import DataReport, check_file, must_fit
from bedplate.workflows.data.files import DataFile, file_sha256
from bedplate.workflows.data.versions import (
    DataVersion,
    fetch,
    last_accepted,
    must_be_signed,
    prefix_of,
    profile_of,
    signing_key,
    versions,
)
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext

if TYPE_CHECKING:
    import pyarrow as pa

    from bedplate.domain.data.poisoning import Anomaly

MAX_WARNING = 300


@dataclass(frozen=True, slots=True)
class Registration:
    """What was found, before anything is changed. `held` is the version that there is already of these very bytes.

    `report` is None where the same contract was checked when `held` was registered.
    """

    spec: ModelSpec
    file: DataFile
    sha256: str
    table: pa.Table
    report: DataReport | None
    suspicions: tuple[Anomaly, ...]
    parent: DataVersion | None
    held: DataVersion | None


def plan(
    stack: StackContext,
    spec: ModelSpec,
    path: Path,
    reporter: Reporter,
    *,
    purpose: Purpose | None = None,
    again: bool = False,
) -> Registration:
    """Check the file, compare it, change nothing. With `again` nothing that is kept of these bytes is believed.

    Raises NotFound, UsageError (no such file, not a table), GateFailed (it breaks the contract, or a version that is
    kept is not what was signed).
    """
    file = DataFile.open(path, next_step=f"bedplate data check {spec.name} --data <file.parquet>")
    sha256 = file_sha256(path)
    signing_key(stack)
    held = None if again else next((v for v in versions(stack, spec.name) if v.manifest.sha256 == sha256), None)
    if held:
        must_be_signed(stack, held)
    known = held is not None and held.manifest.contract_sha256 == contract_sha256(spec)
    if known and not (purpose and _forbidden_here(spec, file, purpose)):
        return Registration(spec, file, sha256, file.table(spec.data), None, (), None, held)
    reporter("step", {"text": f"Checking {path} against the data contract"})
    parent = last_accepted(stack, spec.name, but=sha256)
    report = check_file(
        stack,
        spec,
        path,
        purpose=purpose,
        against=parent.short if parent else None,
        profile=profile_of(stack, parent) if parent else None,
    )
    must_fit(report)
    table = file.table(spec.data)
    if held:
        return Registration(spec, file, sha256, table, report, (), None, held)
    return Registration(
        spec, file, sha256, table, report, _suspicions(stack, spec, table, parent, reporter), parent, None
    )


def must_be_unsuspicious(found: Registration, accept: str | None) -> None:
    """Raises ApprovalNeeded when there are warnings and nobody says why they are no reason to refuse."""
    warnings = found.held.manifest.warnings if found.held else tuple(map(str, found.suspicions))
    overruled = found.held is not None and found.held.manifest.is_accepted
    if not warnings or accept or overruled:
        return
    lines = "".join(f"\n  {warning}" for warning in warnings)
    count = "one thing that is" if len(warnings) == 1 else f"{len(warnings)} things that are"
    raise ApprovalNeeded(
        f"{found.file.path} holds {count} suspicious:{lines}",
        next_step=f"look at the rows, then: bedplate data register {found.spec.name} --data {found.file.path} "
        "--accept 'REASON'",
    )


def register(stack: StackContext, found: Registration, reporter: Reporter, *, accept: str | None = None) -> DataVersion:
    """Upload, sign, record. Of bytes that are registered already nothing, or only why their warnings are overruled."""
    if found.held is None:
        return _new(stack, found, reporter, accept)
    if accept and not found.held.manifest.is_accepted:
        manifest = replace(found.held.manifest, accepted=accept, accepted_at=iso_ms(stack.clock.now()))
        version = _sign(stack, found.held.prefix, manifest)
        _record(stack, version, f"accepted in spite of {_count(manifest)}: {accept}")
        return version
    return found.held


def _suspicions(
    stack: StackContext, spec: ModelSpec, table: pa.Table, parent: DataVersion | None, reporter: Reporter
) -> tuple[Anomaly, ...]:
    from bedplate.domain.data.poisoning import suspicions

    previous = None
    if parent:
        reporter("step", {"text": f"Comparing it with version {parent.short}, the last that was accepted"})
        here = DataFile.open(fetch(stack, parent), next_step=f"bedplate data list {spec.name}")
        previous = here.table(spec.data)
    return suspicions(table, spec.data, previous)


def _new(stack: StackContext, found: Registration, reporter: Reporter, accept: str | None) -> DataVersion:
    from bedplate.domain.drift.kernel import reference_of

    prefix = prefix_of(stack, found.spec.name, found.sha256)
    reporter("step", {"text": f"Registering version {found.sha256[:12]} of the data"})
    profiled = [n for n in found.table.column_names if _is_profiled(found.spec, n)]
    profile = canonical({n: p.to_json() for n, p in reference_of(found.table, profiled).items()})
    sheet = datasheet_of(found.spec, columns=tuple(found.table.column_names))
    now = iso_ms(stack.clock.now())
    name = "data.csv" if found.file.text else "data.parquet"
    manifest = Manifest(
        model=found.spec.name,
        sha256=found.sha256,
        file=name,
        size=found.file.path.stat().st_size,
        rows=found.table.num_rows,
        schema_sha256=digest(str(found.table.schema.remove_metadata()).encode()),
        contract_sha256=contract_sha256(found.spec),
        datasheet_sha256=digest(sheet),
        profile_sha256=digest(profile),
        parent=found.parent.manifest.sha256 if found.parent else None,
        registered_at=now,
        registered_by=stack.identity.person,
        warnings=tuple(str(s)[:MAX_WARNING] for s in found.suspicions),
        accepted=accept if found.suspicions else None,
        accepted_at=now if accept or not found.suspicions else "",
    )
    stack.objects.upload(found.file.path, f"{prefix}{name}")
    stack.objects.put(f"{prefix}{DATASHEET}", sheet, content_type="application/json")
    stack.objects.put(f"{prefix}{PROFILE}", profile, content_type="application/json")
    version = _sign(stack, prefix, manifest)
    _record(stack, version, f"{manifest.rows:,} rows, {_count(manifest)}")
    return version


def _sign(stack: StackContext, prefix: str, manifest: Manifest) -> DataVersion:
    raw, key = manifest.encode(), signing_key(stack)
    signature = stack.signer.sign(key, bytes.fromhex(digest(raw)))
    told = {"key": key, "manifest_sha256": digest(raw), "signature": base64.b64encode(signature).decode()}
    stack.objects.put(f"{prefix}{MANIFEST}", raw, content_type="application/json")
    stack.objects.put(f"{prefix}{SIGNATURE}", json.dumps(told).encode(), content_type="application/json")
    return DataVersion(prefix, manifest, raw)


def _record(stack: StackContext, version: DataVersion, what: str) -> None:
    manifest = version.manifest
    Ledger.of(stack).record(
        "registered-data",
        f"data {version.short} of {manifest.model} registered: {what}",
        actor=stack.identity.person,
        model=manifest.model,
        data={
            "sha256": manifest.sha256,
            "uri": version.data_uri,
            "manifest_sha256": digest(version.raw),
            "rows": manifest.rows,
            "parent": manifest.parent,
            "warnings": list(manifest.warnings),
            "accepted": manifest.accepted,
        },
    )


def _is_profiled(spec: ModelSpec, name: str) -> bool:
    column = spec.data.columns[name]
    return column.role not in ("key", "time") and column.type != "timestamp"


def _forbidden_here(spec: ModelSpec, file: DataFile, purpose: Purpose) -> bool:
    return any(name in file.columns for name in spec.data.forbidden_for(purpose))


def _count(manifest: Manifest) -> str:
    number = len(manifest.warnings)
    return "no warning" if number == 0 else "one warning" if number == 1 else f"{number} warnings"
