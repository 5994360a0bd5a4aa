"""`bedplate data`: check data against its contract, register it as signed versions, and compare versions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json, format_seconds, print_table, warn
from bedplate.domain.formatting import format_count, format_number, format_short
from bedplate.errors import BedplateError, GateFailed, NotEnoughData, NotFound

if TYPE_CHECKING:
    from bedplate.settings import Purpose
    from bedplate.wiring import Connection
    from bedplate.workflows.data.check import DataReport
    from bedplate.workflows.data.versions import DataVersion

data_file = click.option(
    "--data", "path", required=True, type=click.Path(path_type=Path), help="Parquet or CSV file.", metavar="FILE"
)
PURPOSES = ("training", "inference", "monitoring", "debugging")


@click.group("data")
def command() -> None:
    """Check data against its contract, register it as signed versions, compare versions.

    \b
    Examples:
      bedplate data check flight-delay --data flights.parquet
      bedplate data register flight-delay --data flights.parquet
      bedplate data list flight-delay
      bedplate train flight-delay --dataset latest
    """


@command.command("check")
@options.model
@data_file
@click.option(
    "--purpose", type=click.Choice(PURPOSES), help="Also reject columns that must not be used for this purpose."
)
@click.option("--offline", is_flag=True, help="Do not connect to the platform to compare shares of categories.")
@click.option("--failed", "only_failed", is_flag=True, help="Show only the rules that are violated.")
@options.stack
@options.as_json
def check(
    model: str, path: Path, purpose: Purpose | None, offline: bool, only_failed: bool, stack: str, as_json: bool
) -> None:
    """Check FILE against MODEL's data contract: every rule, and the rows that violate it.

    Shares of categories are compared with the last accepted version. Memory use does not grow with the rows, except by
    8 bytes per row for each key column. Changes nothing.

    \b
    Examples:
      bedplate data check flight-delay --data flights.parquet
      bedplate data check flight-delay --data flights.csv --offline --json

    \b
    Exit codes:
      0  every rule holds
      3  a rule is violated
      6  the file has no rows
    """
    from bedplate.workflows.data.check import check_file, require_rows
    from bedplate.workflows.data.versions import read_profile

    connection = _connect(stack, offline=offline)
    spec = connection.model(model)
    previous = None if offline else _find_last_accepted(connection, model)
    report = check_file(
        connection,
        spec,
        path,
        purpose=purpose,
        against=previous.short_hash if previous else None,
        profile=read_profile(connection, previous) if previous else None,
    )
    if as_json:
        is_ok = not report.violations and report.rows > 0
        emit_json({"ok": is_ok, "duration_s": report.duration_s, **_report_to_dict(report)})
        if report.violations or not report.rows:
            raise SystemExit(GateFailed.exit_code if report.violations else NotEnoughData.exit_code)
        return
    print_report(report, only_failed=only_failed)
    if report.violations:
        raise GateFailed(
            f"{path} violates {format_count(len(report.violations), 'rule')} of {model}'s data contract",
            next_step=f"$EDITOR models/{model}/model.yaml, or correct the data",
        )
    require_rows(report)


@command.command("register")
@options.model
@data_file
@click.option("--accept", metavar="REASON", help="Register although the data looks suspicious; the reason is stored.")
@click.option("--again", "reupload", is_flag=True, help="Upload and sign again even if these bytes are registered.")
@options.dry_run
@options.stack
@options.as_json
def register(
    model: str, path: Path, accept: str | None, reupload: bool, dry_run: bool, stack: str, as_json: bool
) -> None:
    """Register FILE as a version of MODEL's data, with a datasheet and a signature.

    The version is named after the SHA-256 of the file's bytes: registering the same bytes again gives the same version.
    The file must satisfy the contract. It is compared with the last accepted version, and is suspicious when labels
    changed, rates jumped, or there are many duplicates or outliers.

    \b
    Examples:
      bedplate data register flight-delay --data flights.parquet
      bedplate data register flight-delay --data flights.parquet --accept 'carriers were merged in June'

    \b
    Exit codes:
      0  the version is registered
      3  a rule of the contract is violated
      4  the data looks suspicious and --accept is missing
    """
    from bedplate.cli.views.progress_lines import progress_reporter
    from bedplate.workflows.data import register as work

    connection = options.connect_target(stack, as_json=as_json)
    reporter = progress_reporter(quiet=as_json)
    plan = work.plan(connection, connection.model(model), path, reporter, again=reupload)
    if (accept or dry_run) and not as_json:
        for anomaly in plan.anomalies:
            reporter("warning", {"text": str(anomaly)})
    if dry_run:
        if as_json:
            document = {"model": model, "sha256": plan.sha256, "rows": plan.table.num_rows}
            emit_json({**document, "registered": plan.existing is not None, "anomalies": list(plan.anomalies)})
        else:
            console().print(
                f"{plan.sha256[:12]}  {plan.table.num_rows:,} rows: "
                + ("already registered" if plan.existing else "satisfies the contract, would be registered")
            )
        return
    work.require_accepted(plan, accept)
    version = work.register(connection, plan, reporter, accept=accept)
    is_unchanged = plan.existing is not None and plan.existing.manifest_bytes == version.manifest_bytes
    if as_json:
        emit_json({**_version_to_dict(version), "unchanged": is_unchanged})
        return
    verb = "was already registered" if is_unchanged else "registered and signed"
    console().print(
        f"[bold green]{version.short_hash}[/bold green] {verb}: {version.manifest.rows:,} rows of {model}'s data"
    )
    console().print(f"Next:  bedplate train {model} --dataset {version.short_hash}")


@command.command("list")
@options.model
@options.stack
@options.as_json
def list_(model: str, stack: str, as_json: bool) -> None:
    """List the registered versions of MODEL's data, newest first.

    \b
    Example:
      bedplate data list flight-delay
    """
    from bedplate.workflows.data.versions import list_versions

    versions = list_versions(options.connect(stack), model)
    if as_json:
        emit_json([_version_to_dict(version) for version in versions])
        return
    if not versions:
        warn(f"No version of {model}'s data is registered yet. Next: bedplate data register {model} --data FILE")
        return
    columns = ("Version", "Rows", "MB", "Status", "Registered (UTC)", "By")
    rows = [
        (
            version.short_hash,
            f"{version.manifest.rows:,}",
            f"{version.manifest.size / 1e6:,.1f}",
            version.manifest.status,
            version.manifest.registered_at[:19].replace("T", " "),
            version.manifest.registered_by,
        )
        for version in versions
    ]
    print_table(f"Data of {model}", columns, rows, right_aligned=("Rows", "MB"))


@command.command("show")
@options.model
@click.argument("version", metavar="[VERSION]", default="latest")
@options.stack
@options.as_json
def show(model: str, version: str, stack: str, as_json: bool) -> None:
    """Show the datasheet of a version of MODEL's data, and verify its signature.

    VERSION is the beginning of the version's content hash, or latest. The data itself is not read; train verifies it.

    \b
    Examples:
      bedplate data show flight-delay
      bedplate data show flight-delay 3f2a9c01 --json

    \b
    Exit codes:
      0  the signature is valid
      3  the signature is not valid
    """
    from bedplate.workflows.data.versions import find_dataset_version, read_datasheet, require_signature

    connection = options.connect(stack)
    data_version = find_dataset_version(connection, model, version)
    require_signature(connection, data_version)
    sheet = dict(read_datasheet(connection, data_version))
    if as_json:
        emit_json({**_version_to_dict(data_version), "signature": "valid", "datasheet": sheet})
        return
    columns = sheet.pop("columns")
    manifest = data_version.manifest
    console().print(
        f"[bold]{model}[/bold] data {data_version.short_hash}  {manifest.status}, [green]signature is valid[/green]"
    )
    facts = {**sheet, "rows": f"{manifest.rows:,}", "bytes": f"{manifest.size:,}", "sha256": manifest.sha256}
    facts |= {"uri": data_version.data_uri, "registered_at": manifest.registered_at}
    facts |= {"registered_by": manifest.registered_by, "compared with": manifest.parent or ""}
    facts["accepted because"] = manifest.accept_reason or ""
    print_table(None, ("Key", "Value"), [(key, value) for key, value in facts.items() if value])
    for warning in manifest.warnings:
        console().print(f"[yellow]warning[/yellow] {warning}", markup=True, soft_wrap=True)
    rows = [(name, c["role"], c["type"], c["privacy"], _format_purposes(c["purposes"])) for name, c in columns.items()]
    print_table(None, ("Column", "Role", "Type", "Privacy", "Purposes"), rows)


@command.command("diff")
@options.model
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@options.stack
@options.as_json
def diff(model: str, a: str, b: str, stack: str, as_json: bool) -> None:
    """Compare two versions of MODEL's data: rows, columns, nulls, PSI, categories, label.

    A and B are beginnings of content hashes, latest, or files. Changes nothing.

    \b
    Examples:
      bedplate data diff flight-delay 3f2a9c01 latest
      bedplate data diff flight-delay latest flights-july.parquet --json
    """
    from bedplate.workflows.data.diff import compare_versions

    comparison = compare_versions(options.connect(stack), model, a, b)
    first, second, changes = comparison.first, comparison.second, comparison.diff
    if as_json:
        from bedplate.domain.drift.report import to_json_value

        emit_json({"model": model, "a": first, "b": second, **to_json_value(dataclasses.asdict(changes))})
        return
    console().print(f"[bold]{first}[/bold] -> [bold]{second}[/bold]: {changes.rows_a:,} -> {changes.rows_b:,} rows")
    for name in changes.columns_added:
        console().print(f"[green]+[/green] column {name}")
    for name in changes.columns_removed:
        console().print(f"[red]-[/red] column {name}")
    for name, (type_a, type_b) in changes.types_changed.items():
        console().print(f"[yellow]~[/yellow] column {name}: {type_a} -> {type_b}")
    if changes.label_rate_a is not None and changes.label_rate_b is not None:
        p_value = "" if changes.label_p_value is None else f" (p = {changes.label_p_value:.2g})"
        rates = f"{format_number(changes.label_rate_a)} -> {format_number(changes.label_rate_b)}"
        console().print(f"mean of the label: {rates}{p_value}")
    rows = [
        (
            column.name,
            f"{column.drift.psi:.3f}",
            column.drift.verdict,
            f"{column.null_share_a:.2%} -> {column.null_share_b:.2%}"
            if column.null_share_a or column.null_share_b
            else "",
            f"{format_short(column.mean_a)} -> {format_short(column.mean_b)}"
            if column.mean_a is not None and column.mean_b is not None
            else "",
            "; ".join(f"{name} {share_a:.1%} -> {share_b:.1%}" for name, share_a, share_b in column.shifts),
        )
        for column in changes.columns
    ]
    columns = ("Column", "PSI", "Verdict", "Nulls", "Mean", "Categories with the largest shifts")
    print_table(None, columns, rows, right_aligned=("PSI",))


def _version_to_dict(version: DataVersion) -> dict[str, object]:
    manifest = version.manifest
    return {**dataclasses.asdict(manifest), "status": manifest.status, "uri": version.data_uri}


def print_report(report: DataReport, *, only_failed: bool) -> None:
    """Prints a table of all rules, or of the violated ones only, and a summary line."""

    results = [result for result in report.results if not only_failed or result.outcome == "FAIL"]
    if results:
        columns = ("Column", "Rule", "Expected", "Verdict", "Rows", "First (rows from 0)")
        rows = [
            (
                r.column,
                r.rule,
                r.expected,
                r.outcome,
                f"{r.count:,}" if r.count else "",
                "; ".join(map(str, r.examples)),
            )
            for r in results
        ]
        print_table(None, columns, rows, right_aligned=("Rows",))
    outcomes = [r.outcome for r in report.results]
    verdicts = ", ".join(f"{outcomes.count(o)} {o}" for o in ("PASS", "FAIL", "NO_DATA") if outcomes.count(o))
    reference = f", category shares compared with version {report.against}" if report.against else ""
    size = f"{format_count(report.rows, 'row')}, {format_count(len(outcomes), 'rule')}"
    console().print(f"{size}: {verdicts}{reference}; {format_seconds(report.duration_s)}")
    if report.undeclared:
        console().print(f"[yellow]not in the contract[/yellow] and not checked: {', '.join(report.undeclared)}")


def _connect(stack: str, *, offline: bool) -> Connection:
    """Returns the connection to the stack; with `offline`, one that starts no platform and is never called."""
    from bedplate.settings import load_stack, read_yaml
    from bedplate.wiring import Connection, connect

    project = options.project_dir()
    if not offline:
        return connect(project, stack)
    return Connection(project, str(read_yaml(project / "Pulumi.yaml")["name"]), stack, load_stack(project, stack), None)


def _find_last_accepted(connection: Connection, model: str) -> DataVersion | None:
    """Returns the last accepted version; None when there is none, or when the platform cannot be reached."""
    from bedplate.workflows.data.versions import find_last_accepted

    try:
        return find_last_accepted(connection, model)
    except NotFound:
        return None
    except BedplateError as exc:
        warn(f"[yellow]Warning:[/yellow] not compared with an earlier version: {exc.message}")
        return None


def _report_to_dict(report: DataReport) -> dict[str, object]:
    return {
        "model": report.model,
        "data": str(report.path),
        "rows": report.rows,
        "columns": report.columns,
        "undeclared": list(report.undeclared),
        "against": report.against,
        "rules": list(report.results),
    }


def _format_purposes(purposes: list[str]) -> str:
    return "all" if len(purposes) == len(PURPOSES) else ", ".join(purposes) or "none"
