"""`gates:` of model.yaml: which bounds are accepted."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bedplate.settings import Gates
from builders import a_spec


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ({"fairness": [{"column": "plan", "metric": "accuracy"}]}, "exactly one of max_difference and min_ratio"),
        ({"fairness": [{"column": "plan", "metric": "accuracy", "max_difference": 2}]}, "at most 1"),
        ({"fairness": [{"column": "plan", "metric": "equalized_odds", "min_ratio": 0.8}]}, "takes max_difference"),
        ({"calibration": {"bins": 5}}, "at least one of max_ece"),
        ({"residuals": [{"max_bias": 1, "within": 3, "min_share": 0.5}]}, "either max_bias, or within"),
        ({"residuals": [{"within": 3}]}, "either max_bias, or within"),
        ({"latency": {"requests": 400}}, "at least one of single_p50_ms"),
        ({"latency": {"single_p99_ms": 9, "requests": 367}}, "at least 368 to bound a p99"),
        ({"latency": {"batch_p99_ms": 9}}, "batches of at least 368"),
        ({"explanation": {"rows": 100}}, "at least one of max_importance_shift"),
    ],
)
def test_a_gate_without_a_usable_bound_is_rejected(gates: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Gates.model_validate(gates)


@pytest.mark.parametrize(
    ("task", "gates", "message"),
    [
        ("regression", {"calibration": {"max_ece": 0.1}}, "task 'regression' has residuals"),
        ("binary", {"residuals": [{"max_bias": 1}]}, "task 'binary' has calibration"),
        ("regression", {"fairness": [{"column": "plan", "metric": "accuracy", "max_difference": 0.1}]}, "by accuracy"),
        (
            "binary",
            {"fairness": [{"column": "plan", "metric": "mean_residual", "max_difference": 5}]},
            "by mean_residual",
        ),
        ("regression", {"residuals": [{"max_bias": 1, "column": "mood"}]}, "'mood', which is no column"),
    ],
)
def test_a_gate_of_another_task_or_an_unknown_column_is_rejected(
    task: str, gates: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        a_spec(task=task, gates=gates, monitors={"max_drop": {}})
