"""What an error tells people to type exists: every `bedplate ...` in a text of the program names a command, its
subcommand and its options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import click

from bedplate.cli import root
from repository import SOURCE

HOLE = "<?>"
"""Stands for what is computed."""
_COMMAND = re.compile(r"(?:^|`|: |then |Next: +)bedplate ([a-z<][^`;,&\n(]*)")


def texts() -> Iterator[tuple[str, str]]:
    """Every text that the program may print, with the place; no docstrings (their examples are held by test_help)."""
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
            at = f"{path.relative_to(SOURCE)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield at, node.value
            elif isinstance(node, ast.JoinedStr):
                yield at, "".join(str(p.value) if isinstance(p, ast.Constant) else HOLE for p in node.values)


def wrong(line: str) -> str | None:
    """What is wrong with a command line; None when nothing is, or when it names the command by what is computed."""
    command: click.Command = root
    words = [word.strip("'\".:)") for word in line.split()]
    for word in words:
        if not isinstance(command, click.Group):
            break
        if word.startswith("-"):
            return None if word in ("--help", "--version") else f"{word} where a command is expected"
        if HOLE in word:
            return None if command is root else f"{command.name} wants a subcommand, not {word}"
        found = command.get_command(click.Context(command), word)
        if found is None:
            return f"no command {word!r}"
        command = found
    known = {opt for p in command.params for opt in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
    asked = [word.split("=")[0] for word in words if re.match(r"--[a-z]", word)]
    return next((f"{command.name} has no {opt}" for opt in asked if opt not in known and HOLE not in opt), None)


def test_every_command_that_a_text_tells_people_to_type_exists() -> None:
    found = [(at, line) for at, text in texts() for line in _COMMAND.findall(text)]
    assert len(found) > 150
    faults = [f"{at}: bedplate {line}: {fault}" for at, line in found if (fault := wrong(line))]
    assert not faults, "\n".join(faults)


def test_a_command_that_does_not_exist_is_found() -> None:
    assert wrong("monitor flight-delay") == "no command 'flight-delay'"
    assert wrong("deploy <?> --strategie ab") == "deploy has no --strategie"
    assert wrong("monitor <?>") == "monitor wants a subcommand, not <?>"
    assert wrong("deploy <?>:<?> --strategy ab") is None
