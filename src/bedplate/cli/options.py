"""Options that several commands share, each spelled once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bedplate.errors import NotFound, UsageError

F = TypeVar("F", bound=Callable[..., Any])

stack = click.option(
    "--stack", "-s", envvar="BEDPLATE_STACK", default="local", show_default=True, help="Environment: a file in stacks/."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Data as JSON on standard output; never a prompt.")
yes = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
dry_run = click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
wait = click.option("--wait/--no-wait", default=True, show_default=True, help="Follow the work until it is done.")
model = click.argument("model", metavar="MODEL")
"""A folder in models/."""


def project_dir() -> Path:
    """The nearest folder upwards that holds Pulumi.yaml (BEDPLATE_PROJECT names another, or a snapshot of one)."""
    named = os.environ.get("BEDPLATE_PROJECT")
    if named and named.endswith(".tar.gz"):
        from bedplate.cli.snapshot import unpacked

        return unpacked(Path(named))
    start = Path(named).resolve() if named else Path.cwd()
    for folder in (start, *start.parents):
        if (folder / "Pulumi.yaml").exists():
            return folder
    raise NotFound(
        f"No Pulumi.yaml in {start} or above it: this is not a Bedplate project",
        next_step="cd <your project>, or set BEDPLATE_PROJECT",
    )


def model_and_version(text: str) -> tuple[str, int | None]:
    """Read MODEL or MODEL:VERSION.

    >>> model_and_version("flight-delay:3"), model_and_version("flight-delay:v3"), model_and_version("flight-delay")
    (('flight-delay', 3), ('flight-delay', 3), ('flight-delay', None))
    """
    name, _, version = text.partition(":")
    if not version:
        return name, None
    if not version.removeprefix("v").isdigit():
        raise UsageError(
            f"{text!r}: MODEL or MODEL:VERSION expected, as in {name}:3", next_step=f"bedplate models list {name}"
        )
    return name, int(version.removeprefix("v"))


def confirm(question: str, *, assume_yes: bool, as_json: bool = False) -> None:
    """Ask before something changes; without a terminal, or with --json, it is an error that names the flag."""
    if assume_yes:
        return
    if as_json or not sys.stdin.isatty():
        raise UsageError(f"{question} There is no terminal to ask on.", next_step="the same command with --yes")
    click.confirm(question, abort=True, err=True)
