"""Writes docs/cli.md from the commands' own help: `python -m bedplate.cli.reference > docs/cli.md`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from bedplate.cli import root


def build_page() -> str:
    """Returns the reference of all commands as Markdown; the text does not depend on the terminal."""
    parts = [
        "# Commands",
        "Generated from the commands' own help by `make docs`.",
        *(f"## {name}\n\n```text\n{text}```" for name, text in _helps(root, "bedplate")),
    ]
    return "\n\n".join(parts) + "\n"


def _helps(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    names = root.context_settings["help_option_names"]  # a command inherits these from the root
    context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100, help_option_names=names)
    yield name, context.get_help() + "\n"
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None:
                yield from _helps(child, f"{name} {child_name}")


if __name__ == "__main__":
    click.echo(build_page(), nl=False)
