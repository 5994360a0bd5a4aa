"""The table of commands, the commands' own help and docs/cli.md agree."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from bedplate.cli import SECTIONS, LazyGroup, root
from repository import ROOT

NAMES = [name for section in SECTIONS.values() for name in section.commands]


def leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command, info_name=" ".join(path))
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None, f"{' '.join(path)} lists {name}, which does not exist"
        yield from leaves(child, (*path, name))


LEAVES = dict(leaves(root, ("bedplate",)))
LINES = {("bedplate", "models", "log"), ("bedplate", "ledger", "export")}
"""Commands that print stored lines: a log, and records that are JSON already."""


@pytest.mark.parametrize("name", NAMES)
def test_every_command_of_the_table_exists(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    assert command.help


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_contains_an_example_to_paste(path: tuple[str, ...]) -> None:
    assert " ".join(path) in (LEAVES[path].help or "").split("Example", 1)[-1], (
        "the help needs an example with the command"
    )
    assert "Example" in (LEAVES[path].help or "")


@pytest.mark.parametrize("path", sorted(LEAVES.keys() - LINES), ids=" ".join)
def test_every_command_has_json_output(path: tuple[str, ...]) -> None:
    assert any("--json" in parameter.opts for parameter in LEAVES[path].params)


def test_the_root_help_imports_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys; from bedplate.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith('bedplate.cli.')"
        " or m in ('boto3', 'pulumi', 'rich', 'numpy', 'pydantic', 'yaml')], file=sys.stderr)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stderr.strip() == "[]"
    assert "The life of a release" in process.stdout


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_of_a_command_imports_nothing_heavy(path: tuple[str, ...]) -> None:
    package = next(section.package for section in SECTIONS.values() if path[1] in section.commands)
    module = f"bedplate.cli.{package}.{path[1].replace('-', '_')}"
    code = (
        f"import sys, {module}\n"
        "heavy = 'boto3', 'pulumi', 'numpy', 'pandas', 'pyarrow', 'sagemaker', 'matplotlib', 'rich'\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


def test_a_mistyped_command_suggests_the_nearest_one() -> None:
    process = subprocess.run([sys.executable, "-m", "bedplate", "rolback"], capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert "Did you mean 'rollback'?" in process.stderr


def test_the_root_group_is_lazy() -> None:
    assert isinstance(root, LazyGroup)


def test_the_reference_page_matches_the_help() -> None:
    from bedplate.cli.reference import build_page

    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == build_page(), "run: make docs"
