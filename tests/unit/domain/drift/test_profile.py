"""Profiles of parts merge by addition into the profile of the whole sample."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedplate.domain.drift import profiling
from bedplate.domain.drift.column_drift import OTHER_BIN, compare_profiles, profile_psi, with_verdicts
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
REFERENCE = profiling.build_reference(TABLE, TABLE.column_names)


def same(first, second) -> bool:
    left, right = first.to_json(), second.to_json()
    if "edges" not in left:
        return left == right
    fields = ("edges", "counts", "nulls", "value_sum", "sum_of_squares", "min_value", "max_value")
    return all(np.allclose(left[name], right[name]) for name in fields)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 4000), max_size=5))
def test_parts_merge_to_the_whole(cuts):
    bounds = [0, *sorted(cuts), 4000]
    parts = [TABLE.slice(a, b - a).to_batches() for a, b in itertools.pairwise(bounds)]
    whole = profiling.profile_batches(TABLE.to_batches(), REFERENCE)
    merged = profiling.profile_batches([], REFERENCE)
    for part in parts:
        profiles = profiling.profile_batches(part, REFERENCE)
        merged = {name: profiling.merge_profiles(profiles[name], merged[name]) for name in profiles}
    assert all(same(merged[name], whole[name]) for name in whole)


def test_threads_over_row_groups_give_the_same_counts(tmp_path):
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path in paths:
        pq.write_table(TABLE, path, row_group_size=300)
    single_thread, three_threads = (profiling.profile_files(paths, REFERENCE, threads=n) for n in (1, 3))
    assert all(same(single_thread[name], three_threads[name]) for name in REFERENCE)
    assert single_thread["x"].n_values + single_thread["x"].nulls == 8000


def test_no_file_gives_empty_profiles():
    assert profiling.profile_files([], REFERENCE)["x"].n_values == 0


def test_no_batch_gives_empty_profiles():
    assert profiling.profile_batches([], REFERENCE)["x"].n_values == 0


def test_counting_the_reference_rows_again_gives_the_reference():
    recounted = profiling.profile_batches(TABLE.to_batches(), REFERENCE)
    assert all(same(recounted[name], REFERENCE[name]) for name in REFERENCE)


def test_profiles_are_equal_after_a_json_round_trip():
    for profile in REFERENCE.values():
        assert same(profile_from_json(json.loads(json.dumps(profile.to_json()))), profile)


def test_profiles_of_other_edges_do_not_merge():
    with pytest.raises(ValueError, match="edges"):
        REFERENCE["x"].merge(REFERENCE["hour"])
    with pytest.raises(ValueError, match="categories"):
        REFERENCE["text"].merge(REFERENCE["flag"])
    with pytest.raises(ValueError, match="cannot be merged"):
        profiling.merge_profiles(REFERENCE["x"], REFERENCE["text"])


def test_ks_equals_scipys_within_the_width_of_a_bin():
    from scipy.stats import ks_2samp

    reference, current = RNG.normal(size=20_000), RNG.normal(0.1, 1.1, size=15_000)
    profile = NumericProfile.build_reference(reference)
    drift = compare_profiles(profile, profile.count_values(current))
    expected = ks_2samp(reference, current, method="asymp")
    assert drift.statistic == pytest.approx(expected.statistic, abs=1 / 1023)
    assert drift.statistic <= expected.statistic


def test_psi_takes_ten_bins_of_equal_frequency():
    reference, current = RNG.normal(size=50_000), RNG.normal(0.5, size=50_000)
    cuts = np.quantile(reference, np.linspace(0, 1, 11)[1:-1])
    before, now = (np.bincount(np.searchsorted(cuts, x), minlength=10) / 50_000 for x in (reference, current))
    profile = NumericProfile.build_reference(reference)
    drift = compare_profiles(profile, profile.count_values(current))
    assert len(drift.bins) == 10
    assert drift.psi == pytest.approx(np.sum((now - before) * np.log(now / before)), rel=0.01)
    assert profile_psi(profile, profile.count_values(current)) == drift.psi


def test_values_beyond_the_reference_fall_into_the_outer_bins():
    profile = NumericProfile.build_reference(np.arange(1000.0))
    drift = compare_profiles(profile, profile.count_values(np.array([-5.0, 2000.0])))
    assert (drift.current_shares[0], drift.current_shares[-1]) == (0.5, 0.5)


def test_ties_give_fewer_bins_and_a_constant_one_bin_and_its_overflow():
    mostly_zero = NumericProfile.build_reference(np.array([0.0] * 95 + [1, 2, 3, 4, 5]))
    assert compare_profiles(mostly_zero, mostly_zero).bins == ("to 0", "over 0")
    constant = NumericProfile.build_reference(np.zeros(50))
    assert compare_profiles(constant, constant.count_values(np.array([0.0, 1.0]))).current_shares == (0.5, 0.5)


def test_column_of_nulls_has_no_verdict():
    nothing = NumericProfile.build_reference(np.full(10, np.nan))
    drift = with_verdicts({"x": compare_profiles(nothing, nothing.count_values(np.array([1.0])))}, min_rows=1)["x"]
    assert (drift.verdict, drift.bins, nothing.nulls) == ("NO_DATA", ("all",), 10)
    assert nothing.to_json()["min_value"] is None


def test_rare_and_new_categories_share_one_bin():
    reference = REFERENCE["text"]
    assert isinstance(reference, CategoryProfile)
    drift = compare_profiles(reference, reference.count_values(["a", "new"], np.array([0, 1, -1])))
    assert drift.bins == ("a", "b", OTHER_BIN)
    assert drift.current_shares == (0.5, 0, 0.5)
    assert drift.n_current == 2


def test_new_categories_are_listed_up_to_a_limit():
    reference = REFERENCE["text"]
    assert isinstance(reference, CategoryProfile)
    names = [f"n{i}" for i in range(3 * MAX_UNSEEN)]
    drift = reference.count_values(names, np.arange(len(names)))
    assert len(drift.unseen) == MAX_UNSEEN
    doubled = drift.merge(drift)
    assert sum(doubled.unseen.values()) == 2 * len(names) == doubled.n_values
    assert OTHERS in doubled.unseen


def test_verdict_needs_enough_rows_a_band_and_significance():
    profile = NumericProfile.build_reference(np.random.default_rng(0).normal(size=5000))
    far = profile.count_values(np.random.default_rng(1).normal(1, size=400))

    def verdict(current, **bounds):
        return with_verdicts({"x": compare_profiles(profile, current)}, **{"min_rows": 300, **bounds})["x"].verdict

    assert verdict(far) == "significant"
    assert verdict(far, min_rows=401) == "NO_DATA"
    assert verdict(far, alert=50) == "moderate"
    assert verdict(far, alert=50, warn=40) == "stable"
    small_sample = profile.count_values(np.random.default_rng(2).normal(size=20))
    assert compare_profiles(profile, small_sample).psi > 0.1
    assert verdict(small_sample, min_rows=10) == "stable"


def test_columns_of_two_kinds_cannot_be_compared():
    with pytest.raises(ValueError, match="cannot be compared"):
        compare_profiles(REFERENCE["x"], REFERENCE["text"])
