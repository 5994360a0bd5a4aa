"""Drafts a new stack file from an existing one, keeping its values and comments."""

from __future__ import annotations

from collections.abc import Mapping


def draft_stack_file(text: str, *, stack: str, source: str, values: Mapping[str, str | None]) -> str:
    """Returns the text of a new stack file. `values` replace scalars by their key in the file; None removes the key.

    Comment lines before `config:` describe the other environment and are replaced; comments beside values stay.

    >>> print(draft_stack_file("# dev: ours\\nconfig:\\n  aws:region: a # near\\n", stack="qa", source="dev",
    ...             values={"aws:region": "b"}), end="")
    # qa: drafted from dev; compare them with: bedplate stack diff dev qa
    config:
      aws:region: b # near
    """
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("config:")), 0)
    body = lines[start:]
    indent = next((_indent(line) for line in body[1:] if line.strip()), "  ")
    for key, value in values.items():
        row = next((i for i, line in enumerate(body) if line.strip().startswith(f"{key}:")), None)
        if value is not None and row is None:
            body.insert(1, f"{indent}{key}: {value}")
        elif value is not None and row is not None:
            setting, mark, comment = body[row].partition(" #")
            body[row] = f"{_indent(setting)}{key}: {value}{mark}{comment}"
        elif row is not None:
            del body[row]
    head = f"# {stack}: drafted from {source}; compare them with: bedplate stack diff {source} {stack}"
    return "\n".join([head, *body]).rstrip() + "\n"


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
