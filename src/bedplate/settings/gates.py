"""`gates:` of model.yaml: the bounds that a version's evaluation must keep before the version can be approved."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bedplate.settings.types import Pct, StrictModel

Metric = Literal["auc", "average_precision", "brier", "log_loss", "accuracy", "ece", "rmse", "mae", "r2"]
FairnessMetric = Literal[
    "selection_rate",
    "equal_opportunity",
    "false_positive_rate",
    "equalized_odds",
    "predictive_parity",
    "accuracy",
    "calibration",
    "mean_residual",
]
MIN_REQUESTS_FOR_P99 = math.ceil(math.log(0.025) / math.log(0.99))
"""Fewer predictions have no upper 97.5 % confidence limit of their 99th percentile: all of them may lie below it."""
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Threshold(StrictModel):
    """An absolute bound on a metric of the holdout; exactly one of `min` and `max` is set."""

    metric: Metric
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def one_bound(self) -> Threshold:
        if (self.min is None) == (self.max is None):
            raise ValueError("expected exactly one of min and max")
        return self


class SegmentGate(StrictModel):
    """One bound for every value of a segment column; values with fewer than `min_rows` rows are reported as NO_DATA."""

    column: str
    metric: Metric
    min: float | None = None
    max: float | None = None
    min_rows: int = Field(default=200, ge=1)


class ChampionGate(StrictModel):
    """The candidate may be worse than the live release on the same rows by `tolerance`, in the metric's unit."""

    metric: Metric
    tolerance: float = Field(default=0.0, ge=0)


class FairnessGate(StrictModel):
    """Bounds the largest difference or the smallest ratio between groups with at least `min_rows` rows.

    A score of at least `threshold` is a positive decision. `calibration` and `mean_residual` compare scores with labels
    and need no threshold; `mean_residual`, in the label's unit, is the metric for regression.
    """

    column: str
    metric: FairnessMetric
    max_difference: Positive | None = None
    min_ratio: Annotated[float, Field(gt=0, le=1)] | None = None
    threshold: Share = 0.5
    min_rows: int = Field(default=200, ge=1)

    @model_validator(mode="after")
    def one_bound(self) -> FairnessGate:
        if (self.max_difference is None) == (self.min_ratio is None):
            raise ValueError("expected exactly one of max_difference and min_ratio")
        if self.max_difference is not None and self.max_difference > 1 and self.metric != "mean_residual":
            raise ValueError(
                f"max_difference is a difference of shares: expected at most 1, found {self.max_difference:g}"
            )
        if self.min_ratio is not None and self.metric in ("equalized_odds", "calibration", "mean_residual"):
            raise ValueError(f"min_ratio needs one share per group; {self.metric} takes max_difference")
        return self


class CalibrationGate(StrictModel):
    """Calibration of the probabilities (task binary). Only the measures with a bound are gates."""

    max_ece: Share | None = None
    """Expected calibration error over `bins` bins with equal numbers of rows, corrected for its bias."""
    bins: int = Field(default=10, ge=2, le=50)
    min_slope: float | None = None
    max_slope: float | None = None
    """Cox's calibration slope: 1 is calibrated, below 1 is overconfident."""
    max_intercept: Positive | None = None
    """Largest absolute value of the calibration-in-the-large, in logits: 0 is calibrated."""
    min_p: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Smallest p-value of Spiegelhalter's test. With very many rows it detects deviations that do not matter."""
    min_rows: int = Field(default=500, ge=1)

    @model_validator(mode="after")
    def has_a_bound(self) -> CalibrationGate:
        if all(b is None for b in (self.max_ece, self.min_slope, self.max_slope, self.max_intercept, self.min_p)):
            raise ValueError("expected at least one of max_ece, min_slope, max_slope, max_intercept and min_p")
        return self


class ResidualGate(StrictModel):
    """Bounds the mean error of a regression (`max_bias`, in the label's unit, also per value of `column`), or the share
    of rows with a small error (`within` and `min_share`)."""

    max_bias: Positive | None = None
    column: str | None = None
    within: Positive | None = None
    min_share: Share | None = None
    """Smallest share of rows whose error is at most `within`."""
    min_rows: int = Field(default=200, ge=1)

    @model_validator(mode="after")
    def one_kind(self) -> ResidualGate:
        if (self.max_bias is None) == (self.within is None) or (self.within is None) != (self.min_share is None):
            raise ValueError("expected either max_bias, or within and min_share")
        return self


