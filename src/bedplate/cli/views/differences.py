"""Lists the differences between two values of a resource property, down to single statements of a policy document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from bedplate.domain.stacks.plan import UNKNOWN

WIDTH = 40
MAX_DIFFERENCES = 8
_CONTEXT = 12
_Difference = tuple[str, str, str]


def differences(old: Any, new: Any) -> list[_Difference]:
    """Returns each path below the property at which the values differ, with both values there as text.

    An empty path means the property itself. Texts that contain JSON are parsed, policy statements are matched by their
    Sid, and for two lists of strings the result shows the removed and the added items.

    >>> differences("a", "b")
    [('', 'a', 'b')]
    >>> policy = '{"Statement": [{"Sid": "A", "Action": %s}]}'
    >>> differences(policy % '["x", "y"]', policy % '["y"]')
    [('.Statement[A].Action', 'x', '(none)')]
    """
    before, after = _parse_structure(old), _parse_structure(new)
    if before is None or after is None:
        return [_difference("", old, new)]
    return [_difference(*parts) for parts in _compare(before, after, "")] or [_difference("", old, new)]


def format_value(value: Any) -> str:
    """Returns a value as text of at most WIDTH characters."""
    text = _to_text(value)
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _difference(path: str, old: Any, new: Any) -> _Difference:
    before, after = format_values(old, new)
    return path, before, after


def format_values(*values: Any) -> tuple[str, ...]:
    """Returns each value as text; long texts start shortly before the first character in which they differ.

    >>> format_values("registry.example/images:" + "x" * 30 + "1", "registry.example/images:" + "x" * 30 + "2", None)
    ('…xxxxxxxxxxxx1', '…xxxxxxxxxxxx2', '(none)')
    """
    texts = [_to_text(value) for value in values if value is not None and value != UNKNOWN]
    start = next((i for i, chars in enumerate(zip_longest(*texts)) if len(set(chars)) > 1), 0) - _CONTEXT
    if start <= 1 or max(map(len, texts)) <= WIDTH:
        return tuple(format_value(value) for value in values)
    return tuple(
        format_value(value if value is None or value == UNKNOWN else "…" + _to_text(value)[start:]) for value in values
    )


def _to_text(value: Any) -> str:
    if value == UNKNOWN:
        return "(known after apply)"
    if value is None:
        return "(none)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parse_structure(value: Any) -> Any:
    """Returns a mapping or a list, parsed if the value is a JSON text; None for anything else."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, dict | list) else None


def _compare(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _compare(old.get(key), new.get(key), f"{path}.{key}")
    elif isinstance(old, list) and isinstance(new, list):
        yield from _compare_lists(old, new, path)
    elif old != new:
        yield path, old, new


def _compare_lists(old: list[Any], new: list[Any], path: str) -> Iterator[tuple[str, Any, Any]]:
    before, after = _statements_by_sid(old), _statements_by_sid(new)
    if before is not None and after is not None:
        for sid in dict.fromkeys((*before, *after)):
            yield from _compare(before.get(sid), after.get(sid), f"{path}[{sid}]")
    elif all(isinstance(item, str) for item in (*old, *new)) and set(old) != set(new):
        removed, added = [x for x in old if x not in new], [x for x in new if x not in old]
        yield path, ", ".join(removed) or None, ", ".join(added) or None
    else:
        for i, (old_item, new_item) in enumerate(zip_longest(old, new)):
            yield from _compare(old_item, new_item, f"{path}[{i}]")


def _statements_by_sid(statements: list[Any]) -> dict[str, Any] | None:
    by_sid = {s["Sid"]: s for s in statements if isinstance(s, Mapping) and isinstance(s.get("Sid"), str)}
    return by_sid if statements and len(by_sid) == len(statements) else None
