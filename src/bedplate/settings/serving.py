"""`serving:` and `rollout:` of model.yaml: how a release answers, and how it takes over."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bedplate.settings.types import Edge, Pct


class Slo(Edge):
    latency_p99_ms: float = Field(default=500, gt=0)
    max_error_pct: Pct = 1.0


class Serving(Edge):
    entry_point: str = "inference.py"
    instance_type: str = Field(default="ml.m5.large", pattern=r"^ml\.")
    instance_count: int = Field(default=2, ge=1)
    min_instances: int = Field(default=2, ge=1)
    max_instances: int = Field(default=4, ge=1)
    invocations_per_instance: float = Field(default=1000, gt=0)
    """Target of autoscaling: invocations per instance and minute."""
    capture_pct: Pct = 100
    slo: Slo = Slo()

    @model_validator(mode="after")
    def counts_in_order(self) -> Serving:
        if not self.min_instances <= self.instance_count <= self.max_instances:
            raise ValueError(
                f"min_instances <= instance_count <= max_instances expected, "
                f"found {self.min_instances}, {self.instance_count}, {self.max_instances}"
            )
        return self


class Rollout(Edge):
    strategy: Literal["all-at-once", "canary", "linear"] = "canary"
    canary_pct: Annotated[int, Field(ge=1, le=50)] = 10
    """Share of traffic of the canary, or of each step of a linear rollout. SageMaker allows at most 50."""
    bake_s: int = Field(default=600, ge=0, le=3600)
    """How long each step is watched before the next one. SageMaker allows at most 3,600 s."""
    keep_releases: int = Field(default=5, ge=2)
    max_prediction_shift: float = Field(default=0.25, gt=0)
    """PSI of the canary's answers against the champion's at the same time that raises its alarm (0.25: Siddiqi)."""
    min_answers: int = Field(default=300, ge=50)
    """Answers of canary and champion each, in one period, before the shift is judged; with fewer it is mostly noise."""
    bake_answers: int = Field(default=50, ge=0)
    """Answers that a canary, or a linear rollout, must give before its bake ends; with fewer it is undone (NO_DATA)."""
