"""`bedplate state`: what a stack's state holds, taken out and put back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bedplate.cli import options
from bedplate.cli.platform.up import engine, install
from bedplate.errors import UsageError


@click.group(short_help="List, export, import and unlock a stack's state.")
def command() -> None:
    """The state: what the last run left, in Pulumi's checkpoint format.

    \b
    Examples:
      bedplate state list
      bedplate state export --file state.json
    """


@command.command("list")
@options.stack
@engine
@install
@options.as_json
def list_(stack: str, engine: str | None, install: bool, as_json: bool) -> None:
    """List the resources in the state, with their ids.

    \b
    Example:
      bedplate state list --json

    Exit codes: 0 listed, 2 the stack was never brought up.
    """
    from bedplate.cli.views import render, stack_view
    from bedplate.wiring import connect

    document = connect(options.project_dir(), stack).deployment(engine, install=install).export()
    deployment = document.get("deployment") or {}
    held = [_told(resource) for resource in deployment.get("resources") or []]
    if as_json:
        render.emit_json({"stack": stack, "resources": held})
        return
    rows = [(stack_view.short_type(r["type"]), r["name"], r["id"] or "", ", ".join(r["marks"])) for r in held]
    render.table(None, ("resource", "name", "id", ""), rows)
    render.out().print(f"{len(held)} resources")


@command.command()
@options.stack
@engine
@install
@click.option("--file", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write it here.")
@click.option("--show-secrets", is_flag=True, help="Secrets in plain text, for a stack with another passphrase.")
@options.as_json
def export(
    stack: str, engine: str | None, install: bool, target: Path | None, show_secrets: bool, as_json: bool
) -> None:
    """Write the state as JSON (it is JSON with or without --json), secrets encrypted; `pulumi stack import` reads it.

    \b
    Examples:
      bedplate state export --file state.json
      bedplate state export --stack dev > dev.json

    Exit codes: 0 written, 2 the stack was never brought up.
    """
    from bedplate.cli.views import render
    from bedplate.wiring import connect

    document = (
        connect(options.project_dir(), stack).deployment(engine, install=install).export(show_secrets=show_secrets)
    )
    if target is None:
        render.emit_json(document)
        return
    target.touch(mode=0o600)
    target.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    count = len((document.get("deployment") or {}).get("resources") or [])
    if as_json:
        render.emit_json({"stack": stack, "file": str(target), "resources": count})
    else:
        render.remark(f"{count} resources written to {target}")


@command.command("import")
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@options.stack
@engine
@install
@options.yes
@options.as_json
def import_(source: Path, stack: str, engine: str | None, install: bool, yes: bool, as_json: bool) -> None:
    """Put an exported state in the place of the stack's. No resource is touched; what it forgets stays in the world.

    \b
    Example:
      bedplate state import state.json --yes

    Exit codes: 0 done, 1 it contradicts itself, 2 the file is no exported state, 7 another run is at work.
    """
    from bedplate.cli.views import render
    from bedplate.wiring import connect

    document = _read(source)
    count = len(document["deployment"].get("resources") or [])
    platform = connect(options.project_dir(), stack)
    if not as_json:
        render.where(platform.label)
    question = f"Put the {count} resources of {source} in the place of what the state of {stack!r} holds?"
    options.confirm(question, assume_yes=yes, as_json=as_json)
    platform.deployment(engine, install=install).import_(document)
    if as_json:
        render.emit_json({"stack": stack, "file": str(source), "resources": count})
    else:
        render.remark(
            f"{count} resources are in the state of {stack!r}. See what that means: bedplate drift -s {stack}"
        )


@command.command()
@options.stack
@options.yes
@options.as_json
def unlock(stack: str, yes: bool, as_json: bool) -> None:
    """Take away the lock that a run on another machine left behind. On one machine a lock ends with its process.

    
    Example:
      bedplate state unlock --stack local

    Exit codes: 0 unlocked, or there was no lock, 7 a run on this machine is at work.
    """
    from bedplate.cli.views import render
    from bedplate.wiring import connect

    target = connect(options.project_dir(), stack).deployment()
    options.confirm(f"Is nothing at work on stack {stack!r} any more, on any machine?", assume_yes=yes, as_json=as_json)
    held_by = target.unlock()
    if as_json:
        render.emit_json({"stack": stack, "held_by": held_by})
    else:
        render.remark(f"Unlocked; it said: {held_by}" if held_by else f"Stack {stack!r} was not locked")


def _read(source: Path) -> dict[str, Any]:
    try:
        document = json.loads(source.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise UsageError(f"{source} is not JSON: {exc}", next_step="bedplate state export --file state.json") from exc
    if not isinstance(document, dict) or not isinstance(document.get("deployment"), dict):
        raise UsageError(
            f"{source} is no exported state: an object with `version` and `deployment` expected",
            next_step="bedplate state export --file state.json",
        )
    return document


def _told(resource: dict[str, Any]) -> dict[str, Any]:
    flags = {"protect": "protected", "delete": "to be deleted", "external": "only read"}
    return {
        "urn": resource["urn"],
        "type": resource["type"],
        "name": resource["urn"].split("::", 3)[3],
        "id": resource.get("id"),
        "marks": [text for key, text in flags.items() if resource.get(key)],
    }
