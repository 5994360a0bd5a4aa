"""Chooses a tuning's points: random points of ranges and all points of a grid, and stops trials early."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from bedplate.settings.tuning import Range

MIN_COMPARED_TRIALS = 3
"""A trial is stopped only when at least this many trials have as many reports."""


def value_at(value_range: Range, position: float) -> str:
    """Returns the value at a position from 0 to 1 on the range's scale, as text; each integer and each category has an
    equal share of it.

    >>> value_at(Range("continuous", 0.01, 1, log=True), 0.5), value_at(Range("integer", 1, 4), 0.99)
    ('0.1', '4')
    >>> value_at(Range("categorical", values=("a", "b")), 0.5)
    'b'
    """
    position = min(max(position, 0.0), 1.0)
    if value_range.kind == "categorical":
        return value_range.values[min(int(position * len(value_range.values)), len(value_range.values) - 1)]
    low, high = value_range.low, value_range.high
    if value_range.kind == "integer":  # from the lower edge of the first value to the upper edge of the last
        low, high = low - 0.5, high + 0.5
        if value_range.log:
            low = max(low, 0.5)
    value = (
        math.exp(math.log(low) + position * (math.log(high) - math.log(low)))
        if value_range.log
        else low + position * (high - low)
    )
    if value_range.kind == "integer":
        return str(int(min(max(round(value), value_range.low), value_range.high)))
    return f"{min(max(value, value_range.low), value_range.high):.10g}"


def position_of(value_range: Range, value: str) -> float:
    """Returns the position of a value, from 0 to 1; for an integer or a category, the middle of its share.

    >>> position_of(Range("continuous", 0.01, 1, log=True), "0.1"), position_of(Range("integer", 1, 4), "1")
    (0.5, 0.125)
    >>> position_of(Range("categorical", values=("a", "b")), "b")
    0.75
    """
    if value_range.kind == "categorical":
        return (value_range.values.index(value) + 0.5) / len(value_range.values)
    low, high, number = value_range.low, value_range.high, float(value)
    if value_range.kind == "integer":
        low, high = low - 0.5, high + 0.5
        low = max(low, 0.5) if value_range.log else low
    if value_range.log:
        low, high, number = math.log(low), math.log(high), math.log(number)
    return (number - low) / (high - low)


def sample_point(ranges: Mapping[str, Range], rng: random.Random) -> dict[str, str]:
    """Returns a random point, uniform on each range's scale."""
    return {name: value_at(value_range, rng.random()) for name, value_range in ranges.items()}


def list_grid_points(ranges: Mapping[str, Range]) -> Iterator[dict[str, str]]:
    """Yields every point of a grid. Raises ValueError for a range that is not categorical, because SageMaker's grid
    search takes only those.

    >>> list(list_grid_points({"a": Range("categorical", values=("1", "2"))}))
    [{'a': '1'}, {'a': '2'}]
    """
    for name, value_range in ranges.items():
        if value_range.kind != "categorical":
            raise ValueError(f"{name}: a grid takes comma-separated values, found {value_range}")
    for values in itertools.product(*(value_range.values for value_range in ranges.values())):
        yield dict(zip(ranges, values, strict=True))


def grid_size(ranges: Mapping[str, Range]) -> int:
    """Returns the number of points of a grid.

    >>> grid_size({"a": Range("categorical", values=("1", "2")), "b": Range("categorical", values=("x", "y", "z"))})
    6
    """
    return math.prod(len(value_range.values) for value_range in ranges.values())


def is_worth_finishing(trial: Sequence[float], others: Sequence[Sequence[float]], *, maximize: bool) -> bool:
    """Returns whether a trial with these reports of its objective continues.

    SageMaker's median rule: a trial is stopped when its last value is worse than the median of the running averages
    that the others had after as many reports. It continues while fewer than MIN_COMPARED_TRIALS others have as many
    reports.

    >>> others = [[0.6, 0.7], [0.6, 0.8], [0.5, 0.6]]
    >>> is_worth_finishing([0.5, 0.55], others, maximize=True), is_worth_finishing([0.5, 0.9], others, maximize=True)
    (False, True)
    >>> is_worth_finishing([0.5], others[:2], maximize=True)
    True
    """
    reports = len(trial)
    averages = [sum(other[:reports]) / reports for other in others if len(other) >= reports] if reports else []
    if len(averages) < MIN_COMPARED_TRIALS:
        return True
    middle = median(averages)
    return trial[-1] >= middle if maximize else trial[-1] <= middle
