"""Where a tuning looks: random points of ranges, every point of a grid, and when a trial is not worth finishing."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from bedplate.settings.tuning import Range

MIN_COMPARED = 3
"""Trials that must have come as far before one is stopped by them."""


def at(space: Range, share: float) -> str:
    """The value at a share of the way, 0 to 1, on the range's scale; an integer's and a category's shares are equal.

    >>> at(Range("continuous", 0.01, 1, log=True), 0.5), at(Range("integer", 1, 4), 0.99)
    ('0.1', '4')
    >>> at(Range("categorical", values=("a", "b")), 0.5)
    'b'
    """
    share = min(max(share, 0.0), 1.0)
    if space.kind == "categorical":
        return space.values[min(int(share * len(space.values)), len(space.values) - 1)]
    low, high = space.low, space.high
    if space.kind == "integer":  # from the lower edge of the first to the upper edge of the last
        low, high = low - 0.5, high + 0.5
        if space.log:
            low = max(low, 0.5)
    value = (
        math.exp(math.log(low) + share * (math.log(high) - math.log(low))) if space.log else low + share * (high - low)
    )
    if space.kind == "integer":
        return str(int(min(max(round(value), space.low), space.high)))
    return f"{min(max(value, space.low), space.high):.10g}"


def share_of(space: Range, value: str) -> float:
    """The share at which a value lies, in the middle of an integer's and a category's.

    >>> share_of(Range("continuous", 0.01, 1, log=True), "0.1"), share_of(Range("integer", 1, 4), "1")
    (0.5, 0.125)
    >>> share_of(Range("categorical", values=("a", "b")), "b")
    0.75
    """
    if space.kind == "categorical":
        return (space.values.index(value) + 0.5) / len(space.values)
    low, high, found = space.low, space.high, float(value)
    if space.kind == "integer":
        low, high = low - 0.5, high + 0.5
        low = max(low, 0.5) if space.log else low
    if space.log:
        low, high, found = math.log(low), math.log(high), math.log(found)
    return (found - low) / (high - low)


def sample(ranges: Mapping[str, Range], rng: random.Random) -> dict[str, str]:
    """One point, uniform on each range's own scale."""
    return {name: at(space, rng.random()) for name, space in ranges.items()}


def points(ranges: Mapping[str, Range]) -> Iterator[dict[str, str]]:
    """Every point of a grid. Raises ValueError for a range that is not categorical: SageMaker's grids are of those.

    >>> list(points({"a": Range("categorical", values=("1", "2"))}))
    [{'a': '1'}, {'a': '2'}]
    """
    for name, space in ranges.items():
        if space.kind != "categorical":
            raise ValueError(f"{name}: a grid takes values with commas between them, found {space}")
    for chosen in itertools.product(*(space.values for space in ranges.values())):
        yield dict(zip(ranges, chosen, strict=True))


def grid_size(ranges: Mapping[str, Range]) -> int:
    """How many points a grid has.

    >>> grid_size({"a": Range("categorical", values=("1", "2")), "b": Range("categorical", values=("x", "y", "z"))})
    6
    """
    return math.prod(len(space.values) for space in ranges.values())


def worth_finishing(trial: Sequence[float], others: Sequence[Sequence[float]], *, maximize: bool) -> bool:
    """Whether a trial whose objective went like this, report by report, may go on.

    SageMaker's rule: it is stopped when its last figure is worse than the median of the running averages that the
    others had after as many reports; at first, with fewer than MIN_COMPARED others as far, it goes on.

    >>> others = [[0.6, 0.7], [0.6, 0.8], [0.5, 0.6]]
    >>> worth_finishing([0.5, 0.55], others, maximize=True), worth_finishing([0.5, 0.9], others, maximize=True)
    (False, True)
    >>> worth_finishing([0.5], others[:2], maximize=True)
    True
    """
    seen = len(trial)
    averages = [sum(other[:seen]) / seen for other in others if len(other) >= seen] if seen else []
    if len(averages) < MIN_COMPARED:
        return True
    middle = median(averages)
    return trial[-1] >= middle if maximize else trial[-1] <= middle
