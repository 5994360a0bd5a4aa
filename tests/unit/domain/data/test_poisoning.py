"""Injected anomalies are found with their rows, and clean data has none."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bedplate.domain.data.poisoning import MAX_ROWS, Anomaly, find_anomalies
from builders import a_spec

CONTRACT = a_spec().data
ROWS = 4000


def clean(seed: int, *, first: int = 0, rows: int = ROWS) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "id": np.array([f"c{first + i}" for i in range(rows)], dtype=object),
        "at": np.array([datetime(2013, 1, 1) + timedelta(minutes=i) for i in range(rows)], dtype="M8[us]"),
        "left": (rng.random(rows) < 0.3).astype(np.int64),
        "age": rng.normal(40, 10, rows),
        "calls": rng.integers(0, 10**6, rows),
        "plan": rng.choice(np.array(["basic", "pro"], dtype=object), rows),
    }


def anomalies_by_kind(now: dict[str, Any], before: dict[str, Any] | None) -> dict[str, list[Anomaly]]:
    kinds: dict[str, list[Anomaly]] = {}
    for s in find_anomalies(pa.table(now), CONTRACT, None if before is None else pa.table(before)):
        kinds.setdefault(s.kind, []).append(s)
    return kinds


@pytest.mark.parametrize("before", [None, clean(1), clean(2, first=ROWS)])
def test_clean_data_has_no_anomalies(before):
    assert anomalies_by_kind(clean(1), before) == {}


def test_labels_that_changed_since_the_last_version_are_reported_with_their_rows():
    before, now = clean(1), clean(1)
    now["left"][[7, 100, 2000]] ^= 1
    (flips,) = anomalies_by_kind(now, before)["label flips"]
    assert (flips.rows, flips.count) == ((7, 100, 2000), 3)
    assert "3 of 4,000 rows" in flips.message


def test_flips_are_found_whatever_the_order_of_the_rows():
    before, now = clean(1), clean(1)
    order = np.random.default_rng(0).permutation(ROWS)
    now["left"][10] ^= 1
    (flips,) = anomalies_by_kind({name: values[order] for name, values in now.items()}, before)["label flips"]
    assert flips.rows == (int(np.flatnonzero(order == 10)[0]),)


def test_another_time_of_the_same_key_is_another_row():
    before, now = clean(1), clean(1)
    now["left"] ^= 1
    now["at"] = now["at"] + np.timedelta64(400, "D")
    assert "label flips" not in anomalies_by_kind(now, before)


def test_a_segment_whose_rate_jumps_is_named_with_both_rates():
    before, now = clean(1), clean(2, first=ROWS)
    pro = now["plan"] == "pro"
    now["left"] = np.where(pro & (np.random.default_rng(5).random(ROWS) < 0.3), 1, now["left"])
    by_subject = {s.subject: s for s in anomalies_by_kind(now, before)["label rate"]}
    assert "plan pro" in by_subject
    assert "plan basic" not in by_subject
    assert all(now["left"][row] == 1 and pro[row] for row in by_subject["plan pro"].rows)
    assert by_subject["plan pro"].p_value is not None
    assert by_subject["plan pro"].p_value < 1e-6


def test_a_changed_mean_is_reported_for_labels_that_are_not_binary():
    before, now = clean(1), clean(2, first=ROWS)
    before["left"] = np.random.default_rng(1).normal(100, 10, ROWS)
    now["left"] = np.random.default_rng(2).normal(100, 10, ROWS)
    assert "label rate" not in anomalies_by_kind(now, before)
    now["left"] += 8
    assert "all rows" in {s.subject for s in anomalies_by_kind(now, before)["label rate"]}


def test_rows_without_a_label_are_not_in_rates_and_keep_their_row_numbers():
    before, now = clean(1), clean(2, first=ROWS)
    labels = [None if i < 1000 else 1 for i in range(ROWS)]
    now["left"] = pa.array(labels, pa.int64())
    jumped = {s.subject: s for s in anomalies_by_kind(now, before)["label rate"]}["all rows"]
    assert (jumped.count, jumped.rows[0]) == (3000, 1000)
    before["left"], now["left"] = before["left"].astype(bool), clean(3)["left"].astype(bool)
    assert "label rate" not in anomalies_by_kind(now, before)


def flood(*, near: bool) -> dict[str, Any]:
    now = clean(1)
    copies = np.arange(3000, 3400)
    for name in ("left", "age", "calls", "plan", *(() if near else ("at",))):
        now[name][copies] = now[name][0]
    if near:
        now["age"][copies] += np.random.default_rng(0).uniform(-0.01, 0.01, len(copies))
    return now


def test_many_copies_of_one_row_under_other_keys_are_reported():
    (anomaly,) = anomalies_by_kind(flood(near=False), clean(2, first=ROWS))["duplicates"]
    assert (anomaly.count, anomaly.rows) == (400, tuple(range(3000, 3000 + MAX_ROWS)))


def test_copies_that_differ_a_little_and_in_time_are_near_duplicates():
    kinds = anomalies_by_kind(flood(near=True), clean(2, first=ROWS))
    assert "duplicates" not in kinds
    (anomaly,) = kinds["near duplicates"]
    assert anomaly.count >= 395


def test_duplicates_that_the_last_version_also_has_are_not_reported():
    before, now = flood(near=False), flood(near=False)
    assert "duplicates" not in anomalies_by_kind(now, before)


def test_a_burst_of_outliers_is_reported_with_its_period():
    now = clean(1)
    now["age"][1000:1020] = 400.0
    (burst,) = anomalies_by_kind(now, None)["outlier burst"]
    assert (burst.subject, burst.count, burst.rows) == ("age", 20, tuple(range(1000, 1010)))
    assert "2013-01-01 16:40" in burst.message


def test_scattered_outliers_are_not_a_burst():
    now = clean(1)
    now["age"][::40] = 400.0
    assert "outlier burst" not in anomalies_by_kind(now, None)


def test_a_column_of_one_value_has_no_outliers():
    now = clean(1)
    now["calls"][:] = 0
    now["calls"][1000:1040] = 9
    assert "outlier burst" not in anomalies_by_kind(now, None)
