"""The page of one evaluation: complete with few gates, loads nothing, escapes what people wrote."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
import pytest

from bedplate.cli.pages.gates import render
from bedplate.domain.evidence.evaluation import Analyses, Evaluation, evaluate_models
from bedplate.domain.evidence.explanation import compare_importances
from bedplate.domain.evidence.inference_contract import CaseCheck
from bedplate.domain.evidence.latency import Latency, Timings
from bedplate.domain.evidence.leakage import Leakage, SingleFeatureScore
from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.gate import Measurements, judge
from bedplate.settings import ModelSpec
from builders import a_spec

RNG = np.random.default_rng(3)
N = 600
PLANS = np.where(np.arange(N) % 3 == 0, "pro", "basic").tolist()
SHAP_VALUES = np.abs(RNG.normal(size=(60, 3)))
ANALYSES = Analyses(
    latency=Latency(Timings(1, tuple(float(i) for i in range(1, 401))), Timings(100, (5.0, 6.0, 7.0))),
    inference=(CaseCheck("schema", 1, ()), CaseCheck("missing column", 3, ("age: expected <b>400</b>",))),
    explanation=compare_importances(
        SHAP_VALUES, ("age", "calls", "plan"), SHAP_VALUES[:, ::-1], ("age", "calls", "plan"), seconds=0.3
    ),
    leakage=Leakage((), "auc", (SingleFeatureScore("age", 0.6),), Estimate(0.6, 0.55, 0.65, N), N, 2000, 0, 1, 0),
)
GATES = {
    "thresholds": [{"metric": "auc", "min": 0.6}],
    "segments": [{"column": "plan", "metric": "auc", "min": 0.6, "min_rows": 300}],
    "fairness": [{"column": "plan", "metric": "equalized_odds", "max_difference": 0.3}],
    "calibration": {"max_ece": 0.2},
    "explanation": {"max_importance_shift": 0.9},
    "leakage": {},
    "inference": {},
    "latency": {"single_p50_ms": 900},
    "max_artifact_mb": 5,
}


def page(spec: ModelSpec, analyses: Analyses | None, *, description: str = "Who leaves?") -> str:
    if spec.task == "regression":
        labels = RNG.normal(50, 9, N)
        scores = labels + RNG.normal(0, 3, N)
    else:
        scores = RNG.random(N)
        labels = (RNG.random(N) < scores).astype(float)
    evaluation: Evaluation = evaluate_models(
        spec, labels, scores, None, {"plan": PLANS}, artifact_mb=1.0, seconds=0.1, analyses=analyses
    )
    measured = evaluation.analyses
    differences = {(f.column, f.metric, f.threshold, f.is_ratio): f.difference for f in evaluation.fairness}
    evidence = Measurements(
        evaluation.candidate, None, "v1", evaluation.segments, differences,
        1.0, "s3://e", calibration=measured.calibration, residuals=measured.residuals, latency=measured.latency,
        inference=measured.inference, explanation=measured.explanation, leakage=measured.leakage,
    )  # fmt: skip
    values = {"stack": "local", "champion": "v1", "source": "s3://e", "created_at": datetime(2026, 3, 1, tzinfo=UTC)}
    return render("churn:3", spec.gates, evaluation, judge(spec.gates, evidence), description=description, **values)  # type: ignore[arg-type]


def cards(html: str) -> dict[str, str]:
    """Returns heading -> section."""
    sections = re.findall(r"<section>.*?</section>", html, re.S)
    return {re.sub("<.*", "", re.search("<h2>(.*?)</h2>", s)[1]): s for s in sections}  # type: ignore[index]


def test_every_kind_of_gate_has_a_card_with_verdict_and_chart() -> None:
    sections = cards(page(a_spec(gates=GATES), ANALYSES))
    assert list(sections) == [
        "Every gate", "Performance", "Segments", "Calibration", "Fairness", "Explanation", "Leakage",
        "Inference contract", "Latency",
    ]  # fmt: skip
    for title in ("Performance", "Segments", "Calibration", "Fairness", "Explanation", "Leakage", "Latency"):
        assert "<svg" in sections[title], title
    assert 'class="FAIL"' in sections["Inference contract"]
    assert sections["Every gate"].count("<tr>") == 1 + 13


def test_the_headline_shows_the_verdict() -> None:
    html = page(a_spec(gates=GATES), ANALYSES)
    assert re.search(r"<h1>churn:3: <span class=\"FAIL\">FAIL</span></h1>", html)


def test_an_evaluation_with_thresholds_only_makes_a_page() -> None:
    assert list(cards(page(a_spec(gates={"thresholds": [{"metric": "auc", "min": 0.6}]}), None))) == [
        "Every gate",
        "Performance",
    ]


def test_a_regression_shows_residuals_instead_of_curves() -> None:
    gates = {"residuals": [{"max_bias": 3, "column": "plan"}], "thresholds": [{"metric": "rmse", "max": 9}]}
    sections = cards(page(a_spec(task="regression", gates=gates), Analyses()))
    assert "Residuals over the predicted value" in sections["Performance"]
    assert "mean residual by plan" in sections["Segments"]
    assert "Calibration" not in sections


@pytest.mark.parametrize("reference", ["src=", "href=", "@import", "url("])
def test_the_page_loads_nothing(reference: str) -> None:
    assert reference not in page(a_spec(gates=GATES), ANALYSES)


def test_texts_of_people_and_models_are_escaped() -> None:
    html = page(a_spec(gates=GATES), ANALYSES, description="<script>alert(1)</script>")
    assert "<script>" not in html
    assert "<b>400</b>" not in html
