"""`bedplate local fault`: make calls of the local platform fail, to see what happens then."""

from __future__ import annotations

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, remark
from bedplate.local import faults, lifecycle


@click.group(short_help="Make calls fail, to see what happens then.")
def fault() -> None:
    """Make calls of the local platform fail: throttled, broken, done without an answer, or held.

    Needs a platform that was started with `bedplate local start --faults`. Faults are forgotten when it stops.

    \b
    Example:
      bedplate local fault add sagemaker:UpdateEndpoint --kind throttle --times 20
    """


@fault.command()
@click.argument("operation", metavar="SERVICE:OPERATION")
@click.option("--kind", type=click.Choice(faults.KINDS), default="throttle", show_default=True, help="See above.")
@click.option("--times", type=click.IntRange(1), default=1, show_default=True, help="How many calls fail.")
@click.option("--skip", type=click.IntRange(0), default=0, show_default=True, help="How many pass before.")
@click.option("--match", default="", help="Only calls whose path or body holds this text.")
@options.as_json
def add(operation: str, kind: str, times: int, skip: int, match: str, as_json: bool) -> None:
    """Let the next calls of an operation fail.

    \b
    throttle   refused with ThrottlingException; nothing is done
    error      InternalFailure (500); nothing is done
    lost       it is done, but the answer is InternalFailure (500)
    hold       it is done, but the answer waits until `fault clear`: time to kill the caller
    interrupt  of sagemaker:SpotTraining only: a spot training loses its instance once it kept a checkpoint

    \b
    Note that clients send a refused call again: a fault must strike more often than they try to be seen.

    \b
    Example:
      bedplate local fault add s3:PutObject --kind error --times 20 --match /ledger/
      bedplate local fault add sagemaker:SpotTraining --kind interrupt --times 2
    """
    told = {"operation": operation, "kind": kind, "times": times, "skip": skip, "match": match}
    _show(faults.ask(_url(), "POST", told), as_json=as_json)


@fault.command(name="list")
@options.as_json
def list_(as_json: bool) -> None:
    """Show the faults, and how often each has struck.

    \b
    Example:
      bedplate local fault list --json
    """
    _show(faults.ask(_url(), "GET"), as_json=as_json)


@fault.command()
@options.as_json
def clear(as_json: bool) -> None:
    """Forget all faults, and give the answers that are held.

    \b
    Example:
      bedplate local fault clear
    """
    _show(faults.ask(_url(), "DELETE"), as_json=as_json)


def _url() -> str:
    return lifecycle.ensure_running(options.project_dir())


def _show(found: list[faults.Fault], *, as_json: bool) -> None:
    if as_json:
        emit_json({"faults": found})
        return
    for each in found:
        only = f" that hold {each.match!r}" if each.match else ""
        after = f" after {each.skip}" if each.skip else ""
        click.echo(
            f"{each.operation}  {each.kind}  {each.times} calls{after}{only}; {each.seen} seen, {each.struck} struck"
        )
    if not found:
        remark("No faults.")
