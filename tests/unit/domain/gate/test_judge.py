"""Verdicts on thresholds, champion, segments, fairness and artifact size."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.gate import GateReport, Measurements, Outcome, Verdict, judge
from bedplate.settings import Gates

NAN = math.nan


def estimate(value: float, wide: float = 0.01, n: int = 1000) -> Estimate:
    return Estimate(value, value - wide, value + wide, n)


MEASURED = Measurements(
    metrics={"auc": estimate(0.75), "brier": estimate(0.15)},
    difference={"auc": estimate(0.02), "brier": estimate(-0.02)},
    champion="v1",
    segments={"plan": {"basic": {"auc": estimate(0.74)}, "pro": {"auc": estimate(0.76)}}},
    fairness={("plan", "selection_rate", 0.5, False): estimate(0.05)},
    artifact_mb=1.0,
    source="s3://e",
)


def judge_gates(gates: dict[str, Any], **changes: Any) -> GateReport:
    return judge(Gates.model_validate(gates), replace(MEASURED, **changes))


def judge_one_gate(gates: dict[str, Any], **changes: Any) -> Verdict:
    (verdict,) = [v for v in judge_gates(gates, **changes).verdicts if v.decides]
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
def test_a_threshold_is_compared_with_the_whole_interval(gate: dict[str, Any], outcome: Outcome) -> None:
    assert judge_one_gate({"thresholds": [gate]}).outcome == outcome


def test_the_same_value_is_significant_with_many_rows_and_not_with_few() -> None:
    gates = {"thresholds": [{"metric": "auc", "min": 0.7}]}
    assert judge_one_gate(gates, metrics={"auc": estimate(0.72, 0.01)}).outcome == "PASS"
    assert judge_one_gate(gates, metrics={"auc": estimate(0.72, 0.05)}).outcome == "NO_DATA"
    assert judge_one_gate(gates, metrics={"auc": estimate(0.68, 0.05)}).outcome == "NO_DATA"
    assert judge_one_gate(gates, metrics={"auc": estimate(0.68, 0.01)}).outcome == "FAIL"


@pytest.mark.parametrize("broken", [Estimate(NAN, NAN, NAN, 10), Estimate(0.9, NAN, NAN, 10)])
def test_an_estimate_without_value_or_interval_never_passes(broken: Estimate) -> None:
    assert judge_one_gate({"thresholds": [{"metric": "auc", "min": 0.1}]}, metrics={"auc": broken}).outcome == "NO_DATA"


@pytest.mark.parametrize(
    ("difference", "tolerance", "outcome"),
    [
        (estimate(0.02), 0.0, "PASS"),
        (estimate(0.005), 0.0, "NO_DATA"),
        (estimate(0.005), 0.01, "PASS"),
        (estimate(-0.005), 0.0, "NO_DATA"),
        (estimate(-0.02), 0.0, "FAIL"),
        (estimate(-0.02), 0.05, "PASS"),
    ],
)
def test_the_candidate_may_be_worse_than_the_champion_by_the_tolerance(
    difference: Estimate, tolerance: float, outcome: Outcome
) -> None:
    gates = {"champion": {"metric": "auc", "tolerance": tolerance}}
    assert judge_one_gate(gates, difference={"auc": difference}).outcome == outcome


@pytest.mark.parametrize(("difference", "outcome"), [(estimate(-0.02), "PASS"), (estimate(0.02), "FAIL")])
def test_a_lower_value_is_better_for_metrics_of_errors(difference: Estimate, outcome: Outcome) -> None:
    assert judge_one_gate({"champion": {"metric": "brier"}}, difference={"brier": difference}).outcome == outcome


def test_without_a_champion_there_is_no_data() -> None:
    assert judge_one_gate({"champion": {"metric": "auc"}}, difference=None).outcome == "NO_DATA"


def test_the_champion_is_no_worse_than_itself() -> None:
    assert judge_one_gate({"champion": {"metric": "auc"}}, difference=None, is_champion=True).outcome == "PASS"


def segments(**values: Estimate) -> dict[str, Any]:
    return {"plan": {name: {"auc": estimate} for name, estimate in values.items()}}


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ({"a": estimate(0.75), "b": estimate(0.8)}, "PASS"),
        ({"a": estimate(0.75), "b": estimate(0.5)}, "FAIL"),
        ({"a": estimate(0.75), "b": estimate(0.5, n=50)}, "PASS"),
        ({"a": estimate(0.75), "b": estimate(0.69, 0.05)}, "NO_DATA"),
        ({"a": estimate(0.75), "b": estimate(0.71, 0.05)}, "PASS"),
        ({"a": estimate(0.9, n=50), "b": estimate(0.9, n=50)}, "NO_DATA"),
        ({"a": Estimate(NAN, NAN, NAN, 500)}, "NO_DATA"),
        ({}, "NO_DATA"),
    ],
)
def test_a_segment_gate_fails_by_its_worst_value_and_never_by_a_small_one(
    values: dict[str, Estimate], outcome: Outcome
) -> None:
    gates = {"segments": [{"column": "plan", "metric": "auc", "min": 0.7, "min_rows": 200}]}
    assert judge_one_gate(gates, segments=segments(**values)).outcome == outcome


def test_every_segment_is_reported_but_only_the_gate_decides() -> None:
    gates = {"segments": [{"column": "plan", "metric": "auc", "min": 0.7, "min_rows": 200}]}
    report = judge_gates(gates, segments=segments(a=estimate(0.75), b=estimate(0.9, n=50), c=estimate(0.5)))
    assert [(v.name, v.outcome, v.decides) for v in report.verdicts] == [
        ("auc by plan, worst", "FAIL", True),
        ("auc plan=a", "PASS", False),
        ("auc plan=b", "NO_DATA", False),
        ("auc plan=c", "FAIL", False),
    ]
    assert "c (0.5)" in report.verdicts[0].reason
    assert "1 with too few rows" in report.verdicts[0].reason


@pytest.mark.parametrize(("min_rows", "outcome"), [(1000, "PASS"), (1001, "NO_DATA")])
def test_segments_with_too_few_rows_have_no_verdict(min_rows: int, outcome: Outcome) -> None:
    gates = {"segments": [{"column": "plan", "metric": "auc", "min": 0.7, "min_rows": min_rows}]}
    assert judge_one_gate(gates).outcome == outcome


@pytest.mark.parametrize(("largest", "outcome"), [(0.1, "PASS"), (0.045, "NO_DATA"), (0.02, "FAIL")])
def test_a_fairness_gate_bounds_the_largest_difference(largest: float, outcome: Outcome) -> None:
    gates = {"fairness": [{"column": "plan", "metric": "selection_rate", "max_difference": largest}]}
    assert judge_one_gate(gates).outcome == outcome


def test_a_fairness_gate_uses_its_own_decision_threshold() -> None:
    gates = {"fairness": [{"column": "plan", "metric": "selection_rate", "max_difference": 0.5, "threshold": 0.3}]}
    assert judge_one_gate(gates).outcome == "NO_DATA"


@pytest.mark.parametrize(("megabytes", "outcome"), [(2.0, "PASS"), (2.01, "FAIL"), (None, "NO_DATA")])
def test_the_artifact_size_has_no_interval(megabytes: float | None, outcome: Outcome) -> None:
    verdict = judge_one_gate({"max_artifact_mb": 2.0}, artifact_mb=megabytes)
    assert (verdict.outcome, verdict.ci_low) == (outcome, None)


def test_one_failing_gate_fails_the_version() -> None:
    gates = {"thresholds": [{"metric": "auc", "min": 0.1}, {"metric": "auc", "min": 0.9}], "max_artifact_mb": 5}
    assert judge_gates(gates).outcome == "FAIL"


def test_a_gate_without_data_keeps_the_version_from_passing() -> None:
    gates = {"thresholds": [{"metric": "auc", "min": 0.1}, {"metric": "accuracy", "min": 0.9}]}
    assert judge_gates(gates).outcome == "NO_DATA"


def test_a_model_without_gates_does_not_pass() -> None:
    assert judge_gates({}).outcome == "NO_DATA"


def test_each_verdict_has_value_bound_and_source() -> None:
    verdict = judge_one_gate({"thresholds": [{"metric": "auc", "min": 0.7}]})
    assert (verdict.value, verdict.bound, verdict.source, verdict.n_rows) == (0.75, ">= 0.7", "s3://e", 1000)
    assert "0.75 [0.74, 0.76]" in verdict.reason
