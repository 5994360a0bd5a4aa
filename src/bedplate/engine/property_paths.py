"""Property paths such as `tags.Name`, `rules[0].port`, `rules[*].port`, `["a.b"]`: parse, contain, reset, compare."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bedplate.engine.protocol import Properties, Secret

Path = tuple[str | int, ...]

_ELEMENT = re.compile(r'\.?([^.\[\]"]+)|\.?\[(\d+)\]|\.?\[\*\]|\.?\["((?:\\"|[^"])*)"\]')


def parse(text: str) -> Path:
    """Read a property path.

    >>> parse('a.b[0]["c.d"][*]')
    ('a', 'b', 0, 'c.d', '*')

    Raises ValueError for what is not a path.
    """
    elements: list[str | int] = []
    at = 0
    while at < len(text):
        match = _ELEMENT.match(text, at)
        if match is None or (at == 0 and text.startswith(".")):
            raise ValueError(f'{text!r} is not a property path: name, .name, [0], [*] or ["name"] expected at {at}')
        name, index, quoted = match.groups()
        if name is not None:
            elements.append(name)
        elif index is not None:
            elements.append(int(index))
        elif quoted is not None:
            elements.append(quoted.replace('\\"', '"'))
        else:
            elements.append("*")
        at = match.end()
    return tuple(elements)


def spell(path: Sequence[str | int]) -> str:
    """The text of a path.

    >>> spell(("a", 0, "b", "c.d"))
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
    """Whether `inner` is `outer` or lies below it.

    >>> contains(parse("a[*].b"), parse("a[3].b.c")), contains(parse("a.b"), parse("a"))
    (True, False)
    """
    return len(inner) >= len(outer) and all(o in ("*", i) for o, i in zip(outer, inner, strict=False))


def restore(new: Properties, old: Properties, paths: Sequence[str]) -> Properties:
    """A copy of `new` with the values of `old` at `paths`: what ignoreChanges asks for.

    A path that only one of the two can be walked along is left alone, as Pulumi does.

    >>> restore({"x": 2, "m": {"k": 2, "j": 3}}, {"m": {"k": 1}}, ["x", "m.k"])
    {'m': {'k': 1, 'j': 3}}
    >>> restore({"n": [{"v": 5}]}, {"n": [{"v": 1}]}, ["n[*].v"])
    {'n': [{'v': 1}]}
    """
    if not paths:
        return dict(new)
    result = copy.deepcopy(new)
    for text in paths:
        try:
            path = parse(text)
        except ValueError:
            continue
        if path:
            _reset(path, old, result)
    return result


def _reset(path: Path, old: Any, new: Any, old_secret: bool = False, new_secret: bool = False) -> bool:
    """Put the old value at the path's end; False when only one side has the way there, which ends a walk over many."""
    old, old_secret = _open(old, old_secret)
    new, new_secret = _open(new, new_secret)
    key, rest = path[0], path[1:]

    def taken(value: Any) -> Any:
        value = copy.deepcopy(value)
        return Secret(value) if old_secret and not new_secret and not isinstance(value, Secret) else value

    if isinstance(key, int):
        if not isinstance(old, list) or not isinstance(new, list):
            return not isinstance(old, list) and not isinstance(new, list)
        if key >= len(old) or key >= len(new):
            return not rest and key >= len(old) and key >= len(new)
        if rest:
            return _reset(rest, old[key], new[key], old_secret, new_secret)
        new[key] = taken(old[key])
        return True
    if key == "*":
        return _reset_all(rest, old, new, taken, lambda a, b: _reset(rest, a, b, old_secret, new_secret))
    if not rest:
        if isinstance(old, dict) and key in old:
            if not isinstance(new, dict):
                return False
            new[key] = taken(old[key])
        elif isinstance(new, dict):
            new.pop(key, None)
        return True
    if not isinstance(old, dict) or not isinstance(new, dict):
        return not isinstance(old, dict) and not isinstance(new, dict)
    if key not in new:
        return key not in old
    return _reset(rest, old.get(key), new[key], old_secret, new_secret)


def _reset_all(rest: Path, old: Any, new: Any, taken: Callable[[Any], Any], below: Callable[[Any, Any], bool]) -> bool:
    """The step `[*]`: over every element, as long as both sides have it."""
    if isinstance(old, dict) and isinstance(new, dict):
        if rest:
            return all(key in new and below(value, new[key]) for key, value in old.items())
        for key in [key for key in new if key not in old]:
            del new[key]
        new.update({key: taken(value) for key, value in old.items()})
        return True
    if isinstance(old, list) and isinstance(new, list):
        if rest:
            return all(below(a, b) for a, b in zip(old, new, strict=False)) and len(old) == len(new)
        new[: len(old)] = [taken(value) for value in old[: len(new)]]
        return len(old) == len(new)
    return not rest and isinstance(new, dict | list)


def _open(value: Any, secret: bool) -> tuple[Any, bool]:
    while isinstance(value, Secret):
        value, secret = value.value, True
    return value, secret


def differences(old: Any, new: Any, at: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """Every place where the two differ, as (path, old or None, new or None), as deep as both are of one shape.

    >>> [(spell(p), a, b) for p, a, b in differences({"a": 1, "l": [1, 2]}, {"a": 2, "l": [1], "c": 3})]
    [('a', 1, 2), ('l[1]', 2, None), ('c', None, 3)]
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in (*old, *(k for k in new if k not in old)):
            if old.get(key) != new.get(key) or (key in old) != (key in new):
                yield from differences(old.get(key), new.get(key), (*at, key))
    elif isinstance(old, list) and isinstance(new, list):
        for i in range(max(len(old), len(new))):
            a, b = (old[i] if i < len(old) else None), (new[i] if i < len(new) else None)
            if a != b:
                yield from differences(a, b, (*at, i))
    elif old != new:
        yield at, old, new
