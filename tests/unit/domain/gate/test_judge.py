from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.gate import GateReport, Measurements, Outcome, Verdict, judge
from bedplate.settings import Gates

NAN = math.nan


def figure(value: float, wide: float = 0.01, n: int = 1000) -> Estimate:
    return Estimate(value, value - wide, value + wide, n)


MEASURED = Measurements(
    metrics={"auc": figure(0.75), "brier": figure(0.15)},
    difference={"auc": figure(0.02), "brier": figure(-0.02)},
    champion="v1",
    segments={"plan": {"basic": {"auc": figure(0.74)}, "pro": {"auc": figure(0.76)}}},
    fairness={("plan", "selection_rate", 0.5, False): figure(0.05)},
    artifact_mb=1.0,
    source="s3://e",
)


def judged(gates: dict[str, Any], **changes: Any) -> GateReport:
    return judge(Gates.model_validate(gates), replace(MEASURED, **changes))


def one(gates: dict[str, Any], **changes: Any) -> Verdict:
    (verdict,) = [v for v in judged(gates, **changes).verdicts if v.decides]
    return verdict


@pytest.mark.parametrize(
    ("gate", "outcome"),
    [
        ({"metric": "auc", "min": 0.74}, "PASS"),
        ({"metric": "auc", "min": 0.745}, "NO_DATA"),
        ({"metric": "auc", "min": 0.755}, "NO_DATA"),
        ({"metric": "auc", "min": 0.77}, "FAIL"),
        ({"metric": "brier", "max": 0.16}, "PASS"),
        ({"metric": "brier", "max": 0.155}, "NO_DATA"),
        ({"metric": "brier", "max": 0.13}, "FAIL"),
        ({"metric": "accuracy", "min": 0.1}, "NO_DATA"),
    ],
)
def test_a_threshold_is_held_against_the_whole_interval(gate: dict[str, Any], outcome: Outcome) -> None:
    assert one({"thresholds": [gate]}).outcome == outcome


def test_the_same_figure_is_clear_with_many_rows_and_unclear_with_few() -> None:
    gates = {"thresholds": [{"metric": "auc", "min": 0.7}]}
    assert one(gates, metrics={"auc": figure(0.72, 0.01)}).outcome == "PASS"
    assert one(gates, metrics={"auc": figure(0.72, 0.05)}).outcome == "NO_DATA"
    assert one(gates, metrics={"auc": figure(0.68, 0.05)}).outcome == "NO_DATA"
    assert one(gates, metrics={"auc": figure(0.68, 0.01)}).outcome == "FAIL"


@pytest.mark.parametrize("broken", [Estimate(NAN, NAN, NAN, 10), Estimate(0.9, NAN, NAN, 10)])
def test_a_figure_without_value_or_interval_never_passes(broken: Estimate) -> None:
    assert one({"thresholds": [{"metric": "auc", "min": 0.1}]}, metrics={"auc": broken}).outcome == "NO_DATA"


@pytest.mark.parametrize(
    ("difference", "tolerance", "outcome"),
    [
        (figure(0.02), 0.0, "PASS"),
        (figure(0.005), 0.0, "NO_DATA"),
        (figure(0.005), 0.01, "PASS"),
        (figure(-0.005), 0.0, "NO_DATA"),
        (figure(-0.02), 0.0, "FAIL"),
        (figure(-0.02), 0.05, "PASS"),
    ],
)
def test_the_candidate_may_be_worse_than_the_champion_by_the_tolerance(
    difference: Estimate, tolerance: float, outcome: Outcome
) -> None:
    gates = {"champion": {"metric": "auc", "tolerance": tolerance}}
    assert one(gates, difference={"auc": difference}).outcome == outcome


@pytest.mark.parametrize(("difference", "outcome"), [(figure(-0.02), "PASS"), (figure(0.02), "FAIL")])
def test_lower_is_better_where_it_is(difference: Estimate, outcome: Outcome) -> None:
    assert one({"champion": {"metric": "brier"}}, difference={"brier": difference}).outcome == outcome


def test_without_a_champion_there_is_no_data() -> None:
    assert one({"champion": {"metric": "auc"}}, difference=None).outcome == "NO_DATA"


def test_the_champion_is_no_worse_than_itself() -> None:
    assert one({"champion": {"metric": "auc"}}, difference=None, is_champion=True).outcome == "PASS"


