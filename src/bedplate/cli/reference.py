"""The page docs/cli.md, written from the commands' own help: `python -m bedplate.cli.reference > docs/cli.md`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from bedplate.cli import root


def page() -> str:
    """The whole reference as Markdown; the same commands give the same text, whatever the terminal."""
    parts = [
        "# Commands",
        "Written from the commands' own help by `make docs`.",
        *(f"## {name}\n\n```text\n{text}```" for name, text in _helps(root, "bedplate")),
    ]
    return "\n\n".join(parts) + "\n"


def _helps(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    names = root.context_settings["help_option_names"]  # what a command inherits when it is run from the root
    context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100, help_option_names=names)
    yield name, context.get_help() + "\n"
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None:
                yield from _helps(child, f"{name} {child_name}")


if __name__ == "__main__":
    click.echo(page(), nl=False)
