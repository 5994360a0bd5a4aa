"""`bedplate models`: list, show, check, compare, promote and retire models and versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.release.models_card import card
from bedplate.cli.release.models_compare import compare
from bedplate.cli.release.models_retire import retire
from bedplate.cli.release.models_sbom import sbom
from bedplate.cli.release.models_show import show
from bedplate.cli.views.render import console, emit_json, print_table, print_target, warn
from bedplate.domain.formatting import format_count, format_number
from bedplate.errors import UsageError

if TYPE_CHECKING:
    from bedplate.workflows.versions.models import ModelRow
    from bedplate.workflows.versions.promote import PromotionResult


@click.group()
def command() -> None:
    """List, show, check, compare, promote and retire models and versions.

    \b
    Examples:
      bedplate models list
      bedplate models show flight-delay:3
      bedplate models compare flight-delay:1 flight-delay:2
      bedplate models card flight-delay:3 --markdown CARD.md
      bedplate models check
      bedplate models promote flight-delay:3 --from staging --to prod
    """


for _subcommand in (show, compare, card, sbom, retire):
    command.add_command(_subcommand)


@command.command("list")
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--last", "-n", type=click.IntRange(1), default=20, show_default=True, help="Number of newest versions.")
@click.option("--all", "show_all", is_flag=True, help="Show every version.")
@options.stack
@options.as_json
def list_(model: str | None, last: int, show_all: bool, stack: str, as_json: bool) -> None:
    """List versions, newest first, with status, verdict, metric and the live one.

    \b
    Examples:
      bedplate models list
      bedplate models list flight-delay --all --json
    """
    from bedplate.workflows.versions.models import list_models

    models = list_models(options.connect(stack), model, newest=None if show_all else last)
    if as_json:
        emit_json(models)
        return
    _print_versions(models)


@command.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@options.stack
@options.as_json
def check(models: tuple[str, ...], stack: str, as_json: bool) -> None:
    """Check the folders of models and print every fault.

    Checks model.yaml, train.py and inference.py. Without MODEL every folder in models/ is checked. Needs no platform
    and changes nothing.

    \b
    Examples:
      bedplate models check
      bedplate models check flight-delay --stack prod

    \b
    Exit codes:
      0  no faults
      2  a folder has faults
    """
    from bedplate.settings import load_stack
    from bedplate.workflows.versions.models import check_models

    project = options.project_dir()
    results = check_models(project, models, load_stack(project, stack), stack)
    faulty = [result for result in results if result.errors]
    if as_json:
        emit_json(
            [{"model": result.model, "ok": not result.errors, "faults": list(result.errors)} for result in results]
        )
        if faulty:
            raise SystemExit(UsageError.exit_code)
        return
    for result in results:
        if not result.errors:
            note = f"  (not listed in stacks/Pulumi.{stack}.yaml)" if result.is_unlisted else ""
            console().print(f"[green]ok[/green]     {result.model}{note}")
            continue
        console().print(f"[bold red]faulty[/bold red] {result.model}")
        for fault in result.errors:
            console().print(f"       {fault}", markup=False, soft_wrap=True)
    if not results:
        warn("There are no models yet: no models/<name>/model.yaml exists.")
    if faulty:
        file = faulty[0].errors[0].split(":")[0]
        count = format_count(sum(len(result.errors) for result in faulty), "fault")
        raise UsageError(f"{count} in {len(faulty)} of {len(results)} models", next_step=f"$EDITOR {file}")


@command.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option("--from", "source", required=True, metavar="STACK", help="Stack to copy from.")
@click.option("--to", "stack", required=True, metavar="STACK", help="Stack to copy to.")
@click.option("--from-profile", metavar="PROFILE", help="AWS profile for --from, when it is in another account.")
@click.option("--without-data", is_flag=True, help="Do not copy the training data and the holdout.")
@options.yes
@options.as_json
def promote(
    model: str, source: str, stack: str, from_profile: str | None, without_data: bool, yes: bool, as_json: bool
) -> None:
    """Copy an approved version from one stack's registry into another's.

    Without VERSION the newest approved one. Nothing is rebuilt: the artifact's bytes are hashed before and after the
    copy, the image is named by its digest, and lineage and evaluation are copied along. Both ledgers get a record. The
    version has to be approved again in the target stack unless its promotion.approval is `inherited`. Running the same
    command again changes nothing.

    \b
    Examples:
      bedplate models promote flight-delay:3 --from staging --to prod
      bedplate models promote flight-delay --from staging --to prod --from-profile staging-admin --json

    \b
    Exit codes:
      0  the version is promoted, or already was
      1  bytes differ, or an AWS call failed
      2  the version or the stack does not exist
      4  the version is not approved
    """
    from bedplate.cli.views.progress_lines import progress_reporter
    from bedplate.wiring import connect_origin
    from bedplate.workflows.versions.promote import PromoteRequest
    from bedplate.workflows.versions.promote import promote as promote_version

    name, version = options.parse_model_version(model)
    target = options.connect(stack)
    origin = connect_origin(options.project_dir(), source, target=target, profile=from_profile)
    if not as_json:
        print_target(target.label)
    is_local = target.settings.target == "local"
    options.confirm(f"Promote {model} from {source} to {target.label}?", assume_yes=yes or is_local, as_json=as_json)
    request = PromoteRequest(name, version, with_data=not without_data)
    reporter = progress_reporter(quiet=as_json)
    result = promote_version(origin, target, request, reporter)
    if as_json:
        emit_json({"model": name, "from": source, "to": stack, **_promotion_to_dict(result)})
        return
    ref = f"{name}:{result.package.version}"
    verb = "is already" if result.outcome == "unchanged" else "is now"
    console().print(f"{name}:{result.origin.version} of {source} {verb} [bold]{ref}[/bold] of {stack}")
    rows = [("origin", result.origin.arn), ("artifact sha256", result.artifact_sha256), ("image", result.image_uri)]
    rows += [("copied", uri) for uri in result.copied] + [("not copied", text) for text in result.not_copied]
    print_table(None, ("", ""), rows)
    if not result.is_recorded_at_origin:
        warn(f"These credentials cannot write the ledger of {source}. Next: the same command with --from-profile")
    warn(f"Next: bedplate {'deploy' if result.is_approved else 'approve'} {ref} --stack {stack}")


def _promotion_to_dict(result: PromotionResult) -> dict[str, object]:
    return {
        "outcome": result.outcome,
        "version": result.package.version,
        "arn": result.package.arn,
        "status": result.package.approval,
        "origin_version": result.origin.version,
        "origin_arn": result.origin.arn,
        "artifact_sha256": result.artifact_sha256,
        "image_uri": result.image_uri,
        "copied": list(result.copied),
        "not_copied": list(result.not_copied),
        "recorded_at_origin": result.is_recorded_at_origin,
    }


@command.command()
@click.argument("job", metavar="JOB")
@click.option("--kind", type=click.Choice(["training", "processing"]), default="training", show_default=True)
@options.stack
def log(job: str, kind: str, stack: str) -> None:
    """Print the log of a training or processing job, as CloudWatch stores it.

    \b
    Example:
      bedplate models log bedplate-local-flight-delay-0a1b2c3d4e5f-1
    """

    connection = options.connect(stack)
    lines = connection.jobs.list_log_lines(job, kind="training" if kind == "training" else "processing")
    if not lines:
        (connection.jobs.get_training if kind == "training" else connection.jobs.get_processing)(job)
        warn(f"{job} has not logged anything yet.")
    for line in lines:
        click.echo(line)


def _print_versions(models: tuple[ModelRow, ...]) -> None:
    for row in models:
        live = "no endpoint" if row.live_release is None else f"live: {row.live_release}"
        if not row.versions:
            console().print(f"[bold]{row.model}[/bold]  no versions yet ({live})")
            continue
        cells = [
            (
                v.version,
                v.approval + (" (forced)" if v.is_forced else "") + (f", retires {v.retire_on}" if v.retire_on else ""),
                v.verdict or "-",
                f"{v.metric} {format_number(v.value)}" if v.value is not None else "-",
                "LIVE" if v.is_live else "",
                v.trained_at[:19].replace("T", " "),
                v.trained_by,
            )
            for v in row.versions
        ]
        columns = ("Version", "Status", "Verdict", "Metric", "Live", "Trained (UTC)", "By")
        print_table(f"{row.model}  ({live})", columns, cells, right_aligned=("Version",))
        if len(row.versions) < row.version_count:
            warn(f"{row.version_count - len(row.versions)} older versions: bedplate models list {row.model} --all")
