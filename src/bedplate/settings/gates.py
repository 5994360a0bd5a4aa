"""`gates:` of model.yaml: what a version must show before anybody may approve it."""

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
"""Fewer answers have no upper 97.5 % confidence limit of their 99th percentile: even the slowest may lie below it."""
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Threshold(StrictModel):
    """An absolute bound on a metric of the holdout: exactly one of `min` and `max`."""

    metric: Metric
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def one_bound(self) -> Threshold:
        if (self.min is None) == (self.max is None):
            raise ValueError("exactly one of min and max expected")
        return self


class SegmentGate(StrictModel):
    """The same bound in every value of a segment column that has `min_rows` rows; fewer is NO_DATA, reported."""

    by: str
    metric: Metric
    min: float | None = None
    max: float | None = None
    min_rows: int = Field(default=200, ge=1)


class ChampionGate(StrictModel):
    """The candidate may be worse than the live release on the same rows by `tolerance` (in the metric's unit)."""

    metric: Metric
    tolerance: float = Field(default=0.0, ge=0)


class FairnessGate(StrictModel):
    """How far apart groups with at least `min_rows` rows may be: their largest difference, or smallest ratio.

    Decisions are scores of `threshold` and more. `calibration` and `mean_residual` compare scores with labels and need
    no threshold; `mean_residual`, in the label's unit, is the one for regression.
    """

    by: str
    metric: FairnessMetric
    max_difference: Positive | None = None
    min_ratio: Annotated[float, Field(gt=0, le=1)] | None = None
    threshold: Share = 0.5
    min_rows: int = Field(default=200, ge=1)

    @model_validator(mode="after")
    def one_bound(self) -> FairnessGate:
        if (self.max_difference is None) == (self.min_ratio is None):
            raise ValueError("exactly one of max_difference and min_ratio expected")
        if self.max_difference is not None and self.max_difference > 1 and self.metric != "mean_residual":
            raise ValueError(
                f"max_difference is a difference of shares: at most 1 expected, found {self.max_difference:g}"
            )
        if self.min_ratio is not None and self.metric in ("equalized_odds", "calibration", "mean_residual"):
            raise ValueError(f"min_ratio is for one share a group; {self.metric} takes max_difference")
        return self


class CalibrationGate(StrictModel):
    """Whether a probability means what it says (task binary). Only what is given a bound is a gate."""

    max_ece: Share | None = None
    """Expected calibration error over `bins` bins of equal mass, corrected for its bias."""
    bins: int = Field(default=10, ge=2, le=50)
    min_slope: float | None = None
    max_slope: float | None = None
    """Cox's slope: 1 is right, below 1 is too sure of itself."""
    max_intercept: Positive | None = None
    """Size of the calibration in the large, in logits: 0 is right."""
    min_p: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Smallest p of Spiegelhalter's test. With very many rows it finds faults that nobody minds."""
    min_rows: int = Field(default=500, ge=1)

    @model_validator(mode="after")
    def something_is_bounded(self) -> CalibrationGate:
        if all(b is None for b in (self.max_ece, self.min_slope, self.max_slope, self.max_intercept, self.min_p)):
            raise ValueError("at least one of max_ece, min_slope, max_slope, max_intercept and min_p expected")
        return self


class ResidualGate(StrictModel):
    """Errors of a regression, in its unit: their mean (`max_bias`, also `by` a column), or how many are small."""

    max_bias: Positive | None = None
    by: str | None = None
    within: Positive | None = None
    min_share: Share | None = None
    """Share of the rows whose error is at most `within`."""
    min_rows: int = Field(default=200, ge=1)

    @model_validator(mode="after")
    def one_kind(self) -> ResidualGate:
        if (self.max_bias is None) == (self.within is None) or (self.within is None) != (self.min_share is None):
            raise ValueError("either max_bias, or within and min_share expected")
        return self


