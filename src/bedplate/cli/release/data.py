"""`bedplate data`: hold data against its contract, register it as signed versions, and compare versions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.domain.formatting import counted, figure, short
from bedplate.errors import BedplateError, GateFailed

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
    """Data that a model learns from: is it what the contract says, where does it come from, is it still the same?

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
@click.option("--purpose", type=click.Choice(PURPOSES), help="Also refuse columns that are not allowed for this.")
@click.option("--offline", is_flag=True, help="Do not ask the platform for the last version's shares of categories.")
@click.option("--failed", "only_failed", is_flag=True, help="Show only the rules that are broken.")
@options.stack
@options.as_json
def check(
    model: str, path: Path, purpose: Purpose | None, offline: bool, only_failed: bool, stack: str, as_json: bool
) -> None:
    """Hold FILE against MODEL's data contract: every rule, the rows that break it, and the first of them.

    Memory does not grow with the rows, but for 8 bytes a row for each key. Changes nothing.

    \b
    Examples:
      bedplate data check flight-delay --data flights.parquet
      bedplate data check flight-delay --data flights.csv --offline --json

    Exit codes: 0 everything holds, 3 a rule is broken, 6 there is no row.
    """
    from bedplate.cli.views.render import emit_json
    from bedplate.errors import NotEnoughData
    from bedplate.workflows.data.check import check_file, must_hold_rows

    at = _reached(stack, offline=offline)
    spec = at.model(model)
    last = None if offline else _last(at, model)
    from bedplate.workflows.data.versions import profile_of

    report = check_file(
        at,
        spec,
        path,
        purpose=purpose,
        against=last.short if last else None,
        profile=profile_of(at, last) if last else None,
    )
    if as_json:
        emit_json({"ok": not report.faults and report.rows > 0, "took_s": report.took_s, **_json(report)})
        if report.faults or not report.rows:
            raise SystemExit(GateFailed.exit_code if report.faults else NotEnoughData.exit_code)
        return
    show_report(report, only_failed=only_failed)
    if report.faults:
        raise GateFailed(
            f"{path} breaks {_count(len(report.faults), 'rule')} of {model}'s data contract",
            next_step=f"$EDITOR models/{model}/model.yaml, or mend the data",
        )
    must_hold_rows(report)


@command.command("register")
@options.model
@data_file
@click.option("--accept", metavar="REASON", help="Register in spite of what looks suspicious; the reason is kept.")
@click.option("--again", is_flag=True, help="Upload and sign anew, whatever is kept of these bytes.")
@options.dry_run
@options.stack
@options.as_json
def register(model: str, path: Path, accept: str | None, again: bool, dry_run: bool, stack: str, as_json: bool) -> None:
    """Register FILE as a version of MODEL's data, named by the hash of its bytes, with a datasheet and a signature.

    The file must fit the contract. It is compared with the last accepted version: labels that changed, rates that
    jumped, floods of duplicates, bursts of outliers. The same bytes again are the same version.

    \b
    Examples:
      bedplate data register flight-delay --data flights.parquet
      bedplate data register flight-delay --data flights.parquet --accept 'carriers were merged in June'

    Exit codes: 0 registered, 3 a rule of the contract is broken, 4 something is suspicious and nobody accepted it.
    """
    from bedplate.cli.views.progress_lines import say_progress, say_silently
    from bedplate.cli.views.render import emit_json, out, where
    from bedplate.wiring import connect
    from bedplate.workflows.data import register as work

    at = connect(options.project_dir(), stack)
    if not as_json:
        where(at.label)
    say = say_silently if as_json else say_progress
    found = work.plan(at, at.model(model), path, say, again=again)
    if (accept or dry_run) and not as_json:
        for suspicion in found.suspicions:
            say("warning", {"text": str(suspicion)})
    if dry_run:
        told = {"model": model, "sha256": found.sha256, "rows": found.table.num_rows, "known": found.held is not None}
        if as_json:
            emit_json({**told, "suspicions": list(found.suspicions)})
        else:
            out().print(
                f"{found.sha256[:12]}  {found.table.num_rows:,} rows: "
                + ("registered already" if found.held else "fits the contract, would be registered")
            )
        return
    work.must_be_unsuspicious(found, accept)
    version = work.register(at, found, say, accept=accept)
    if as_json:
        emit_json({**_version_json(version), "unchanged": found.held is not None and found.held.raw == version.raw})
        return
    verb = "was registered already" if found.held and found.held.raw == version.raw else "registered and signed"
    out().print(f"[bold green]{version.short}[/bold green] {verb}: {version.manifest.rows:,} rows of {model}'s data")
    out().print(f"Next:  bedplate train {model} --dataset {version.short}")


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
    from bedplate.cli.views.render import emit_json, remark, table
    from bedplate.wiring import connect
    from bedplate.workflows.data.versions import versions

    found = versions(connect(options.project_dir(), stack), model)
    if as_json:
        emit_json([_version_json(version) for version in found])
        return
    if not found:
        remark(f"No version of {model}'s data is registered yet. Next: bedplate data register {model} --data FILE")
        return
    rows = [
        (
            v.short,
            f"{v.manifest.rows:,}",
            f"{v.manifest.size / 1e6:,.1f}",
            v.manifest.status,
            v.manifest.registered_at[:19].replace("T", " "),
            v.manifest.registered_by,
        )
        for v in found
    ]
    columns = ("Version", "Rows", "MB", "Status", "Registered (UTC)", "By")
    table(f"Data of {model}", columns, rows, right=("Rows", "MB"))


