"""Profiles of a column: counts of its values over fixed bin edges or categories.

A reference profile is built once from sorted values; up to 1,023 unique quantiles are its edges. Other values are
counted over these edges, in any order and in any number of parts (batches, threads, instances of a job), because
profiles over the same edges are merged by addition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.documents import finite_or_none

MAX_EDGES = 1023
MAX_UNSEEN = 100
"""Categories missing in the reference that are counted by name; further ones are counted together as `OTHERS`."""
OTHERS = "(others)"
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class NumericProfile:
    """`counts[i]` is the number of values in (edges[i - 1], edges[i]]; the first and the last bin are unbounded.

    `nulls` includes NaN. Without values, `value_sum` and `sum_of_squares` are 0, `min_value` inf, `max_value` -inf.
    """

    edges: Floats
    counts: Counts
    nulls: int
    value_sum: float
    sum_of_squares: float
    min_value: float
    max_value: float

    @property
    def n_values(self) -> int:
        """Values that are not null."""
        return int(self.counts.sum())

    @classmethod
    def build_reference(cls, values: Floats) -> NumericProfile:
        """Builds a profile whose edges are quantiles of the values; a column of nulls has no edges and one empty bin.

        >>> profile = NumericProfile.build_reference(np.array([3.0, 1, 2, 2, np.nan]))
        >>> profile.edges.tolist(), profile.counts.tolist(), profile.nulls
        ([1.0, 2.0, 3.0], [1, 2, 1, 0], 1)
        """
        sorted_values = np.sort(values[~np.isnan(values)])
        positions = np.linspace(0, max(0, len(sorted_values) - 1), MAX_EDGES).round().astype(np.int64)
        edges = np.unique(sorted_values[positions]) if len(sorted_values) else np.empty(0)
        return _build_profile(edges, sorted_values, len(values) - len(sorted_values))

    def count_values(self, values: Floats) -> NumericProfile:
        """Returns the profile of other values over these edges."""
        sorted_values = np.sort(values)  # NaN comes last
        non_null = sorted_values[: len(sorted_values) - int(np.isnan(sorted_values).sum())]
        return _build_profile(self.edges, non_null, len(sorted_values) - len(non_null))

    def merge(self, other: NumericProfile) -> NumericProfile:
        """Returns the profile of the values of both. Raises ValueError for different edges."""
        if not np.array_equal(self.edges, other.edges):
            raise ValueError("profiles over different edges cannot be merged")
        return NumericProfile(
            self.edges,
            self.counts + other.counts,
            self.nulls + other.nulls,
            self.value_sum + other.value_sum,
            self.sum_of_squares + other.sum_of_squares,
            min(self.min_value, other.min_value),
            max(self.max_value, other.max_value),
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON values; the extremes are None without values."""
        return {
            "kind": "number",
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "nulls": self.nulls,
            "value_sum": self.value_sum,
            "sum_of_squares": self.sum_of_squares,
            "min_value": finite_or_none(self.min_value),
            "max_value": finite_or_none(self.max_value),
        }


@dataclass(frozen=True, slots=True, eq=False)
class CategoryProfile:
    """Counts of each category of the reference, and of categories that it does not have (`unseen`, by name)."""

    categories: tuple[str, ...]
    counts: Counts
    unseen: Mapping[str, int]
    nulls: int

    @property
    def n_values(self) -> int:
        """Values that are not null."""
        return int(self.counts.sum()) + sum(self.unseen.values())

    @classmethod
    def build_reference(cls, names: Sequence[str], codes: NDArray[Any]) -> CategoryProfile:
        """Builds a profile whose categories are `names`; `codes` are (rows,) indices of `names`, -1 for null.

        >>> profile = CategoryProfile.build_reference(["b", "a"], np.array([0, 1, 0, -1]))
        >>> profile.categories, profile.counts.tolist(), profile.nulls
        (('a', 'b'), [1, 2], 1)
        """
        return cls(tuple(sorted(names)), np.zeros(len(names), dtype=np.int64), {}, 0).count_values(names, codes)

    def count_values(self, names: Sequence[str], codes: NDArray[Any]) -> CategoryProfile:
        """Returns the profile of other values over these categories."""
        index_of = {name: i for i, name in enumerate(self.categories)}
        counts_by_name = np.bincount(codes[codes >= 0], minlength=len(names))
        counts, unseen = np.zeros(len(self.categories), dtype=np.int64), {}
        for name, count in zip(names, counts_by_name.tolist(), strict=True):
            if name in index_of:
                counts[index_of[name]] += count
            elif count:
                unseen[name] = count
        return replace(self, counts=counts, unseen=_limit_unseen(unseen), nulls=int((codes < 0).sum()))

    def merge(self, other: CategoryProfile) -> CategoryProfile:
        """Returns the profile of the values of both. Raises ValueError for different categories."""
        if self.categories != other.categories:
            raise ValueError("profiles over different categories cannot be merged")
        unseen = _limit_unseen(Counter(self.unseen) + Counter(other.unseen))
        return CategoryProfile(self.categories, self.counts + other.counts, unseen, self.nulls + other.nulls)

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        return {
            "kind": "category",
            "categories": list(self.categories),
            "counts": self.counts.tolist(),
            "unseen": dict(self.unseen),
            "nulls": self.nulls,
        }


ColumnProfile = NumericProfile | CategoryProfile


def profile_from_json(document: Mapping[str, Any]) -> ColumnProfile:
    """Reads what `to_json` of a profile wrote. Raises KeyError for anything else."""
    counts = np.asarray(document["counts"], dtype=np.int64)
    if document["kind"] == "category":
        return CategoryProfile(tuple(document["categories"]), counts, dict(document["unseen"]), int(document["nulls"]))
    min_value, max_value = document["min_value"], document["max_value"]
    return NumericProfile(
        np.asarray(document["edges"], dtype=np.float64),
        counts,
        int(document["nulls"]),
        float(document["value_sum"]),
        float(document["sum_of_squares"]),
        np.inf if min_value is None else float(min_value),
        -np.inf if max_value is None else float(max_value),
    )


def _build_profile(edges: Floats, sorted_values: Floats, nulls: int) -> NumericProfile:
    cumulative = np.searchsorted(sorted_values, edges, side="right")
    counts = np.diff(cumulative, prepend=0, append=len(sorted_values)).astype(np.int64)
    extremes = (float(sorted_values[0]), float(sorted_values[-1])) if len(sorted_values) else (np.inf, -np.inf)
    return NumericProfile(
        edges, counts, nulls, float(sorted_values.sum()), float(np.square(sorted_values).sum()), *extremes
    )


def _limit_unseen(unseen: Mapping[str, int]) -> dict[str, int]:
    """Returns at most MAX_UNSEEN categories: the most frequent ones by name, all others as `OTHERS`."""
    if len(unseen) <= MAX_UNSEEN:
        return dict(unseen)
    ranked = sorted((name for name in unseen if name != OTHERS), key=lambda name: (-unseen[name], name))
    named = {name: unseen[name] for name in ranked[: MAX_UNSEEN - 1]}
    return {**named, OTHERS: sum(unseen.values()) - sum(named.values())}
