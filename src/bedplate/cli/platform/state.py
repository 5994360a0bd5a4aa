"""`bedplate state`: list, export, import and unlock a stack's state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bedplate.cli import options
from bedplate.cli.platform.up import engine, install
from bedplate.errors import UsageError


@click.group()
def command() -> None:
    """List, export, import and unlock a stack's state, which the last run stored in Pulumi's checkpoint format.

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
    """List the resources in the state: type, name and id.

    \b
    Example:
      bedplate state list --json

    \b
    Exit codes:
      0  the resources are listed
      2  the stack does not exist yet
    """
    from bedplate.cli.views import render, stack_view

    document = options.connect(stack).deployment(engine, install=install).export()
    resources = [_resource_to_dict(resource) for resource in _list_resources(document)]
    if as_json:
        render.emit_json({"stack": stack, "resources": resources})
        return
    rows = [(stack_view.short_type(r["type"]), r["name"], r["id"] or "", ", ".join(r["flags"])) for r in resources]
    render.print_table(None, ("resource", "name", "id", ""), rows)
    render.console().print(f"{len(resources)} resources")


@command.command()
@options.stack
@engine
@install
@click.option("--file", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option("--show-secrets", is_flag=True, help="Export secrets in plain text, for a stack with another passphrase.")
@options.as_json
def export(
    stack: str, engine: str | None, install: bool, target: Path | None, show_secrets: bool, as_json: bool
) -> None:
    """Print the state as JSON, with encrypted secrets, for `state import` or `pulumi stack import`.

    With --file, write it to a file that only you can read. Without --file, the output is JSON even without --json.

    \b
    Examples:
      bedplate state export --file state.json
      bedplate state export --stack dev > dev.json

    \b
    Exit codes:
      0  the state is exported
      2  the stack does not exist yet
    """
    from bedplate.cli.views import render

    document = options.connect(stack).deployment(engine, install=install).export(show_secrets=show_secrets)
    if target is None:
        render.emit_raw_json(document)
        return
    target.touch(mode=0o600)
    target.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    count = len(_list_resources(document))
    if as_json:
        render.emit_json({"stack": stack, "file": str(target), "resources": count})
    else:
        render.warn(f"Wrote {count} resources to {target}")


@command.command("import")
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@options.stack
@engine
@install
@options.yes
@options.as_json
def import_(source: Path, stack: str, engine: str | None, install: bool, yes: bool, as_json: bool) -> None:
    """Replace the stack's state with an exported one. Changes no resource.

    Resources that the new state does not list continue to exist, but Bedplate no longer manages them.

    \b
    Example:
      bedplate state import state.json --yes

    \b
    Exit codes:
      0  the state is replaced
      1  the exported state contradicts itself
      2  FILE is not an exported state
      7  another run is in progress
    """
    from bedplate.cli.views import render

    document = _read_state(source)
    count = len(_list_resources(document))
    connection = options.connect_target(stack, as_json=as_json)
    question = f"Replace the state of {stack!r} with the {count} resources of {source}?"
    options.confirm(question, assume_yes=yes, as_json=as_json)
    connection.deployment(engine, install=install).import_(document)
    if as_json:
        render.emit_json({"stack": stack, "file": str(source), "resources": count})
    else:
        render.warn(f"The state of {stack!r} now lists {count} resources. Next: bedplate drift --stack {stack}")


@command.command()
@options.stack
@options.yes
@options.as_json
def unlock(stack: str, yes: bool, as_json: bool) -> None:
    """Remove the lock that an interrupted run on another machine left behind.

    A lock of this machine ends with its process.

    
    Example:
      bedplate state unlock --stack local

    \b
    Exit codes:
      0  the stack is not locked
      7  a run on this machine is in progress
    """
    from bedplate.cli.views import render

    pulumi_stack = options.connect(stack).deployment()
    question = f"Has every run on stack {stack!r} ended, on all machines?"
    options.confirm(question, assume_yes=yes, as_json=as_json)
    holder = pulumi_stack.unlock()
    if as_json:
        render.emit_json({"stack": stack, "lock_holder": holder})
    else:
        render.warn(f"Removed the lock of {holder}" if holder else f"Stack {stack!r} was not locked")


def _read_state(source: Path) -> dict[str, Any]:
    try:
        document = json.loads(source.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise UsageError(f"{source} is not JSON: {exc}", next_step="bedplate state export --file state.json") from exc
    if not isinstance(document, dict) or not isinstance(document.get("deployment"), dict):
        raise UsageError(
            f"{source} is not an exported state: expected a JSON object with `version` and `deployment`",
            next_step="bedplate state export --file state.json",
        )
    return document


def _list_resources(document: dict[str, Any]) -> list[dict[str, Any]]:
    return (document.get("deployment") or {}).get("resources") or []


def _resource_to_dict(resource: dict[str, Any]) -> dict[str, Any]:
    flags = {"protect": "protected", "delete": "to be deleted", "external": "read only"}
    return {
        "urn": resource["urn"],
        "type": resource["type"],
        "name": resource["urn"].split("::", 3)[3],
        "id": resource.get("id"),
        "flags": [text for key, text in flags.items() if resource.get(key)],
    }
