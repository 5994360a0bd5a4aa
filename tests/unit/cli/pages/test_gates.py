"""The page of one evaluation: whole with little, self-contained with everything, safe with what people wrote."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
import pytest

from bedplate.cli.pages.gates import render
from bedplate.domain.evidence.evaluation import Evaluation, Trials, evaluate
from bedplate.domain.evidence.explanation import stability
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
REASONS = np.abs(RNG.normal(size=(60, 3)))
TRIALS = Trials(
    latency=Latency(Timings(1, tuple(float(i) for i in range(1, 401))), Timings(100, (5.0, 6.0, 7.0))),
    inference=(CaseCheck("schema", 1, ()), CaseCheck("missing column", 3, ("age: <b>400</b> expected",))),
    explanation=stability(REASONS, ("age", "calls", "plan"), REASONS[:, ::-1], ("age", "calls", "plan"), seconds=0.3),
    leakage=Leakage((), "auc", (SingleFeatureScore("age", 0.6),), Estimate(0.6, 0.55, 0.65, N), N, 2000, 0, 1, 0),
)
GATES = {
    "thresholds": [{"metric": "auc", "min": 0.6}],
    "segments": [{"by": "plan", "metric": "auc", "min": 0.6, "min_rows": 300}],
    "fairness": [{"by": "plan", "metric": "equalized_odds", "max_difference": 0.3}],
    "calibration": {"max_ece": 0.2},
    "explanation": {"max_moved": 0.9},
    "leakage": {},
    "inference": {},
    "latency": {"single_p50_ms": 900},
    "max_artifact_mb": 5,
}


def page(spec: ModelSpec, trials: Trials | None, *, description: str = "Who leaves?") -> str:
    if spec.task == "regression":
        labels = RNG.normal(50, 9, N)
        scores = labels + RNG.normal(0, 3, N)
    else:
        scores = RNG.random(N)
        labels = (RNG.random(N) < scores).astype(float)
    found: Evaluation = evaluate(
        spec, labels, scores, None, {"plan": PLANS}, artifact_mb=1.0, seconds=0.1, trials=trials
    )
    shown = found.trials
    between = {(f.by, f.metric, f.threshold, f.ratio): f.difference for f in found.fairness}
    evidence = Measurements(
        found.candidate, None, "v1", found.segments, between,
        1.0, "s3://e", calibration=shown.calibration, residuals=shown.residuals, latency=shown.latency,
        inference=shown.inference, explanation=shown.explanation, leakage=shown.leakage,
    )  # fmt: skip
    told = {"stack": "local", "champion": "v1", "source": "s3://e", "made_at": datetime(2026, 3, 1, tzinfo=UTC)}
    return render("churn:3", spec.gates, found, judge(spec.gates, evidence), description=description, **told)  # type: ignore[arg-type]


def cards(html: str) -> dict[str, str]:
    """Heading of a section -> the section."""
    sections = re.findall(r"<section>.*?</section>", html, re.S)
    return {re.sub("<.*", "", re.search("<h2>(.*?)</h2>", s)[1]): s for s in sections}  # type: ignore[index]


def test_every_kind_of_gate_has_its_card_with_verdict_and_chart() -> None:
    found = cards(page(a_spec(gates=GATES), TRIALS))
    assert list(found) == [
        "Every gate", "Performance", "Segments", "Calibration", "Fairness", "Explanation", "Leakage",
        "Inference contract", "Latency",
    ]  # fmt: skip
    for title in ("Performance", "Segments", "Calibration", "Fairness", "Explanation", "Leakage", "Latency"):
        assert "<svg" in found[title], title
    assert 'class="FAIL"' in found["Inference contract"]
    assert found["Every gate"].count("<tr>") == 1 + 13


def test_the_verdict_stands_in_the_headline() -> None:
    html = page(a_spec(gates=GATES), TRIALS)
    assert re.search(r"<h1>churn:3: <span class=\"FAIL\">FAIL</span></h1>", html)


def test_a_bare_evaluation_makes_a_page_too() -> None:
    assert list(cards(page(a_spec(gates={"thresholds": [{"metric": "auc", "min": 0.6}]}), None))) == [
        "Every gate",
        "Performance",
    ]


def test_a_regression_shows_residuals_instead_of_curves() -> None:
    gates = {"residuals": [{"max_bias": 3, "by": "plan"}], "thresholds": [{"metric": "rmse", "max": 9}]}
    found = cards(page(a_spec(task="regression", gates=gates), Trials()))
    assert "Residuals over the predicted value" in found["Performance"]
    assert "mean residual by plan" in found["Segments"]
    assert "Calibration" not in found


@pytest.mark.parametrize("loads", ["src=", "href=", "@import", "url("])
def test_it_loads_nothing(loads: str) -> None:
    assert loads not in page(a_spec(gates=GATES), TRIALS)


def test_what_people_and_models_wrote_is_text() -> None:
    html = page(a_spec(gates=GATES), TRIALS, description="<script>alert(1)</script>")
    assert "<script>" not in html
    assert "<b>400</b>" not in html
