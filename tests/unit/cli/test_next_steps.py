"""Every `bedplate ...` in a message of the program names an existing command, subcommand and options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import click

from bedplate.cli import root
from repository import SOURCE

HOLE = "<?>"
"""Replaces the computed parts of an f-string."""
_COMMAND = re.compile(r"(?:^|`|: |then |Next: +)bedplate ([a-z<][^`;,&\n(]*)")


def texts() -> Iterator[tuple[str, str]]:
    """Yields each text that the program may print, with its place; no docstrings (test_help checks their examples)."""
    for path in sorted(SOURCE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if not re.search(r"[\"'`]bedplate |: bedplate |then bedplate ", source):
            continue
        nodes = list(ast.walk(ast.parse(source)))
        parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
        prose = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if id(node) in parts or id(node) in prose:
                continue
            place = f"{path.relative_to(SOURCE)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield place, node.value
            elif isinstance(node, ast.JoinedStr):
                yield place, "".join(str(p.value) if isinstance(p, ast.Constant) else HOLE for p in node.values)


def find_fault(line: str) -> str | None:
    """Returns the fault of a command line; None without one, or when the command's name is computed."""
    command: click.Command = root
    words = [word.strip("'\".:)") for word in line.split()]
    for word in words:
        if not isinstance(command, click.Group):
            break
        if word.startswith("-"):
            return None if word in ("--help", "--version") else f"{word} where a command is expected"
        if HOLE in word:
            return None if command is root else f"{command.name} needs a subcommand, found {word}"
        child = command.get_command(click.Context(command), word)
        if child is None:
            return f"no command {word!r}"
        command = child
    options = {opt for p in command.params for opt in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
    used = [word.split("=")[0] for word in words if re.match(r"--[a-z]", word)]
    return next((f"{command.name} has no {opt}" for opt in used if opt not in options and HOLE not in opt), None)


def test_every_command_in_a_message_exists() -> None:
    commands = [(place, line) for place, text in texts() for line in _COMMAND.findall(text)]
    assert len(commands) > 150
    faults = [f"{place}: bedplate {line}: {fault}" for place, line in commands if (fault := find_fault(line))]
    assert not faults, "\n".join(faults)


def test_a_command_that_does_not_exist_is_reported() -> None:
    assert find_fault("monitor flight-delay") == "no command 'flight-delay'"
    assert find_fault("deploy <?> --strategie ab") == "deploy has no --strategie"
    assert find_fault("monitor <?>") == "monitor needs a subcommand, found <?>"
    assert find_fault("deploy <?>:<?> --strategy ab") is None
