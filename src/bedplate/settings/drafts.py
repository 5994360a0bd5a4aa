"""Writes a new stack file after the model of another: its values and comments, with a name of its own."""

from __future__ import annotations

from collections.abc import Mapping


def draft(text: str, *, stack: str, source: str, values: Mapping[str, str | None]) -> str:
    """The text of a new stack file. `values` are scalars by their key in the file; None removes a key.

    Comment lines before `config:` spoke of the other environment and are replaced; those beside values stay.

    >>> print(draft("# dev: ours\\nconfig:\\n  aws:region: a # near\\n", stack="qa", source="dev",
    ...             values={"aws:region": "b"}), end="")
    # qa: made after dev, and what differs is shown by: bedplate stack diff dev qa
    config:
      aws:region: b # near
    """
    lines = text.splitlines()
    first = next((at for at, line in enumerate(lines) if line.startswith("config:")), 0)
    body = lines[first:]
    indent = next((_indent(line) for line in body[1:] if line.strip()), "  ")
    for key, value in values.items():
        at = next((n for n, line in enumerate(body) if line.strip().startswith(f"{key}:")), None)
        if value is not None and at is None:
            body.insert(1, f"{indent}{key}: {value}")
        elif value is not None and at is not None:
            before, mark, comment = body[at].partition(" #")
            body[at] = f"{_indent(before)}{key}: {value}{mark}{comment}"
        elif at is not None:
            del body[at]
    head = f"# {stack}: made after {source}, and what differs is shown by: bedplate stack diff {source} {stack}"
    return "\n".join([head, *body]).rstrip() + "\n"


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