@command.command("show")
@options.model
@click.argument("version", metavar="[VERSION]", default="latest")
@options.stack
@options.as_json
def show(model: str, version: str, stack: str, as_json: bool) -> None:
    """Show a version's datasheet and manifest, and whether its signature holds.

    VERSION is the beginning of its content hash, or latest. The data itself is not read: train does that.

    \b
    Examples:
      bedplate data show flight-delay
      bedplate data show flight-delay 3f2a9c01 --json

    Exit codes: 0 the signature holds, 3 it does not.
    """
    from bedplate.cli.views.render import emit_json, out, table
    from bedplate.wiring import connect
    from bedplate.workflows.data.versions import datasheet, find, must_be_signed

    at = connect(options.project_dir(), stack)
    found = find(at, model, version)
    must_be_signed(at, found)
    sheet = dict(datasheet(at, found))
    if as_json:
        emit_json({**_version_json(found), "signature": "holds", "datasheet": sheet})
        return
    columns = sheet.pop("columns")
    manifest = found.manifest
    out().print(f"[bold]{model}[/bold] data {found.short}  {manifest.status}, [green]signature holds[/green]")
    told = {**sheet, "rows": f"{manifest.rows:,}", "bytes": f"{manifest.size:,}", "sha256": manifest.sha256}
    told |= {"uri": found.data_uri, "registered_at": manifest.registered_at, "registered_by": manifest.registered_by}
    told |= {"compared with": manifest.parent or "", "accepted because": manifest.accepted or ""}
    table(None, ("Key", "Value"), [(key, value) for key, value in told.items() if value])
    for warning in manifest.warnings:
        out().print(f"[yellow]warning[/yellow] {warning}", markup=True, soft_wrap=True)
    rows = [(name, c["role"], c["type"], c["privacy"], _allowed(c["purposes"])) for name, c in columns.items()]
    table(None, ("Column", "Role", "Type", "Privacy", "Purposes"), rows)