class LatencyGate(StrictModel):
    """Latency in milliseconds of the serving entry point, measured inside the evaluation job after a warm-up."""

    single_p50_ms: Positive | None = None
    single_p99_ms: Positive | None = None
    batch_p50_ms: Positive | None = None
    batch_p99_ms: Positive | None = None
    batch_rows: int = Field(default=100, ge=2, le=10_000)
    requests: int = Field(default=MIN_REQUESTS_FOR_P99, ge=20, le=20_000)
    """Number of requests with one row."""
    batches: int = Field(default=40, ge=20, le=20_000)
    """Number of requests with `batch_rows` rows."""
    warm_up: int = Field(default=20, ge=0)

    @model_validator(mode="after")
    def enough_to_bound_a_percentile(self) -> LatencyGate:
        for bound, count, key in (
            (self.single_p99_ms, self.requests, "requests"),
            (self.batch_p99_ms, self.batches, "batches"),
        ):
            if bound is not None and count < MIN_REQUESTS_FOR_P99:
                raise ValueError(f"expected {key} of at least {MIN_REQUESTS_FOR_P99} to bound a p99, found {count}")
        bounds = (self.single_p50_ms, self.single_p99_ms, self.batch_p50_ms, self.batch_p99_ms)
        if all(bound is None for bound in bounds):
            raise ValueError("expected at least one of single_p50_ms, single_p99_ms, batch_p50_ms and batch_p99_ms")
        return self


class InferenceGate(StrictModel):
    """The serving entry point keeps the data contract: valid rows get the same prediction in every content type and
    batch size, and invalid rows are rejected with the name of the column."""

    rows: int = Field(default=32, ge=4, le=1000)
    tolerance: float = Field(default=1e-9, ge=0)
    """Largest difference between two predictions for the same row; relative where the prediction is above 1."""


class ExplanationGate(StrictModel):
    """Bounds the change of the feature importance (mean |SHAP|) from the live release to the candidate."""

    max_importance_shift: Share | None = None
    """Largest share of the total importance that may move to other features."""
    min_rank_correlation: Annotated[float, Field(ge=-1, le=1)] | None = None
    rows: int = Field(default=200, ge=30, le=5000)
    background: int = Field(default=100, ge=10, le=5000)
    draws: int = Field(default=10, ge=1, le=200)
    """Pairs of permutations per row, each with its own background row."""
    max_seconds: Positive = 60

    @model_validator(mode="after")
    def has_a_bound(self) -> ExplanationGate:
        if self.max_importance_shift is None and self.min_rank_correlation is None:
            raise ValueError("expected at least one of max_importance_shift and min_rank_correlation")
        return self


class LeakageGate(StrictModel):
    """Bounds on signs of leakage: holdout rows that training has too, and features that give away the label."""

    max_single_feature: Share = 0.95
    """Highest AUC (regression: R2) that a single feature may reach alone."""
    max_shared_keys: int = Field(default=0, ge=0)
    """Holdout rows whose key is also in the training data."""
    max_same_content_pct: Pct = 1.0
    """Holdout rows whose features and label are also in the training data, in percent of the holdout."""
    time_ordered: bool = True
    """Whether every holdout row must be later than every row of the training data."""


class VulnerabilityGate(StrictModel):
    """Published vulnerabilities of the packages in the version's image, by its bill of materials and pip-audit."""

    allow: tuple[str, ...] = ()
    """Accepted findings by id or alias (CVE, GHSA), and packages that no index lists."""
    optional: bool = False
    """Whether NO_DATA, when the index cannot be reached, is reported without failing the gate."""


class Gates(StrictModel):
    thresholds: tuple[Threshold, ...] = ()
    segments: tuple[SegmentGate, ...] = ()
    champion: ChampionGate | None = None
    fairness: tuple[FairnessGate, ...] = ()
    calibration: CalibrationGate | None = None
    residuals: tuple[ResidualGate, ...] = ()
    latency: LatencyGate | None = None
    inference: InferenceGate | None = None
    explanation: ExplanationGate | None = None
    leakage: LeakageGate | None = None
    vulnerabilities: VulnerabilityGate | None = None
    max_artifact_mb: float | None = None

    @property
    def group_columns(self) -> tuple[tuple[str, str], ...]:
        """Pairs of (key in model.yaml, column) for every column whose values a gate compares."""
        columns = [(f"gates.segments.{i}.column", gate.column) for i, gate in enumerate(self.segments)]
        columns += [(f"gates.fairness.{i}.column", gate.column) for i, gate in enumerate(self.fairness)]
        columns += [
            (f"gates.residuals.{i}.column", gate.column) for i, gate in enumerate(self.residuals) if gate.column
        ]
        return tuple(columns)

    def task_errors(self, task: str) -> tuple[tuple[str, str], ...]:
        """Returns (message, key) for every gate that does not apply to the task; metrics are checked elsewhere."""
        errors = []
        if task == "regression" and self.calibration:
            errors.append(("calibration is about probabilities: task 'regression' has residuals", "gates.calibration"))
        if task != "regression" and self.residuals:
            errors.append((f"residuals are for task 'regression': task {task!r} has calibration", "gates.residuals"))
        for i, gate in enumerate(self.fairness):
            if (gate.metric == "mean_residual") != (task == "regression"):
                errors.append((f"fairness by {gate.metric} is not for task {task!r}", f"gates.fairness.{i}.metric"))
        return tuple(errors)
