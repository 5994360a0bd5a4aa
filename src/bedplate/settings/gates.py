"""`gates:` of model.yaml: what a version must show before anybody may approve it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bedplate.settings.types import Edge

Metric = Literal["auc", "average_precision", "brier", "log_loss", "accuracy", "ece", "rmse", "mae", "r2"]


class Threshold(Edge):
    """An absolute bound on a metric of the holdout: exactly one of `min` and `max`."""

    metric: Metric
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def one_bound(self) -> Threshold:
        if (self.min is None) == (self.max is None):
            raise ValueError("exactly one of min and max expected")
        return self


class SegmentGate(Edge):
    """The same bound in every value of a segment column that has `min_rows` rows; fewer is NO_DATA, reported."""

    by: str
    metric: Metric
    min: float | None = None
    max: float | None = None
    min_rows: int = Field(default=200, ge=1)


class ChampionGate(Edge):
    """The candidate may be worse than the live release on the same rows by `tolerance` (in the metric's unit)."""

    metric: Metric
    tolerance: float = Field(default=0.0, ge=0)


class FairnessGate(Edge):
    """Largest difference between groups with at least `min_rows` rows.

    `selection_rate` and `equal_opportunity` (true-positive rate) compare decisions at `threshold`.
    """

    by: str
    metric: Literal["selection_rate", "equal_opportunity"]
    max_difference: Annotated[float, Field(gt=0, le=1)]
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    min_rows: int = Field(default=200, ge=1)


class Gates(Edge):
    thresholds: tuple[Threshold, ...] = ()
    segments: tuple[SegmentGate, ...] = ()
    champion: ChampionGate | None = None
    fairness: tuple[FairnessGate, ...] = ()
    max_artifact_mb: float | None = None
