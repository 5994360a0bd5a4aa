"""Profiles merge by addition, whatever the parts, and their figures are those of the whole samples."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedplate.domain.drift import kernel
from bedplate.domain.drift.compare import REST, compare, judged, psi_of
from bedplate.domain.drift.profile import MAX_UNSEEN, OTHERS, CategoryProfile, NumericProfile, profile_from_json

RNG = np.random.default_rng(8)
TABLE = pa.table(
    {
        "x": pa.array(np.where(RNG.random(4000) < 0.05, np.nan, RNG.normal(size=4000)), from_pandas=True),
        "hour": RNG.integers(0, 24, 4000),
        "text": RNG.choice(["a", "b", "c"], 4000, p=[0.7, 0.295, 0.005]),
        "flag": RNG.random(4000) < 0.5,
    }
)
REFERENCE = kernel.reference_of(TABLE, TABLE.column_names)


def same(first, second) -> bool:
    one, two = first.to_json(), second.to_json()
    if "edges" not in one:
        return one == two
    figures = ("edges", "counts", "nulls", "total", "squares", "low", "high")
    return all(np.allclose(one[name], two[name]) for name in figures)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 4000), max_size=5))
def test_parts_merge_to_the_whole(cuts):
    bounds = [0, *sorted(cuts), 4000]
    parts = [TABLE.slice(a, b - a).to_batches() for a, b in itertools.pairwise(bounds)]
    whole = kernel.profile_batches(TABLE.to_batches(), REFERENCE)
    found = kernel.profile_batches([], REFERENCE)
    for part in parts:
        found = kernel.merge_all(kernel.profile_batches(part, REFERENCE), found)
    assert all(same(found[name], whole[name]) for name in whole)


def test_threads_over_row_groups_give_the_same_counts(tmp_path):
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path in paths:
        pq.write_table(TABLE, path, row_group_size=300)
    one, three = (kernel.profile_files(paths, REFERENCE, threads=n) for n in (1, 3))
    assert all(same(one[name], three[name]) for name in REFERENCE)
    assert one["x"].n + one["x"].nulls == 8000


def test_no_file_gives_empty_profiles():
    assert kernel.profile_files([], REFERENCE)["x"].n == 0


def test_reference_counted_again_is_itself():
    again = kernel.profile_batches(TABLE.to_batches(), REFERENCE)
    assert all(same(again[name], REFERENCE[name]) for name in REFERENCE)


def test_profiles_survive_json():
    for profile in REFERENCE.values():
        assert same(profile_from_json(json.loads(json.dumps(profile.to_json()))), profile)


def test_profiles_of_other_edges_do_not_merge():
    with pytest.raises(ValueError, match="edges"):
        REFERENCE["x"].merge(REFERENCE["hour"])
    with pytest.raises(ValueError, match="categories"):
        REFERENCE["text"].merge(REFERENCE["flag"])
    with pytest.raises(ValueError, match="do not merge"):
        kernel.merged(REFERENCE["x"], REFERENCE["text"])


def test_ks_is_scipys_within_the_width_of_a_bin():
    from scipy.stats import ks_2samp

    reference, current = RNG.normal(size=20_000), RNG.normal(0.1, 1.1, size=15_000)
    profile = NumericProfile.reference(reference)
    found = compare(profile, profile.count(current))
    expected = ks_2samp(reference, current, method="asymp")
    assert found.statistic == pytest.approx(expected.statistic, abs=1 / 1023)
    assert found.statistic <= expected.statistic


def test_psi_takes_ten_bins_of_equal_frequency():
    reference, current = RNG.normal(size=50_000), RNG.normal(0.5, size=50_000)
    cuts = np.quantile(reference, np.linspace(0, 1, 11)[1:-1])
    before, now = (np.bincount(np.searchsorted(cuts, x), minlength=10) / 50_000 for x in (reference, current))
    profile = NumericProfile.reference(reference)
    found = compare(profile, profile.count(current))
    assert len(found.bins) == 10
    assert found.psi == pytest.approx(np.sum((now - before) * np.log(now / before)), rel=0.01)
    assert psi_of(profile, profile.count(current)) == found.psi


def test_values_beyond_the_reference_fall_into_the_outer_bins():
    profile = NumericProfile.reference(np.arange(1000.0))
    found = compare(profile, profile.count(np.array([-5.0, 2000.0])))
    assert (found.current[0], found.current[-1]) == (0.5, 0.5)


def test_ties_make_fewer_bins_and_a_constant_one_and_beyond():
    mostly_zero = NumericProfile.reference(np.array([0.0] * 95 + [1, 2, 3, 4, 5]))
    assert compare(mostly_zero, mostly_zero).bins == ("to 0", "over 0")
    constant = NumericProfile.reference(np.zeros(50))
    assert compare(constant, constant.count(np.array([0.0, 1.0]))).current == (0.5, 0.5)


def test_column_of_nulls_has_no_figures():
    nothing = NumericProfile.reference(np.full(10, np.nan))
    found = judged({"x": compare(nothing, nothing.count(np.array([1.0])))}, min_rows=1)["x"]
    assert (found.verdict, found.bins, nothing.nulls) == ("NO_DATA", ("all",), 10)
    assert nothing.to_json()["low"] is None


def test_rare_and_new_categories_share_one_bin():
    known = REFERENCE["text"]
    assert isinstance(known, CategoryProfile)
    found = compare(known, known.count(["a", "new"], np.array([0, 1, -1])))
    assert found.bins == ("a", "b", REST)
    assert found.current == (0.5, 0, 0.5)
    assert found.n == 2


def test_unseen_categories_are_kept_by_name_up_to_a_limit():
    known = REFERENCE["text"]
    assert isinstance(known, CategoryProfile)
    names = [f"n{i}" for i in range(3 * MAX_UNSEEN)]
    found = known.count(names, np.arange(len(names)))
    assert len(found.unseen) == MAX_UNSEEN
    both = found.merge(found)
    assert sum(both.unseen.values()) == 2 * len(names) == both.n
    assert OTHERS in both.unseen


def test_verdict_needs_rows_a_band_and_more_than_chance():
    profile = NumericProfile.reference(np.random.default_rng(0).normal(size=5000))
    far = profile.count(np.random.default_rng(1).normal(1, size=400))

    def verdict(current, **bounds):
        return judged({"x": compare(profile, current)}, **{"min_rows": 300, **bounds})["x"].verdict

    assert verdict(far) == "significant"
    assert verdict(far, min_rows=401) == "NO_DATA"
    assert verdict(far, alert=50) == "moderate"
    assert verdict(far, alert=50, warn=40) == "stable"
    few = profile.count(np.random.default_rng(2).normal(size=20))
    assert compare(profile, few).psi > 0.1
    assert verdict(few, min_rows=10) == "stable"


def test_columns_of_two_kinds_are_no_comparison():
    with pytest.raises(ValueError, match="cannot be compared"):
        compare(REFERENCE["x"], REFERENCE["text"])
