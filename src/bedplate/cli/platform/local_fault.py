"""`bedplate local fault`: inject faults into calls of the local platform."""

from __future__ import annotations

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, warn
from bedplate.local import faults, lifecycle


@click.group(short_help="Inject faults into calls of the local platform.")
def fault() -> None:
    """Inject faults into calls of the local platform: throttling, errors, lost responses, delays.

    Requires `bedplate local start --faults`. Stopping the platform removes all faults.

    \b
    Example:
      bedplate local fault add sagemaker:UpdateEndpoint --kind throttle --times 20
    """


@fault.command()
@click.argument("operation", metavar="SERVICE:OPERATION")
@click.option(
    "--kind", type=click.Choice(faults.KINDS), default="throttle", show_default=True, help="Fault, see above."
)
@click.option("--times", type=click.IntRange(1), default=1, show_default=True, help="Number of calls to fail.")
@click.option("--skip", type=click.IntRange(0), default=0, show_default=True, help="Number of calls to let pass first.")
@click.option("--match", default="", help="Fail only calls whose path or body contains this text.")
@options.as_json
def add(operation: str, kind: str, times: int, skip: int, match: str, as_json: bool) -> None:
    """Make the next calls of an operation fail.

    \b
    throttle   respond with ThrottlingException without executing the call
    error      respond with InternalFailure (500) without executing the call
    lost       execute the call, but respond with InternalFailure (500)
    hold       execute the call, but delay the response until `fault clear`: time to kill the caller
    interrupt  only for sagemaker:SpotTraining: interrupt a spot training after its first checkpoint

    AWS clients retry failed calls: set --times higher than their number of attempts.

    \b
    Example:
      bedplate local fault add s3:PutObject --kind error --times 20 --match /ledger/
      bedplate local fault add sagemaker:SpotTraining --kind interrupt --times 2
    """
    fault = {"operation": operation, "kind": kind, "times": times, "skip": skip, "match": match}
    _show(faults.request_faults(_url(), "POST", fault), as_json=as_json)


@fault.command(name="list")
@options.as_json
def list_(as_json: bool) -> None:
    """List the faults, and how many calls each has matched and failed.

    \b
    Example:
      bedplate local fault list --json
    """
    _show(faults.request_faults(_url(), "GET"), as_json=as_json)


@fault.command()
@options.as_json
def clear(as_json: bool) -> None:
    """Remove all faults, and release the responses that are held.

    \b
    Example:
      bedplate local fault clear
    """
    _show(faults.request_faults(_url(), "DELETE"), as_json=as_json)


def _url() -> str:
    return lifecycle.ensure_running(options.project_dir())


def _show(installed: list[faults.Fault], *, as_json: bool) -> None:
    if as_json:
        emit_json({"faults": installed})
        return
    for f in installed:
        calls = f"{f.times} calls{f' after {f.skip}' if f.skip else ''}"
        contents = f" that contain {f.match!r}" if f.match else ""
        click.echo(f"{f.operation}  {f.kind}  {calls}{contents}; {f.matched} matched, {f.injected} failed")
    if not installed:
        warn("No faults.")
