"""What differs between two values of a property, so short that a reviewer sees it: also inside of a policy document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from bedplate.domain.stacks.plan import UNKNOWN

WIDTH = 40
MOST = 8
_CONTEXT = 12
_Found = tuple[str, str, str]


def differences(old: Any, new: Any) -> list[_Found]:
    """Where below the property the two differ (nothing: it is the property itself), and both values there as text.

    JSON in a text is looked into; statements of a policy are held against each other by their Sid, and of two lists of
    words it is told what goes and what comes.

    >>> differences("a", "b")
    [('', 'a', 'b')]
    >>> policy = '{"Statement": [{"Sid": "A", "Action": %s}]}'
    >>> differences(policy % '["x", "y"]', policy % '["y"]')
    [('.Statement[A].Action', 'x', '(none)')]
    """
    before, after = _structure(old), _structure(new)
    if before is None or after is None:
        return [_found("", old, new)]
    return [_found(*each) for each in _walk(before, after, "")] or [_found("", old, new)]


def value_text(value: Any) -> str:
    """A value as people say it, cut to WIDTH."""
    text = _text(value)
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _found(at: str, old: Any, new: Any) -> _Found:
    before, after = apart(old, new)
    return at, before, after


def apart(*values: Any) -> tuple[str, ...]:
    """Each as text, the long ones from shortly before where they part.

    >>> apart("registry.example/images:" + "x" * 30 + "1", "registry.example/images:" + "x" * 30 + "2", None)
    ('…xxxxxxxxxxxx1', '…xxxxxxxxxxxx2', '(none)')
    """
    told = [_text(value) for value in values if value is not None and value != UNKNOWN]
    if len(set(told)) < 2:
        return tuple(value_text(value) for value in values)
    start = next((i for i, chars in enumerate(zip_longest(*told)) if len(set(chars)) > 1), 0) - _CONTEXT
    if start <= 1 or max(map(len, told)) <= WIDTH:
        return tuple(value_text(value) for value in values)
    return tuple(
        value_text(value if value is None or value == UNKNOWN else "…" + _text(value)[start:]) for value in values
    )


def _text(value: Any) -> str:
    if value == UNKNOWN:
        return "(known after apply)"
    if value is None:
        return "(none)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _structure(value: Any) -> Any:
    """A mapping or a list, also one that stands in a text as JSON; None for anything else."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, dict | list) else None


def _walk(old: Any, new: Any, at: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _walk(old.get(key), new.get(key), f"{at}.{key}")
    elif isinstance(old, list) and isinstance(new, list):
        yield from _walk_lists(old, new, at)
    elif old != new:
        yield at, old, new


def _walk_lists(old: list[Any], new: list[Any], at: str) -> Iterator[tuple[str, Any, Any]]:
    if _by_sid(old) is not None and _by_sid(new) is not None:
        before, after = _by_sid(old) or {}, _by_sid(new) or {}
        for sid in dict.fromkeys((*before, *after)):
            yield from _walk(before.get(sid), after.get(sid), f"{at}[{sid}]")
    elif all(isinstance(each, str) for each in (*old, *new)) and set(old) != set(new):
        gone, come = [x for x in old if x not in new], [x for x in new if x not in old]
        yield at, ", ".join(gone) or None, ", ".join(come) or None
    else:
        for number, (was, will) in enumerate(zip_longest(old, new)):
            yield from _walk(was, will, f"{at}[{number}]")


def _by_sid(statements: list[Any]) -> dict[str, Any] | None:
    named = {each["Sid"]: each for each in statements if isinstance(each, Mapping) and isinstance(each.get("Sid"), str)}
    return named if statements and len(named) == len(statements) else None
