"""Parses, formats and applies Pulumi's property paths, such as `tags.Name`, `rules[0].port` or `["a.b"]`."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bedplate.engine.protocol import Properties, Secret

Path = tuple[str | int, ...]

_ELEMENT = re.compile(r'\.?([^.\[\]"]+)|\.?\[(\d+)\]|\.?\[\*\]|\.?\["((?:\\"|[^"])*)"\]')


def parse_path(text: str) -> Path:
    """Parses a property path into its elements.

    >>> parse_path('a.b[0]["c.d"][*]')
    ('a', 'b', 0, 'c.d', '*')

    Raises ValueError when `text` is not a property path.
    """
    elements: list[str | int] = []
    position = 0
    while position < len(text):
        match = _ELEMENT.match(text, position)
        if match is None or (position == 0 and text.startswith(".")):
            raise ValueError(
                f'{text!r} is not a property path: name, .name, [0], [*] or ["name"] expected at {position}'
            )
        name, index, quoted = match.groups()
        if name is not None:
            elements.append(name)
        elif index is not None:
            elements.append(int(index))
        elif quoted is not None:
            elements.append(quoted.replace('\\"', '"'))
        else:
            elements.append("*")
        position = match.end()
    return tuple(elements)


def format_path(path: Sequence[str | int]) -> str:
    """Returns the text of a path; `parse_path` is the inverse.

    >>> format_path(("a", 0, "b", "c.d"))
    'a[0].b["c.d"]'
    """
    text = ""
    for element in path:
        if isinstance(element, int):
            text += f"[{element}]"
        elif re.fullmatch(r"[A-Za-z_$][\w$-]*", element):
            text += f".{element}" if text else element
        else:
            text += '["' + element.replace('"', '\\"') + '"]'
    return text


def contains(outer: Path, inner: Path) -> bool:
    """Returns whether `inner` equals `outer` or is nested in it.

    >>> contains(parse_path("a[*].b"), parse_path("a[3].b.c")), contains(parse_path("a.b"), parse_path("a"))
    (True, False)
    """
    return len(inner) >= len(outer) and all(o in ("*", i) for o, i in zip(outer, inner, strict=False))


def apply_ignore_changes(new: Properties, old: Properties, paths: Sequence[str]) -> Properties:
    """Returns a copy of `new` with the values of `old` at `paths`, which is Pulumi's ignoreChanges.

    Like Pulumi, it skips a path that exists in only one of the two.

    >>> apply_ignore_changes({"x": 2, "m": {"k": 2, "j": 3}}, {"m": {"k": 1}}, ["x", "m.k"])
    {'m': {'k': 1, 'j': 3}}
    >>> apply_ignore_changes({"n": [{"v": 5}]}, {"n": [{"v": 1}]}, ["n[*].v"])
    {'n': [{'v': 1}]}
    """
    if not paths:
        return dict(new)
    result = copy.deepcopy(new)
    for text in paths:
        try:
            path = parse_path(text)
        except ValueError:
            continue
        if path:
            _restore_value(path, old, result)
    return result


def _restore_value(path: Path, old: Any, new: Any, old_secret: bool = False, new_secret: bool = False) -> bool:
    """Sets the value at `path` in `new` to the old value.

    Returns False when only one side has the containers of the path, which also ends the iteration of a `[*]`.
    """
    old, old_secret = _unwrap_secret(old, old_secret)
    new, new_secret = _unwrap_secret(new, new_secret)
    key, tail = path[0], path[1:]

    def copy_old_value(value: Any) -> Any:
        value = copy.deepcopy(value)
        return Secret(value) if old_secret and not new_secret and not isinstance(value, Secret) else value

    if isinstance(key, int):
        if not isinstance(old, list) or not isinstance(new, list):
            return not isinstance(old, list) and not isinstance(new, list)
        if key >= len(old) or key >= len(new):
            return not tail and key >= len(old) and key >= len(new)
        if tail:
            return _restore_value(tail, old[key], new[key], old_secret, new_secret)
        new[key] = copy_old_value(old[key])
        return True
    if key == "*":
        return _restore_elements(
            tail, old, new, copy_old_value, lambda a, b: _restore_value(tail, a, b, old_secret, new_secret)
        )
    if not tail:
        if isinstance(old, dict) and key in old:
            if not isinstance(new, dict):
                return False
            new[key] = copy_old_value(old[key])
        elif isinstance(new, dict):
            new.pop(key, None)
        return True
    if not isinstance(old, dict) or not isinstance(new, dict):
        return not isinstance(old, dict) and not isinstance(new, dict)
    if key not in new:
        return key not in old
    return _restore_value(tail, old.get(key), new[key], old_secret, new_secret)


def _restore_elements(
    tail: Path, old: Any, new: Any, copy_old_value: Callable[[Any], Any], restore_element: Callable[[Any, Any], bool]
) -> bool:
    """Applies the path element `[*]` to all elements that both sides have; returns like `_restore_value`."""
    if isinstance(old, dict) and isinstance(new, dict):
        if tail:
            return all(key in new and restore_element(value, new[key]) for key, value in old.items())
        for key in [key for key in new if key not in old]:
            del new[key]
        new.update({key: copy_old_value(value) for key, value in old.items()})
        return True
    if isinstance(old, list) and isinstance(new, list):
        if tail:
            return all(restore_element(a, b) for a, b in zip(old, new, strict=False)) and len(old) == len(new)
        new[: len(old)] = [copy_old_value(value) for value in old[: len(new)]]
        return len(old) == len(new)
    return not tail and isinstance(new, dict | list)


def _unwrap_secret(value: Any, secret: bool) -> tuple[Any, bool]:
    while isinstance(value, Secret):
        value, secret = value.value, True
    return value, secret


def differences(old: Any, new: Any, prefix: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """Yields every difference as (path, old or None, new or None), as deep as both sides have the same type.

    >>> [(format_path(p), a, b) for p, a, b in differences({"a": 1, "l": [1, 2]}, {"a": 2, "l": [1], "c": 3})]
    [('a', 1, 2), ('l[1]', 2, None), ('c', None, 3)]
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in (*old, *(k for k in new if k not in old)):
            if old.get(key) != new.get(key) or (key in old) != (key in new):
                yield from differences(old.get(key), new.get(key), (*prefix, key))
    elif isinstance(old, list) and isinstance(new, list):
        for i in range(max(len(old), len(new))):
            a, b = (old[i] if i < len(old) else None), (new[i] if i < len(new) else None)
            if a != b:
                yield from differences(a, b, (*prefix, i))
    elif old != new:
        yield prefix, old, new
