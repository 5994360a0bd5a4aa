"""Verdicts on calibration, residuals, explanations, leakage, the inference contract and latency."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bedplate.domain.evidence.calibration import calibration
from bedplate.domain.evidence.explanation import Explanation
from bedplate.domain.evidence.inference_contract import CaseCheck
from bedplate.domain.evidence.latency import Latency, Timings
from bedplate.domain.evidence.leakage import Leakage, SingleFeatureScore
from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.evidence.residuals import ErrorShare, Residuals
from bedplate.domain.gate import Measurements, Outcome, Verdict, judge
from bedplate.settings import Gates

NOTHING = Measurements({}, None, "v1", {}, {}, None, "s3://e")
RNG = np.random.default_rng(0)
SCORES = RNG.random(3000) * 0.8 + 0.1
GOOD = calibration((RNG.random(3000) < SCORES).astype(float), SCORES)
BAD = calibration((RNG.random(3000) < SCORES**3).astype(float), SCORES)
CLEAN = Leakage((), "auc", (SingleFeatureScore("age", 0.6),), Estimate(0.6, 0.58, 0.62, 900), 900, 4000, 0, 0, 0)
STEADY = Explanation(200, 1.0, (), Estimate(0.1, 0.08, 0.12, 200), Estimate(0.9, 0.85, 0.95, 200), "")
QUICK = Latency(Timings(1, tuple(i / 100 for i in range(400))), Timings(100, tuple(i / 10 for i in range(40))))
NO_FAULTS = (CaseCheck("schema", 1, ()), CaseCheck("missing column", 3, ()))


def judge_gates(gates: dict[str, Any], **measured: Any) -> list[Verdict]:
    return list(judge(Gates.model_validate(gates), replace(NOTHING, **measured)).verdicts)


def outcomes(gates: dict[str, Any], **measured: Any) -> list[Outcome]:
    return [v.outcome for v in judge_gates(gates, **measured) if v.decides]


@pytest.mark.parametrize(
    ("bound", "good", "bad"),
    [
        ({"max_ece": 0.05}, "PASS", "FAIL"),
        ({"min_slope": 0.8, "max_slope": 1.2}, "PASS", "FAIL"),
        ({"max_intercept": 0.3}, "PASS", "FAIL"),
        ({"min_p": 0.001}, "PASS", "FAIL"),
    ],
)
def test_each_bound_on_calibration_rejects_miscalibrated_scores(bound: dict[str, float], good, bad) -> None:
    gates = {"calibration": bound}
    assert (outcomes(gates, calibration=GOOD), outcomes(gates, calibration=BAD)) == ([good], [bad])


def test_calibration_of_too_few_rows_gives_no_data_for_every_bound() -> None:
    gates = {"calibration": {"max_ece": 0.5, "min_p": 0.0001, "min_rows": 3001}}
    assert outcomes(gates, calibration=GOOD) == ["NO_DATA", "NO_DATA"]
    assert outcomes(gates) == ["NO_DATA", "NO_DATA"]


def estimate(value: float, wide: float, n: int = 500) -> Estimate:
    return Estimate(value, value - wide, value + wide, n)


@pytest.mark.parametrize(
    ("residual", "outcome"),
    [
        (estimate(0.5, 0.2), "PASS"),
        (estimate(-1.5, 0.2), "FAIL"),
        (estimate(0.9, 0.2), "NO_DATA"),
        (estimate(0.5, 0.2, 10), "NO_DATA"),
    ],
)
def test_a_mean_residual_is_bounded_on_both_sides(residual: Estimate, outcome: Outcome) -> None:
    gates = {"residuals": [{"max_bias": 1.0}]}
    assert outcomes(gates, residuals=Residuals(residual, {}, ())) == [outcome]


def test_a_mean_residual_by_column_fails_by_its_worst_value() -> None:
    residuals = Residuals(
        estimate(0, 0.1), {"plan": {"a": estimate(0.1, 0.1), "b": estimate(-3, 0.1), "c": estimate(9, 9, 5)}}, ()
    )
    verdicts = judge_gates({"residuals": [{"max_bias": 1.0, "column": "plan"}]}, residuals=residuals)
    assert [(v.outcome, v.decides) for v in verdicts[:1]] == [("FAIL", True)]
    assert "b (-3)" in verdicts[0].reason
    assert [v.outcome for v in verdicts[1:]] == ["PASS", "FAIL", "NO_DATA"]


@pytest.mark.parametrize(("min_share", "outcome"), [(0.7, "PASS"), (0.8, "NO_DATA"), (0.9, "FAIL")])
def test_the_share_of_small_errors_is_bounded_from_below(min_share: float, outcome: Outcome) -> None:
    residuals = Residuals(estimate(0, 0.1), {}, (ErrorShare(5.0, estimate(0.8, 0.05)),))
    assert outcomes({"residuals": [{"within": 5, "min_share": min_share}]}, residuals=residuals) == [outcome]


@pytest.mark.parametrize(
    ("bound", "outcome"),
    [
        ({"max_importance_shift": 0.2}, "PASS"),
        ({"max_importance_shift": 0.1}, "NO_DATA"),
        ({"max_importance_shift": 0.05}, "FAIL"),
        ({"min_rank_correlation": 0.8}, "PASS"),
        ({"min_rank_correlation": 0.97}, "FAIL"),
    ],
)
def test_the_importance_shift_is_bounded(bound: dict[str, float], outcome: Outcome) -> None:
    assert outcomes({"explanation": bound}, explanation=STEADY) == [outcome]


def test_without_an_explained_champion_there_is_no_data() -> None:
    alone = replace(STEADY, importance_shift=None, rank_correlation=None, note="there is no live release")
    (verdict,) = judge_gates({"explanation": {"max_importance_shift": 0.2}}, explanation=alone)
    assert (verdict.outcome, verdict.reason, verdict.decides) == ("NO_DATA", "there is no live release", True)
    assert outcomes({"explanation": {"max_importance_shift": 0.2}}) == ["NO_DATA"]


def test_an_explanation_gate_against_the_fallback_does_not_decide() -> None:
    (verdict,) = judge_gates(
        {"explanation": {"max_importance_shift": 0.2}}, champion_is_constant=True, explanation=STEADY
    )
    assert (verdict.outcome, verdict.decides) == ("NO_DATA", False)
    whole = judge(
        Gates.model_validate({"explanation": {"max_importance_shift": 0.2}}),
        replace(NOTHING, champion_is_constant=True),
    )
    assert whole.outcome == "NO_DATA", "nothing that decides has passed"


@pytest.mark.parametrize(
    ("changed", "failing"),
    [
        ({"unavailable_features": ("delay",)}, "features not available at prediction"),
        ({"strongest": Estimate(0.99, 0.98, 1.0, 900)}, "auc of age alone"),
        ({"shared_keys": 1}, "rows with a key of a training row"),
        ({"same_content": 10}, "rows equal to a training row"),
        ({"out_of_order": 1}, "rows not after training"),
    ],
)
def test_each_kind_of_leakage_fails_under_its_name(changed: dict[str, Any], failing: str) -> None:
    verdicts = judge_gates({"leakage": {}}, leakage=replace(CLEAN, **changed))
    assert [v.name for v in verdicts if v.outcome == "FAIL"] == [failing]
    assert {v.outcome for v in judge_gates({"leakage": {}}, leakage=CLEAN)} == {"PASS"}


@pytest.mark.parametrize(
    ("bounds", "changed"),
    [
        ({"max_single_feature": 0.999}, {"strongest": Estimate(0.99, 0.98, 0.995, 900)}),
        ({"max_shared_keys": 1}, {"shared_keys": 1}),
        ({"max_same_content_pct": 2}, {"same_content": 10}),
        ({"time_ordered": False}, {"out_of_order": 5}),
    ],
)
def test_each_bound_on_leakage_can_be_loosened(bounds: dict[str, Any], changed: dict[str, Any]) -> None:
    assert "FAIL" not in outcomes({"leakage": bounds}, leakage=replace(CLEAN, **changed))


def test_leakage_without_the_training_data_is_no_data() -> None:
    blind = Leakage((), "auc", (), None, 900, None, None, None, None)
    assert outcomes({"leakage": {}}, leakage=blind) == ["PASS", "NO_DATA", "NO_DATA", "NO_DATA", "NO_DATA"]
    assert outcomes({"leakage": {}}) == ["NO_DATA"]


def test_one_violation_of_the_inference_contract_fails_and_is_named() -> None:
    assert outcomes({"inference": {}}, inference=NO_FAULTS) == ["PASS"]
    broken = (NO_FAULTS[0], CaseCheck("missing column", 3, ("age: expected status 400, found 200",)))
    verdicts = judge_gates({"inference": {}}, inference=broken)
    assert [(v.outcome, v.value, v.n_rows, v.decides) for v in verdicts] == [
        ("FAIL", 3, 4, True),
        ("FAIL", 2, 3, False),
    ]
    assert "age: expected status 400" in verdicts[0].reason
    assert outcomes({"inference": {}}) == ["NO_DATA"]


@pytest.mark.parametrize(
    ("bound", "outcome"),
    [
        ({"single_p50_ms": 3.0}, "PASS"),
        ({"single_p50_ms": 2.0}, "NO_DATA"),
        ({"single_p50_ms": 1.0}, "FAIL"),
        ({"single_p99_ms": 4.5}, "PASS"),
        ({"batch_p50_ms": 3.0}, "PASS"),
        ({"batch_p50_ms": 1.0}, "FAIL"),
        ({"batch_p99_ms": 9.0, "batches": 368}, "NO_DATA"),
    ],
)
def test_a_latency_bound_is_compared_with_the_interval_of_the_quantile(bound: dict[str, Any], outcome: Outcome) -> None:
    assert outcomes({"latency": bound}, latency=QUICK) == [outcome]
    assert outcomes({"latency": bound}) == ["NO_DATA"]


def test_every_verdict_names_its_key_in_model_yaml() -> None:
    gates = {
        "thresholds": [{"metric": "auc", "min": 0.7}],
        "calibration": {"max_ece": 0.1},
        "latency": {"single_p50_ms": 3.0},
    }
    assert [v.key for v in judge_gates(gates)] == [
        "gates.thresholds[0]",
        "gates.calibration.max_ece",
        "gates.latency.single_p50_ms",
    ]
