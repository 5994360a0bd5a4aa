"""Finds the line and column of every key in a YAML file, also for values that one file overrides in another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yaml.nodes import Node

KeyPath = tuple[str | int, ...]
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class KeyPositions:
    """The line and column, both counted from 1, of every key and list entry of one file."""

    file: str
    places: dict[KeyPath, Place]
    duplicates: tuple[tuple[KeyPath, int], ...] = ()
    """Keys that the file repeats, with the line of their first occurrence; YAML silently uses the last one."""

    def matching_depth(self, path: KeyPath) -> int:
        """Returns how many leading keys of `path` are in the file."""
        return next((n for n in range(len(path), 0, -1) if path[:n] in self.places), 0)

    def format_place(self, path: KeyPath) -> str:
        """Returns `file:line:column` of `path`, or of its nearest parent that is in the file.

        >>> KeyPositions("a.yaml", {("x",): (3, 1)}).format_place(("x", "missing"))
        'a.yaml:3:1'
        """
        line, column = self.places.get(path[: self.matching_depth(path)], self.places.get((), (1, 1)))
        return f"{self.file}:{line}:{column}"


def locate_keys(text: str, file: str, rename: Callable[[KeyPath], KeyPath | None] = lambda path: path) -> KeyPositions:
    """Returns the positions of all keys of a YAML text; `rename` maps each path, and drops it by returning None.

    Raises yaml.YAMLError when the text is not YAML.
    """
    places: dict[KeyPath, Place] = {}
    duplicates: list[tuple[KeyPath, int]] = []
    for path, place in _locate(text):
        renamed = rename(path)
        if renamed is None:
            continue
        if renamed in places and path:
            duplicates.append((renamed, places[renamed][0]))
        places[renamed] = place
    return KeyPositions(file, places, tuple(duplicates))


@lru_cache(maxsize=512)
def _locate(text: str) -> tuple[tuple[KeyPath, Place], ...]:
    """Returns every path of a text with its place, in the text's order.

    Cached, because a command and the program that it runs read the same files, and a stack file is read once for every
    model that it overrides.
    """
    import yaml

    root = yaml.compose(text, Loader=yaml_loader())
    if root is None:
        return ()
    return tuple((path, (node.start_mark.line + 1, node.start_mark.column + 1)) for path, node in _walk(root, ()))


def yaml_loader() -> Any:
    """Returns libyaml's loader where PyYAML has it: ten times as fast as PyYAML's own, with equal values and places."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _walk(node: Node, path: KeyPath) -> Iterator[tuple[KeyPath, Node]]:
    """Yields every path with its node; for an entry of a mapping this is the node of its key."""
    from yaml.nodes import MappingNode, SequenceNode

    if not path:
        yield path, node
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield (*path, str(key.value)), key
            yield from _walk(value, (*path, str(key.value)))
    elif isinstance(node, SequenceNode):
        for i, value in enumerate(node.value):
            yield (*path, i), value
            yield from _walk(value, (*path, i))


def format_place(layers: tuple[KeyPositions, ...], path: KeyPath) -> str:
    """Returns the place of `path` in the layer that matches most of it; on a tie in the first, which has precedence.

    >>> model = KeyPositions("m.yaml", {("a",): (1, 1), ("a", "b"): (2, 3)})
    >>> overrides = KeyPositions("s.yaml", {("a",): (9, 5)})
    >>> format_place((overrides, model), ("a", "b")), format_place((overrides, model), ("a",))
    ('m.yaml:2:3', 's.yaml:9:5')
    """
    return max(layers, key=lambda layer: layer.matching_depth(path)).format_place(path)
