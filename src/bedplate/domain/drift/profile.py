"""What a column looked like, as counts over fixed edges: two profiles over the same edges merge by addition.

A reference is built once from sorted values: up to 1,023 unique quantiles are its edges. Anything else is counted over
those edges, in any order and in any number of parts: batches, threads, shards of a job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_EDGES = 1023
MAX_UNSEEN = 100
"""Categories that the reference does not know and that are kept by name; more are counted together as `OTHERS`."""
OTHERS = "(others)"
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class NumericProfile:
    """`counts[i]` values lie in (edges[i - 1], edges[i]]; the first bin has no lower end and the last no upper one.

    `nulls` counts NaN too. `total` and `squares` are the sums of values and of their squares, `low` and `high` the
    extremes; of no value they are 0, 0, inf and -inf.
    """

    edges: Floats
    counts: Counts
    nulls: int
    total: float
    squares: float
    low: float
    high: float

    @property
    def n(self) -> int:
        """Values that are not null."""
        return int(self.counts.sum())

    @classmethod
    def reference(cls, values: Floats) -> NumericProfile:
        """Edges from the values themselves. A column of nulls only has no edge and one empty bin.

        >>> found = NumericProfile.reference(np.array([3.0, 1, 2, 2, np.nan]))
        >>> found.edges.tolist(), found.counts.tolist(), found.nulls
        ([1.0, 2.0, 3.0], [1, 2, 1, 0], 1)
        """
        ordered = np.sort(values[~np.isnan(values)])
        places = np.linspace(0, max(0, len(ordered) - 1), MAX_EDGES).round().astype(np.int64)
        edges = np.unique(ordered[places]) if len(ordered) else np.empty(0)
        return _counted(edges, ordered, len(values) - len(ordered))

    def count(self, values: Floats) -> NumericProfile:
        """A profile of other values over these edges."""
        ordered = np.sort(values)  # NaN comes last
        known = ordered[: len(ordered) - int(np.isnan(ordered).sum())]
        return _counted(self.edges, known, len(ordered) - len(known))

    def merge(self, other: NumericProfile) -> NumericProfile:
        """Both together. Raises ValueError when the edges are not the same."""
        if not np.array_equal(self.edges, other.edges):
            raise ValueError("profiles over different edges do not merge")
        return NumericProfile(
            self.edges,
            self.counts + other.counts,
            self.nulls + other.nulls,
            self.total + other.total,
            self.squares + other.squares,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "number",
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "nulls": self.nulls,
            "total": self.total,
            "squares": self.squares,
            "low": self.low if self.n else None,
            "high": self.high if self.n else None,
        }


@dataclass(frozen=True, slots=True, eq=False)
class CategoryProfile:
    """Rows of each category that the reference knows, and of those it does not (`unseen`, by name)."""

    categories: tuple[str, ...]
    counts: Counts
    unseen: Mapping[str, int]
    nulls: int

    @property
    def n(self) -> int:
        """Values that are not null."""
        return int(self.counts.sum()) + sum(self.unseen.values())

    @classmethod
    def reference(cls, names: Sequence[str], codes: NDArray[Any]) -> CategoryProfile:
        """From dictionary-encoded text: `codes` are indices of `names`, -1 for null.

        >>> found = CategoryProfile.reference(["b", "a"], np.array([0, 1, 0, -1]))
        >>> found.categories, found.counts.tolist(), found.nulls
        (('a', 'b'), [1, 2], 1)
        """
        return cls(tuple(sorted(names)), np.zeros(len(names), dtype=np.int64), {}, 0).count(names, codes)

    def count(self, names: Sequence[str], codes: NDArray[Any]) -> CategoryProfile:
        """A profile of other values over these categories."""
        known = {name: i for i, name in enumerate(self.categories)}
        found = np.bincount(codes[codes >= 0], minlength=len(names))
        counts, unseen = np.zeros(len(self.categories), dtype=np.int64), {}
        for name, count in zip(names, found.tolist(), strict=True):
            if name in known:
                counts[known[name]] += count
            elif count:
                unseen[name] = count
        return replace(self, counts=counts, unseen=_most(unseen), nulls=int((codes < 0).sum()))

    def merge(self, other: CategoryProfile) -> CategoryProfile:
        """Both together. Raises ValueError when the categories are not the same."""
        if self.categories != other.categories:
            raise ValueError("profiles over different categories do not merge")
        unseen = dict(self.unseen)
        for name, count in other.unseen.items():
            unseen[name] = unseen.get(name, 0) + count
        return CategoryProfile(self.categories, self.counts + other.counts, _most(unseen), self.nulls + other.nulls)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "category",
            "categories": list(self.categories),
            "counts": self.counts.tolist(),
            "unseen": dict(self.unseen),
            "nulls": self.nulls,
        }


ColumnProfile = NumericProfile | CategoryProfile


def profile_from_json(found: Mapping[str, Any]) -> ColumnProfile:
    """Raises KeyError for anything that `to_json` did not write."""
    counts = np.asarray(found["counts"], dtype=np.int64)
    if found["kind"] == "category":
        return CategoryProfile(tuple(found["categories"]), counts, dict(found["unseen"]), int(found["nulls"]))
    low, high = found["low"], found["high"]
    return NumericProfile(
        np.asarray(found["edges"], dtype=np.float64),
        counts,
        int(found["nulls"]),
        float(found["total"]),
        float(found["squares"]),
        np.inf if low is None else float(low),
        -np.inf if high is None else float(high),
    )


def _counted(edges: Floats, ordered: Floats, nulls: int) -> NumericProfile:
    below = np.searchsorted(ordered, edges, side="right")
    counts = np.diff(below, prepend=0, append=len(ordered)).astype(np.int64)
    low, high = (float(ordered[0]), float(ordered[-1])) if len(ordered) else (np.inf, -np.inf)
    return NumericProfile(edges, counts, nulls, float(ordered.sum()), float(np.square(ordered).sum()), low, high)


def _most(unseen: Mapping[str, int]) -> dict[str, int]:
    if len(unseen) <= MAX_UNSEEN:
        return dict(unseen)
    ranked = sorted((name for name in unseen if name != OTHERS), key=lambda name: (-unseen[name], name))
    kept = {name: unseen[name] for name in ranked[: MAX_UNSEEN - 1]}
    return {**kept, OTHERS: sum(unseen.values()) - sum(kept.values())}
