"""`budget:` of model.yaml and of the stack file, and `cost_anomalies:`: monthly limits, alerts and their actions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bedplate.settings.types import StrictModel, Usd

LifeStage = Literal["training", "storage", "endpoints", "monitoring"]
"""A stage of a model's life that costs money. Evaluations are processing jobs like monitoring runs: AWS bills both
under one usage type, and `monitoring` counts both."""

StopPct = Annotated[float, Field(ge=1, le=1000)]


class PlatformBudget(StrictModel):
    """The monthly budget of a whole environment."""

    monthly_usd: Usd
    actual_thresholds_pct: tuple[float, ...] = (50, 80, 100)
    """AWS Budgets alerts when actual spend passes these percentages of the limit."""
    forecast_thresholds_pct: tuple[float, ...] = (100,)
    """AWS Budgets alerts when the forecast for the month passes these percentages of the limit."""
    stages: dict[LifeStage, Usd] = Field(default_factory=dict)
    """Separate budgets for single stages, USD a month, with the same thresholds."""
    stop_training_at_pct: StopPct | None = 100
    """Percentage of actual spend from which a budget action denies new trainings; null never denies."""

    @model_validator(mode="after")
    def stages_fit_into_limit(self) -> PlatformBudget:
        for stage, usd in self.stages.items():
            if usd > self.monthly_usd:
                raise ValueError(
                    f"stages.{stage} is {usd:g} USD, more than the whole budget's monthly_usd {self.monthly_usd:g}"
                )
        return self


class Budget(PlatformBudget):
    """The monthly budget of one model."""

    @model_validator(mode="after")
    def storage_is_shared(self) -> Budget:
        if "storage" in self.stages:
            raise ValueError(
                "stages.storage: models share their buckets, so a bill cannot tell one model's storage apart; "
                "set it under the stack file's budget"
            )
        return self


class CostAnomalies(StrictModel):
    """Cost Anomaly Detection over all spend with the environment's tags."""

    enabled: bool = True
    min_impact_usd: Usd = 10
    """Smallest difference between actual and expected spend, in USD, that alerts."""
