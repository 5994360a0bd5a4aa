"""Where in a YAML file a key stands: line and column of a path of keys, also when files lie over each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yaml.nodes import Node

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Positions:
    """The places (line and column, from 1) of every key and list entry of one file."""

    file: str
    places: dict[Path, tuple[int, int]]
    twice: tuple[tuple[Path, int], ...] = ()
    """Keys that the file gives again, with the line where they stood first: YAML keeps the last one silently."""

    def depth(self, path: Path) -> int:
        """How many keys of the path the file holds, from the first on."""
        return next((n for n in range(len(path), 0, -1) if path[:n] in self.places), 0)

    def tell(self, path: Path) -> str:
        """`file:line:column` of the path, or of the nearest key above it that the file holds.

        >>> Positions("a.yaml", {("x",): (3, 1)}).tell(("x", "missing"))
        'a.yaml:3:1'
        """
        place = self.places.get(path[: self.depth(path)], self.places.get((), (1, 1)))
        return f"{self.file}:{place[0]}:{place[1]}"


def positions(text: str, file: str, rename: Callable[[Path], Path | None] = lambda path: path) -> Positions:
    """Compose the text and note where everything stands; `rename` says what a path is called, None leaves it out.

    Raises yaml.YAMLError for what is not YAML.
    """
    places: dict[Path, tuple[int, int]] = {}
    twice: list[tuple[Path, int]] = []
    for path, place in _composed(text):
        called = rename(path)
        if called is None:
            continue
        if called in places and path:
            twice.append((called, places[called][0]))
        places[called] = place
    return Positions(file, places, tuple(twice))


@lru_cache(maxsize=512)
def _composed(text: str) -> tuple[tuple[Path, tuple[int, int]], ...]:
    """Every path of a text with its place, in the text's order; the same files are asked after more than once in a run
    (by the command, and by the program that it runs), a stack's own once for every model that it overrides."""
    import yaml

    root = yaml.compose(text, Loader=fast_loader())
    if root is None:
        return ()
    return tuple((path, (node.start_mark.line + 1, node.start_mark.column + 1)) for path, node in _walk(root, ()))


def fast_loader() -> Any:
    """libyaml's parser where PyYAML was built with it: a tenth of the seconds, the same values and places."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _walk(node: Node, path: Path) -> Iterator[tuple[Path, Node]]:
    """A mapping's entries stand where their keys stand."""
    from yaml.nodes import MappingNode, SequenceNode

    if not path:
        yield path, node
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield (*path, str(key.value)), key
            yield from _walk(value, (*path, str(key.value)))
    elif isinstance(node, SequenceNode):
        for at, value in enumerate(node.value):
            yield (*path, at), value
            yield from _walk(value, (*path, at))


def tell(layers: tuple[Positions, ...], path: Path) -> str:
    """The place of a path in files that lie over each other, the uppermost first: the one that says most about it.

    >>> below, above = Positions("m.yaml", {("a",): (1, 1), ("a", "b"): (2, 3)}), Positions("s.yaml", {("a",): (9, 5)})
    >>> tell((above, below), ("a", "b")), tell((above, below), ("a",))
    ('m.yaml:2:3', 's.yaml:9:5')
    """
    return max(layers, key=lambda layer: layer.depth(path)).tell(path)
