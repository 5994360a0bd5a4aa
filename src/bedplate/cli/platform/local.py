"""`bedplate local`: start, stop and look at the local platform."""

from __future__ import annotations

import click

from bedplate.cli import options
from bedplate.cli.platform.local_fault import fault
from bedplate.cli.views.render import emit_json, remark
from bedplate.local import lifecycle


@click.group(short_help="Start, stop and look at the local platform.")
def command() -> None:
    """The local platform: an AWS-compatible server on this machine that belongs to this project.

    Any command on the local stack starts it when it is not running. What it holds survives `stop` and `start`.

    \b
    Examples:
      bedplate local start
      export AWS_ENDPOINT_URL=$(bedplate local status --url)
      bedplate local logs --follow
    """


command.add_command(fault)


@command.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port on 127.0.0.1; 0 takes any free one.")
@click.option("--faults", is_flag=True, help="Let `bedplate local fault` make calls fail.")
@options.as_json
def start(port: int | None, faults: bool, as_json: bool) -> None:
    """Start the platform, or say where it already runs.

    \b
    Example:
      bedplate local start --port 4600
    """
    _show(lifecycle.start(options.project_dir(), port=port, region=_region(), faults=faults), as_json=as_json)


@command.command()
@options.as_json
def stop(as_json: bool) -> None:
    """Stop the platform; everything it holds is kept.

    \b
    Example:
      bedplate local stop
    """
    stopped = lifecycle.stop(options.project_dir())
    if as_json:
        emit_json({"stopped": stopped})
    else:
        remark("Stopped. Everything it holds is kept." if stopped else "The local platform is not running.")


@command.command()
@click.option("--url", "url_only", is_flag=True, help="Print the address alone; starts the platform when it is down.")
@options.as_json
def status(url_only: bool, as_json: bool) -> None:
    """Say whether the platform runs, where, and since when.

    \b
    Examples:
      bedplate local status --json
      aws s3 ls --endpoint-url $(bedplate local status --url)
    """
    if url_only:
        click.echo(lifecycle.ensure_running(options.project_dir(), region=_region()))
        return
    _show(lifecycle.status(options.project_dir()), as_json=as_json)


@command.command()
@click.option(
    "--lines", "-n", type=click.IntRange(0), default=50, show_default=True, help="How many lines from the end."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with new lines until interrupted.")
@options.as_json
def logs(lines: int, follow: bool, as_json: bool) -> None:
    """Print the server's log: every request with its status and time, and what failed.

    \b
    Example:
      bedplate local logs -n 200 --follow
    """
    found = lifecycle.logs(options.project_dir(), lines, follow=follow and not as_json)
    if as_json:
        emit_json({"lines": list(found)})
        return
    for line in found:
        click.echo(line)


@command.command()
@options.yes
@options.as_json
def reset(yes: bool, as_json: bool) -> None:
    """Throw away everything the platform holds (buckets, models, endpoints, budgets) and what `up` knows of it.

    \b
    Example:
      bedplate local reset --yes
    """
    project = options.project_dir()
    options.confirm(f"Delete everything the local platform of {project} holds?", assume_yes=yes, as_json=as_json)
    from bedplate.wiring import forget_local_stacks

    now = lifecycle.reset(project, region=_region())
    forget_local_stacks(project)
    _show(now, as_json=as_json)


def _region() -> str | None:
    """The local stack's region, where its file can be read."""
    from bedplate.errors import BedplateError
    from bedplate.settings import load_stack

    try:
        return load_stack(options.project_dir(), "local").region
    except BedplateError:
        return None


def _show(now: lifecycle.Status, *, as_json: bool) -> None:
    if as_json:
        emit_json(now)
    elif now.running:
        click.echo(f"LOCAL {now.url}  pid {now.pid}  since {now.since}  version {now.version}  state {now.state_dir}")
    else:
        click.echo(f"not running  state {now.state_dir}")
        remark("Start it with: bedplate local start")