class LatencyGate(StrictModel):
    """Milliseconds of answers of the real serving entry point, asked inside the evaluation job after a warm-up."""

    single_p50_ms: Positive | None = None
    single_p99_ms: Positive | None = None
    batch_p50_ms: Positive | None = None
    batch_p99_ms: Positive | None = None
    batch_rows: int = Field(default=100, ge=2, le=10_000)
    requests: int = Field(default=MIN_REQUESTS_FOR_P99, ge=20, le=20_000)
    """Requests with one row."""
    batches: int = Field(default=40, ge=20, le=20_000)
    """Requests with `batch_rows` rows."""
    warm_up: int = Field(default=20, ge=0)

    @model_validator(mode="after")
    def enough_to_bound_a_percentile(self) -> LatencyGate:
        for bound, count, key in (
            (self.single_p99_ms, self.requests, "requests"),
            (self.batch_p99_ms, self.batches, "batches"),
        ):
            if bound is not None and count < MIN_REQUESTS_FOR_P99:
                raise ValueError(f"{key} of at least {MIN_REQUESTS_FOR_P99} expected to bound a p99, found {count}")
        bounds = (self.single_p50_ms, self.single_p99_ms, self.batch_p50_ms, self.batch_p99_ms)
        if all(bound is None for bound in bounds):
            raise ValueError("at least one of single_p50_ms, single_p99_ms, batch_p50_ms and batch_p99_ms expected")
        return self


class InferenceGate(StrictModel):
    """The serving entry point keeps the data contract: what fits is answered the same way however it is sent, what
    does not fit is refused with its column."""

    rows: int = Field(default=32, ge=4, le=1000)
    same_within: float = Field(default=1e-9, ge=0)
    """How far two answers to the same row may lie apart; a share of the answer where that is above 1."""


class ExplanationGate(StrictModel):
    """How far the candidate's reasons may move away from the live release's: global mean |SHAP| of both."""

    max_moved: Share | None = None
    """Share of the whole importance that went to other features."""
    min_rank_correlation: Annotated[float, Field(ge=-1, le=1)] | None = None
    rows: int = Field(default=200, ge=30, le=5000)
    background: int = Field(default=100, ge=10, le=5000)
    draws: int = Field(default=10, ge=1, le=200)
    """Pairs of permutations a row, each against a background row of its own."""
    max_seconds: Positive = 60

    @model_validator(mode="after")
    def something_is_bounded(self) -> ExplanationGate:
        if self.max_moved is None and self.min_rank_correlation is None:
            raise ValueError("at least one of max_moved and min_rank_correlation expected")
        return self


class LeakageGate(StrictModel):
    """Signs that the holdout is not as unseen, or a feature not as innocent, as it should be."""

    max_single_feature: Share = 0.95
    """Highest AUC (regression: R2) that one feature may reach alone."""
    max_shared_keys: int = Field(default=0, ge=0)
    """Held-out rows whose key is also in the training data."""
    max_same_content_pct: Pct = 1.0
    """Held-out rows whose features and label are also in the training data, in percent."""
    order_of_time: bool = True
    """Every held-out row is later than every row of the training data."""


class VulnerabilityGate(StrictModel):
    """What is published against the packages of the version's image, by its bill of materials and pip-audit."""

    allow: tuple[str, ...] = ()
    """Findings that were looked at and do not matter here, by id or alias (CVE, GHSA); packages that no index knows."""
    optional: bool = False
    """When the index cannot be reached: NO_DATA is shown, and does not decide."""


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
    def grouped_by(self) -> tuple[tuple[str, str], ...]:
        """(key, column) for every column whose values are looked at one by one."""
        found = [(f"gates.segments.{at}.by", gate.by) for at, gate in enumerate(self.segments)]
        found += [(f"gates.fairness.{at}.by", gate.by) for at, gate in enumerate(self.fairness)]
        found += [(f"gates.residuals.{at}.by", gate.by) for at, gate in enumerate(self.residuals) if gate.by]
        return tuple(found)

    def unfit(self, task: str) -> tuple[tuple[str, str], ...]:
        """(what is wrong, key) for every gate that makes no sense for the task, beside the metrics that are not its."""
        found = []
        if task == "regression" and self.calibration:
            found.append(("calibration is about probabilities: task 'regression' has residuals", "gates.calibration"))
        if task != "regression" and self.residuals:
            found.append((f"residuals are for task 'regression': task {task!r} has calibration", "gates.residuals"))
        for at, gate in enumerate(self.fairness):
            if (gate.metric == "mean_residual") != (task == "regression"):
                found.append((f"fairness by {gate.metric} is not for task {task!r}", f"gates.fairness.{at}.metric"))
        return tuple(found)
