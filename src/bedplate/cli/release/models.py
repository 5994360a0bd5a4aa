"""`bedplate models`: list, show and check models and their versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.release.models_card import card
from bedplate.cli.release.models_compare import compare
from bedplate.cli.release.models_retire import retire
from bedplate.cli.release.models_sbom import sbom
from bedplate.cli.release.models_show import show
from bedplate.cli.views.render import emit_json, out, remark, table
from bedplate.domain.formatting import figure
from bedplate.errors import UsageError

if TYPE_CHECKING:
    from bedplate.workflows.versions.models import ModelRow
    from bedplate.workflows.versions.promote import PromotionResult


@click.group(short_help="List, show, compare, check, promote and retire models and their versions.")
def command() -> None:
    """Models and their versions.

    \b
    Examples:
      bedplate models list
      bedplate models show flight-delay:3
      bedplate models compare flight-delay:1 flight-delay:2
      bedplate models card flight-delay:3 --markdown CARD.md
      bedplate models check
      bedplate models promote flight-delay:3 --from staging --to prod
    """


for _part in (show, compare, card, sbom, retire):
    command.add_command(_part)


@command.command("list")
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--last", "-n", type=click.IntRange(1), default=20, show_default=True, help="How many, from the newest.")
@click.option("--all", "everything", is_flag=True, help="Every version.")
@options.stack
@options.as_json
def list_(model: str | None, last: int, everything: bool, stack: str, as_json: bool) -> None:
    """List versions, newest first: status, verdict, metric, which one is live, and who trained it when.

    \b
    Examples:
      bedplate models list
      bedplate models list flight-delay --all --json
    """
    from bedplate.wiring import connect
    from bedplate.workflows.versions.models import list_models

    rows = list_models(connect(options.project_dir(), stack), model, newest=None if everything else last)
    if as_json:
        emit_json(rows)
        return
    _table(rows)


@command.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@options.stack
@options.as_json
def check(models: tuple[str, ...], stack: str, as_json: bool) -> None:
    """Check models' folders: model.yaml, train.py, inference.py. Says every fault; needs no platform.

    \b
    Examples:
      bedplate models check
      bedplate models check flight-delay --stack prod
    """
    from bedplate.settings import load_stack
    from bedplate.workflows.versions.models import check_models

    project = options.project_dir()
    checked = check_models(project, models, load_stack(project, stack), stack)
    faults = sum(len(c.faults) for c in checked)
    if as_json:
        emit_json([{"model": c.model, "ok": not c.faults, "faults": list(c.faults)} for c in checked])
        if faults:
            raise SystemExit(UsageError.exit_code)
        return
    for c in checked:
        if not c.faults:
            told = f"  (stacks/Pulumi.{stack}.yaml does not name it)" if c.elsewhere else ""
            out().print(f"[green]ok[/green]     {c.model}{told}")
            continue
        out().print(f"[bold red]faulty[/bold red] {c.model}")
        for fault in c.faults:
            out().print(f"       {fault}", markup=False, soft_wrap=True)
    if not checked:
        remark("There is no model yet: no models/<name>/model.yaml.")
    if faults:
        file = next(c for c in checked if c.faults).faults[0].split(":")[0]
        count = "One fault" if faults == 1 else f"{faults} faults"
        raise UsageError(
            f"{count} in {sum(bool(c.faults) for c in checked)} of {len(checked)} models",
            next_step=f"$EDITOR {file}",
        )


@command.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option("--from", "source", required=True, help="The stack that it comes from.")
@click.option("--to", "stack", required=True, help="The stack that it goes to.")
@click.option("--from-profile", help="AWS profile for the stack that it comes from, when that is another account.")
@click.option("--without-data", is_flag=True, help="Leave training data and holdout where they are.")
@options.yes
@options.as_json
def promote(
    model: str, source: str, stack: str, from_profile: str | None, without_data: bool, yes: bool, as_json: bool
) -> None:
    """Take an approved version (the newest without VERSION) into another environment, by registry and digest.

    The artifact's bytes are hashed before and after, the image is named by its digest, lineage and evaluation go
    along, both ledgers record it; nothing is built again. Unless the target's promotion.approval is `carried`, somebody
    has to approve it there too. The same command again changes nothing.

    \b
    Examples:
      bedplate models promote flight-delay:3 --from staging --to prod
      bedplate models promote flight-delay --from staging --to prod --from-profile staging-admin --json

    Exit codes: 0 promoted or there already, 1 bytes differ or AWS refused, 2 no such version or stack, 4 not approved.
    """
    from bedplate.cli.views import render
    from bedplate.wiring import connect, connect_origin
    from bedplate.workflows.versions.promote import PromoteRequest
    from bedplate.workflows.versions.promote import promote as carry

    name, version = options.model_and_version(model)
    target = connect(options.project_dir(), stack)
    origin = connect_origin(options.project_dir(), source, target=target, profile=from_profile)
    if not as_json:
        render.where(target.label)
    if target.settings.target != "local":
        options.confirm(f"Promote {model} from {source} to {target.label}?", assume_yes=yes, as_json=as_json)
    request = PromoteRequest(name, version, with_data=not without_data)
    done = carry(origin, target, request, lambda _, told: None if as_json else remark(str(told.get("text", ""))))
    if as_json:
        emit_json({"model": name, "from": source, "to": stack, **_promoted(done)})
        return
    ref = f"{name}:{done.package.version}"
    verb = "is there already as" if done.outcome == "unchanged" else "is now"
    out().print(f"{name}:{done.origin.version} of {source} {verb} [bold]{ref}[/bold] of {stack}")
    rows = [("origin", done.origin.arn), ("artifact sha256", done.artifact_sha256), ("image", done.image_uri)]
    table(None, ("", ""), [*rows, *(("carried", uri) for uri in done.copied), *(("left", text) for text in done.left)])
    if not done.recorded_at_origin:
        remark(f"The ledger of {source} cannot be written with these credentials: name a profile by --from-profile.")
    remark(f"Next: bedplate {'deploy' if done.approved else 'approve'} {ref} --stack {stack}")


def _promoted(done: PromotionResult) -> dict[str, object]:
    return {
        "outcome": done.outcome,
        "version": done.package.version,
        "arn": done.package.arn,
        "status": done.package.approval,
        "origin_version": done.origin.version,
        "origin_arn": done.origin.arn,
        "artifact_sha256": done.artifact_sha256,
        "image_uri": done.image_uri,
        "carried": list(done.copied),
        "left": list(done.left),
        "recorded_at_origin": done.recorded_at_origin,
    }


@command.command()
@click.argument("job", metavar="JOB")
@click.option("--kind", type=click.Choice(["training", "processing"]), default="training", show_default=True)
@options.stack
def log(job: str, kind: str, stack: str) -> None:
    """Print the log of a training or processing job.

    \b
    Example:
      bedplate models log bedplate-local-flight-delay-0a1b2c3d4e5f-1
    """
    from bedplate.wiring import connect

    at = connect(options.project_dir(), stack)
    lines = at.jobs.log_lines(job, kind="training" if kind == "training" else "processing")
    if not lines:
        (at.jobs.training if kind == "training" else at.jobs.processing)(job)
        remark(f"{job} has said nothing yet.")
    for line in lines:
        click.echo(line)


def _table(rows: tuple[ModelRow, ...]) -> None:
    for row in rows:
        live = "no endpoint" if row.live_release is None else f"live: {row.live_release}"
        if not row.versions:
            out().print(f"[bold]{row.model}[/bold]  no version yet ({live})")
            continue
        cells = [
            (
                v.version,
                v.approval + (" (forced)" if v.forced else "") + (f", retires {v.retire_on}" if v.retire_on else ""),
                v.verdict or "-",
                f"{v.metric} {figure(v.value)}" if v.value is not None else "-",
                "LIVE" if v.live else "",
                v.trained_at[:19].replace("T", " "),
                v.trained_by,
            )
            for v in row.versions
        ]
        columns = ("Version", "Status", "Verdict", "Metric", "Live", "Trained (UTC)", "By")
        table(f"{row.model}  ({live})", columns, cells, right=("Version",))
        if len(row.versions) < row.count:
            remark(f"{row.count - len(row.versions)} older ones: bedplate models list {row.model} --all")
