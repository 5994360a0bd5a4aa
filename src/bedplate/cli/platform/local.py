"""`bedplate local`: start, stop and inspect the local platform."""

from __future__ import annotations

import click

from bedplate.cli import options
from bedplate.cli.platform.local_fault import fault
from bedplate.cli.views.render import emit_json, warn
from bedplate.local import lifecycle


@click.group()
def command() -> None:
    """Start, stop and inspect the local platform: this project's AWS-compatible server on this machine.

    Every command on the local stack starts it if it is not running. `stop` keeps all data.

    \b
    Examples:
      bedplate local start
      export AWS_ENDPOINT_URL=$(bedplate local status --url)
      bedplate local logs --follow
    """


command.add_command(fault)


@command.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port on 127.0.0.1; 0 chooses a free one.")
@click.option("--faults", is_flag=True, help="Allow `bedplate local fault` to inject faults.")
@options.as_json
def start(port: int | None, faults: bool, as_json: bool) -> None:
    """Start the local platform, and print its address.

    \b
    Example:
      bedplate local start --port 4600
    """
    _show(lifecycle.start(options.project_dir(), port=port, region=_region(), faults=faults), as_json=as_json)


@command.command()
@options.as_json
def stop(as_json: bool) -> None:
    """Stop the local platform; its data is kept.

    \b
    Example:
      bedplate local stop
    """
    stopped = lifecycle.stop(options.project_dir())
    if as_json:
        emit_json({"stopped": stopped})
    else:
        warn("Stopped. Its data is kept." if stopped else "The local platform is not running.")


@command.command()
@click.option("--url", "url_only", is_flag=True, help="Print only the address; starts the platform if needed.")
@options.as_json
def status(url_only: bool, as_json: bool) -> None:
    """Show whether the local platform runs, since when and where.

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
    "--lines", "-n", type=click.IntRange(0), default=50, show_default=True, help="Number of lines from the end."
)
@click.option("--follow", "-f", is_flag=True, help="Print new lines until interrupted.")
@options.as_json
def logs(lines: int, follow: bool, as_json: bool) -> None:
    """Print the log of the local platform: requests and errors.

    \b
    Example:
      bedplate local logs -n 200 --follow
    """
    log = lifecycle.logs(options.project_dir(), lines, follow=follow and not as_json)
    if as_json:
        emit_json({"lines": list(log)})
        return
    for line in log:
        click.echo(line)


@command.command()
@options.yes
@options.as_json
def reset(yes: bool, as_json: bool) -> None:
    """Delete everything that the local platform stores, and the state that `up` keeps of it.

    \b
    Example:
      bedplate local reset --yes
    """
    project = options.project_dir()
    options.confirm(f"Delete all data of the local platform of {project}?", assume_yes=yes, as_json=as_json)
    from bedplate.wiring import delete_engine_state

    status = lifecycle.reset(project, region=_region())
    delete_engine_state(project)
    _show(status, as_json=as_json)


def _region() -> str | None:
    """Returns the region of the local stack, None if its file cannot be read."""
    from bedplate.errors import BedplateError
    from bedplate.settings import load_stack

    try:
        return load_stack(options.project_dir(), "local").region
    except BedplateError:
        return None


def _show(state: lifecycle.Status, *, as_json: bool) -> None:
    if as_json:
        emit_json(state)
    elif state.running:
        process = f"pid {state.pid}  since {state.since}  version {state.version}"
        click.echo(f"LOCAL {state.url}  {process}  state {state.state_dir}")
    else:
        click.echo(f"not running  state {state.state_dir}")
        warn("Next: bedplate local start")