@command.command("diff")
@options.model
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@options.stack
@options.as_json
def diff(model: str, a: str, b: str, stack: str, as_json: bool) -> None:
    """Compare two versions of MODEL's data: rows, columns, nulls, PSI, shares of categories, the label's rate.

    A and B are beginnings of content hashes, latest, or files.

    \b
    Examples:
      bedplate data diff flight-delay 3f2a9c01 latest
      bedplate data diff flight-delay latest flights-july.parquet --json
    """
    from bedplate.cli.views.render import emit_json, out, table
    from bedplate.wiring import connect
    from bedplate.workflows.data.diff import compare_versions

    done = compare_versions(connect(options.project_dir(), stack), model, a, b)
    found = done.diff
    if as_json:
        from bedplate.domain.drift.report import plain

        emit_json({"model": model, "a": done.a, "b": done.b, **plain(dataclasses.asdict(found))})
        return
    out().print(f"[bold]{done.a}[/bold] -> [bold]{done.b}[/bold]: {found.rows_a:,} -> {found.rows_b:,} rows")
    for name in found.columns_added:
        out().print(f"[green]+[/green] column {name}")
    for name in found.columns_gone:
        out().print(f"[red]-[/red] column {name}")
    for name, (was, now) in found.types_changed.items():
        out().print(f"[yellow]~[/yellow] column {name}: {was} -> {now}")
    if found.label_rate_a is not None and found.label_rate_b is not None:
        p = "" if found.label_p_value is None else f" (p = {found.label_p_value:.2g})"
        out().print(f"mean of the label: {figure(found.label_rate_a)} -> {figure(found.label_rate_b)}{p}")
    rows = [
        (
            c.name,
            f"{c.drift.psi:.3f}",
            c.drift.verdict,
            f"{c.null_share_a:.2%} -> {c.null_share_b:.2%}" if c.null_share_a or c.null_share_b else "",
            f"{short(c.mean_a)} -> {short(c.mean_b)}" if c.mean_a is not None and c.mean_b is not None else "",
            "; ".join(f"{name} {was:.1%} -> {now:.1%}" for name, was, now in c.shifts),
        )
        for c in found.columns
    ]
    table(None, ("Column", "PSI", "Verdict", "Nulls", "Mean", "Categories that moved most"), rows, right=("PSI",))


def _version_json(version: DataVersion) -> dict[str, object]:
    manifest = version.manifest
    return {**dataclasses.asdict(manifest), "status": manifest.status, "uri": version.data_uri}


def show_report(report: DataReport, *, only_failed: bool) -> None:
    """A table of the rules that are broken, or of all, and a line that sums it up."""
    from bedplate.cli.views.render import out, seconds, table

    shown = [r for r in report.results if not only_failed or r.outcome == "FAIL"]
    if shown:
        rows = [
            (r.column, r.rule, r.expected, r.outcome, f"{r.count:,}" if r.count else "", _examples(r.examples))
            for r in shown
        ]
        table(None, ("Column", "Rule", "Expected", "Verdict", "Rows", "First (rows from 0)"), rows, right=("Rows",))
    outcomes = [r.outcome for r in report.results]
    told = ", ".join(f"{outcomes.count(o)} {o}" for o in ("PASS", "FAIL", "NO_DATA") if outcomes.count(o))
    compared = f", shares against version {report.against}" if report.against else ""
    looked_at = f"{counted(report.rows, 'row')}, {counted(len(outcomes), 'rule')}"
    out().print(f"{looked_at}: {told}{compared}; {seconds(report.took_s)}")
    if report.undeclared:
        out().print(f"[yellow]not in the contract[/yellow], and held against nothing: {', '.join(report.undeclared)}")


def _reached(stack: str, *, offline: bool) -> Connection:
    """The stack; offline nothing is started and nobody asked."""
    from bedplate.settings import load_stack, read_yaml
    from bedplate.wiring import Connection, connect

    project = options.project_dir()
    if not offline:
        return connect(project, stack)
    return Connection(project, str(read_yaml(project / "Pulumi.yaml")["name"]), stack, load_stack(project, stack), None)


def _last(at: Connection, model: str) -> DataVersion | None:
    """The last accepted version, None where there is none or no platform yet."""
    from bedplate.cli.views.render import remark
    from bedplate.errors import NotFound
    from bedplate.workflows.data.versions import last_accepted

    try:
        return last_accepted(at, model)
    except NotFound:
        return None
    except BedplateError as exc:
        remark(f"[yellow]Warning:[/yellow] no earlier version is compared with: {exc.message}")
        return None


def _examples(examples: tuple[object, ...]) -> str:
    return "; ".join(map(str, examples))


def _json(report: DataReport) -> dict[str, object]:
    return {
        "model": report.model,
        "data": str(report.path),
        "rows": report.rows,
        "columns": report.columns,
        "undeclared": list(report.undeclared),
        "against": report.against,
        "rules": list(report.results),
    }


def _allowed(purposes: list[str]) -> str:
    return "all" if len(purposes) == len(PURPOSES) else ", ".join(purposes) or "nothing"


def _count(number: int, noun: str) -> str:
    return f"one {noun}" if number == 1 else f"{number} {noun}s"
