"""`bedplate releases`: releases that exist on the platform, and those that nobody needs any more."""

from __future__ import annotations

import click

from bedplate.cli import options


@click.group("releases")
def command() -> None:
    """List and prune releases: the deployed forms of a version (a Model and an EndpointConfig in SageMaker)."""


@command.command("list")
@options.model
@options.stack
@options.as_json
def list_(model: str, stack: str, as_json: bool) -> None:
    """List the releases of a model that exist, and why each one stays.

    \b
    Example:
      bedplate releases list flight-delay
    """
    from bedplate.cli.views.render import emit_json, table
    from bedplate.wiring import connect
    from bedplate.workflows.release.releases import releases

    found = releases(connect(options.project_dir(), stack), model)
    if as_json:
        emit_json(found)
    elif not found:
        click.echo(f"Nothing was deployed yet. Next: bedplate deploy {model}")
    else:
        rows = [
            (r.release, f"v{r.version}", f"{r.created_at:%Y-%m-%d %H:%M}", r.why or "nobody needs it: prune removes it")
            for r in found
        ]
        table(None, ("release", "version", "made (UTC)", "stays because"), rows)


@command.command("prune")
@options.model
@options.stack
@options.yes
@options.dry_run
@options.as_json
def prune(model: str, stack: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Delete releases that are neither live, nor on their way, nor among the last `rollout.keep_releases`.

    Versions and artifacts stay: deploying a version makes its release anew.

    \b
    Example:
      bedplate releases prune flight-delay --dry-run
    """
    from bedplate.cli.views.render import emit_json
    from bedplate.domain.formatting import counted
    from bedplate.wiring import connect
    from bedplate.workflows.release import releases as work

    platform = connect(options.project_dir(), stack)
    if not as_json:
        click.echo(platform.label, err=True)
    going = [r.release for r in work.releases(platform, model) if not r.why]
    if going and not dry_run:
        options.confirm(f"Delete {counted(len(going), 'release')} of {model}?", assume_yes=yes, as_json=as_json)
        going = list(work.prune(platform, model))
    if as_json:
        emit_json({"deleted" if not dry_run else "would_delete": going})
        return
    for release in going:
        click.echo(f"{'would delete' if dry_run else 'deleted'} {release}")
    if not going:
        click.echo("There is nothing to prune.")
