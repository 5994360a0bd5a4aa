"""`bedplate releases`: list releases, and delete those that are no longer needed."""

from __future__ import annotations

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, print_table
from bedplate.domain.formatting import format_count


@click.group("releases")
def command() -> None:
    """List releases, and delete those that are no longer needed.

    A release is the deployed form of a version: a Model and an EndpointConfig in SageMaker.
    """


@command.command("list")
@options.model
@options.stack
@options.as_json
def list_(model: str, stack: str, as_json: bool) -> None:
    """List the releases of MODEL that exist, and why each one is kept.

    \b
    Example:
      bedplate releases list flight-delay
    """
    from bedplate.workflows.release.releases import list_releases

    releases = list_releases(options.connect(stack), model)
    if as_json:
        emit_json(releases)
    elif not releases:
        click.echo(f"Nothing was deployed yet. Next: bedplate deploy {model}")
    else:
        rows = [
            (r.release, f"v{r.version}", f"{r.created_at:%Y-%m-%d %H:%M}", r.reason or "not needed: prune deletes it")
            for r in releases
        ]
        print_table(None, ("release", "version", "created (UTC)", "kept because"), rows)


@command.command("prune")
@options.model
@options.stack
@options.yes
@options.dry_run
@options.as_json
def prune(model: str, stack: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Delete releases that are neither live nor pending nor among the last `rollout.keep_releases`.

    Versions and artifacts are kept: deploying a version creates its release again.

    \b
    Example:
      bedplate releases prune flight-delay --dry-run
    """
    from bedplate.workflows.release import releases as work

    connection = options.connect_target(stack, as_json=as_json)
    unneeded = [r.release for r in work.list_releases(connection, model) if not r.reason]
    if unneeded and not dry_run:
        options.confirm(f"Delete {format_count(len(unneeded), 'release')} of {model}?", assume_yes=yes, as_json=as_json)
        unneeded = list(work.prune_releases(connection, model))
    if as_json:
        emit_json({"deleted" if not dry_run else "would_delete": unneeded})
        return
    for release in unneeded:
        click.echo(f"{'would delete' if dry_run else 'deleted'} {release}")
    if not unneeded:
        click.echo("Nothing to delete.")
