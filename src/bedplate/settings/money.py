"""`budget:` of model.yaml and of the stack file, and `cost_anomalies:`: what may be spent, and what happens then."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bedplate.settings.types import StrictModel, Usd

LifeStage = Literal["training", "storage", "endpoints", "monitoring"]
"""A stage of a model's life that money is spent in. Evaluations are processing jobs like the monitors' runs: AWS
bills them, and `monitoring` counts them, together."""

StopPct = Annotated[float, Field(ge=1, le=1000)]


class PlatformBudget(StrictModel):
    """What a whole environment may cost a month."""

    monthly_usd: Usd
    actual_thresholds_pct: tuple[float, ...] = (50, 80, 100)
    """People are told when what was spent passes these percentages of the limit."""
    forecast_thresholds_pct: tuple[float, ...] = (100,)
    """People are told when what the month is forecast to cost passes these."""
    stages: dict[LifeStage, Usd] = Field(default_factory=dict)
    """Budgets of their own for a stage of the life, USD a month, with the same thresholds."""
    stop_training_at_pct: StopPct | None = 100
    """From this percentage of actual spend on, a budget action denies new trainings; null: never."""

    @model_validator(mode="after")
    def stages_fit_in(self) -> PlatformBudget:
        for stage, usd in self.stages.items():
            if usd > self.monthly_usd:
                raise ValueError(
                    f"stages.{stage} is {usd:g} USD, more than the whole budget's monthly_usd {self.monthly_usd:g}"
                )
        return self


class Budget(PlatformBudget):
    """What one model may cost a month."""

    @model_validator(mode="after")
    def storage_is_shared(self) -> Budget:
        if "storage" in self.stages:
            raise ValueError(
                "stages.storage: a model has no bucket of its own, so no bill tells its storage apart; "
                "set it under the stack file's budget"
            )
        return self


class CostAnomalies(StrictModel):
    """Cost Anomaly Detection over everything that carries the environment's tags."""

    enabled: bool = True
    min_impact_usd: Usd = 10
    """An anomaly is told from this many USD above what was expected on."""
