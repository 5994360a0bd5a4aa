"""Options, arguments and the connection to a stack that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bedplate.errors import NotFound, UsageError

if TYPE_CHECKING:
    from bedplate.wiring import Connection

F = TypeVar("F", bound=Callable[..., Any])

stack = click.option(
    "--stack", "-s", envvar="BEDPLATE_STACK", default="local", show_default=True, help="Environment: a file in stacks/."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output; never prompt.")
yes = click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
dry_run = click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
wait = click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the work is finished.")
model = click.argument("model", metavar="MODEL")
"""The name of a folder in models/."""


def project_dir() -> Path:
    """Returns the nearest folder, from the current one upwards, that contains Pulumi.yaml.

    BEDPLATE_PROJECT names another folder, or a project snapshot (`.tar.gz`). Raises NotFound.
    """
    override = os.environ.get("BEDPLATE_PROJECT")
    if override and override.endswith(".tar.gz"):
        from bedplate.cli.snapshot import unpack

        return unpack(Path(override))
    start = Path(override).resolve() if override else Path.cwd()
    for folder in (start, *start.parents):
        if (folder / "Pulumi.yaml").exists():
            return folder
    raise NotFound(
        f"No Pulumi.yaml in {start} or above it: this is not a Bedplate project",
        next_step="cd <your project>, or set BEDPLATE_PROJECT",
    )


def connect(stack: str) -> Connection:
    """Connects to a stack of the project."""
    from bedplate.wiring import connect

    return connect(project_dir(), stack)


def connect_target(stack: str, *, as_json: bool) -> Connection:
    """Connects to a stack that the command may change, and prints its label on standard error unless `as_json`."""
    connection = connect(stack)
    if not as_json:
        click.secho(connection.label, bold=True, err=True)
    return connection


def parse_model_version(text: str) -> tuple[str, int | None]:
    """Parses MODEL or MODEL:VERSION; the version is None when it is missing. Raises UsageError.

    >>> parse_model_version("churn:3"), parse_model_version("churn:v3"), parse_model_version("churn")
    (('churn', 3), ('churn', 3), ('churn', None))
    """
    name, _, version = text.partition(":")
    if not version:
        return name, None
    if not version.removeprefix("v").isdigit():
        raise UsageError(
            f"{text!r}: expected MODEL or MODEL:VERSION, as in {name}:3", next_step=f"bedplate models list {name}"
        )
    return name, int(version.removeprefix("v"))


def confirm(question: str, *, assume_yes: bool, as_json: bool = False) -> None:
    """Asks before a change. Without a terminal, or with --json, raises UsageError that names --yes."""
    if assume_yes:
        return
    if as_json or not sys.stdin.isatty():
        raise UsageError(f"{question} There is no terminal to ask on.", next_step="the same command with --yes")
    click.confirm(question, abort=True, err=True)
