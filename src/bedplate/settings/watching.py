"""`monitors:` and `retraining:` of model.yaml: what is watched, and what happens then."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bedplate.settings.gates import Metric
from bedplate.settings.types import Edge


class Monitor(Edge):
    features: tuple[str, ...] | Literal["all"] = "all"
    psi_warn: float = Field(default=0.1, gt=0)
    psi_alert: float = Field(default=0.25, gt=0)
    min_rows: int = Field(default=300, ge=1)
    schedule: str = Field(default="cron(0 * ? * * *)", pattern=r"^cron\(.+\)$")
    window: Literal["day", "week", "month"] = "week"
    max_drop: dict[Metric, float] = Field(default_factory=dict)
    """How much a metric on late labels may fall against the holdout's before it alerts."""


class Retraining(Edge):
    on_drift: bool = True
    on_performance_drop: bool = True
    max_age_days: int | None = Field(default=None, ge=1)