def segments(**values: Estimate) -> dict[str, Any]:
    return {"plan": {name: {"auc": estimate} for name, estimate in values.items()}}


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ({"a": figure(0.75), "b": figure(0.8)}, "PASS"),
        ({"a": figure(0.75), "b": figure(0.5)}, "FAIL"),
        ({"a": figure(0.75), "b": figure(0.5, n=50)}, "PASS"),
        ({"a": figure(0.75), "b": figure(0.69, 0.05)}, "NO_DATA"),
        ({"a": figure(0.75), "b": figure(0.71, 0.05)}, "PASS"),
        ({"a": figure(0.9, n=50), "b": figure(0.9, n=50)}, "NO_DATA"),
        ({"a": Estimate(NAN, NAN, NAN, 500)}, "NO_DATA"),
        ({}, "NO_DATA"),
    ],
)
def test_a_segment_gate_fails_by_its_worst_value_and_never_by_a_small_one(
    values: dict[str, Estimate], outcome: Outcome
) -> None:
    gates = {"segments": [{"by": "plan", "metric": "auc", "min": 0.7, "min_rows": 200}]}
    assert one(gates, segments=segments(**values)).outcome == outcome


def test_every_segment_is_reported_and_only_the_gate_decides() -> None:
    gates = {"segments": [{"by": "plan", "metric": "auc", "min": 0.7, "min_rows": 200}]}
    found = judged(gates, segments=segments(a=figure(0.75), b=figure(0.9, n=50), c=figure(0.5)))
    assert [(v.name, v.outcome, v.decides) for v in found.verdicts] == [
        ("auc by plan, worst", "FAIL", True),
        ("auc plan=a", "PASS", False),
        ("auc plan=b", "NO_DATA", False),
        ("auc plan=c", "FAIL", False),
    ]
    assert "c (0.5)" in found.verdicts[0].reason
    assert "1 with too few rows" in found.verdicts[0].reason


@pytest.mark.parametrize(("min_rows", "outcome"), [(1000, "PASS"), (1001, "NO_DATA")])
def test_the_minimum_of_rows_decides_whether_a_segment_is_judged(min_rows: int, outcome: Outcome) -> None:
    gates = {"segments": [{"by": "plan", "metric": "auc", "min": 0.7, "min_rows": min_rows}]}
    assert one(gates).outcome == outcome


@pytest.mark.parametrize(("largest", "outcome"), [(0.1, "PASS"), (0.045, "NO_DATA"), (0.02, "FAIL")])
def test_a_fairness_gate_bounds_the_largest_difference(largest: float, outcome: Outcome) -> None:
    gates = {"fairness": [{"by": "plan", "metric": "selection_rate", "max_difference": largest}]}
    assert one(gates).outcome == outcome


def test_a_fairness_gate_at_another_threshold_is_another_figure() -> None:
    gates = {"fairness": [{"by": "plan", "metric": "selection_rate", "max_difference": 0.5, "threshold": 0.3}]}
    assert one(gates).outcome == "NO_DATA"


@pytest.mark.parametrize(("megabytes", "outcome"), [(2.0, "PASS"), (2.01, "FAIL"), (None, "NO_DATA")])
def test_a_size_is_counted_and_has_no_interval(megabytes: float | None, outcome: Outcome) -> None:
    verdict = one({"max_artifact_mb": 2.0}, artifact_mb=megabytes)
    assert (verdict.outcome, verdict.low) == (outcome, None)


def test_one_failing_gate_fails_the_version() -> None:
    gates = {"thresholds": [{"metric": "auc", "min": 0.1}, {"metric": "auc", "min": 0.9}], "max_artifact_mb": 5}
    assert judged(gates).outcome == "FAIL"


def test_a_gate_without_data_keeps_the_version_from_passing() -> None:
    gates = {"thresholds": [{"metric": "auc", "min": 0.1}, {"metric": "accuracy", "min": 0.9}]}
    assert judged(gates).outcome == "NO_DATA"


def test_a_model_without_gates_does_not_pass() -> None:
    assert judged({}).outcome == "NO_DATA"


def test_each_verdict_says_figure_bound_and_source() -> None:
    verdict = one({"thresholds": [{"metric": "auc", "min": 0.7}]})
    assert (verdict.value, verdict.bound, verdict.source, verdict.n) == (0.75, ">= 0.7", "s3://e", 1000)
    assert "0.75 [0.74, 0.76]" in verdict.reason
