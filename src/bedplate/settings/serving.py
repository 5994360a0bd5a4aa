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


class Experiment(Edge):
    """What a rollout of two releases side by side (shadow, ab, bandit, champion-challenger) has to show."""

    share_pct: Annotated[float, Field(gt=0, le=100)] | None = None
    """Of the traffic that the challenger gets at first (ab, bandit: 50 when not given), or of which it gets a copy (the
    others: 100)."""
    floor_pct: Annotated[float, Field(ge=0, le=50)] = 5
    """A bandit leaves every variant at least this share."""
    min_answers: int = Field(default=500, ge=20)
    """Answers of each, or pairs of answers to the same request, before anything is judged."""
    min_agreement_pct: Pct = 90
    """Shadow: equal decisions at `threshold`; for a regression, scores that differ by at most `threshold`."""
    threshold: float = 0.5
    metric: Literal["correct", "outcome", "loss"] = "correct"
    """What a late label says of an answer: whether the decision was right, the outcome itself (say, a sale), or the
    squared error. The first two are better high, the last low."""
    min_effect: float = Field(default=0.02, gt=0)
    """Difference of the metric, in its unit, that an A/B test must be able to see; its sample follows from it."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.8
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Probability of being the best at which a bandit has found it."""
    max_hours: float = Field(default=336, gt=0)
    """Without a verdict by then it is NO_DATA, and the champion stays."""
    auto_promote: bool = False
    """Promote on PASS without asking: `bedplate rollout promote` otherwise."""


class Rollout(Edge):
    strategy: Literal["all-at-once", "canary", "linear", "shadow", "ab", "bandit", "champion-challenger"] = "canary"
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
    experiment: Experiment = Experiment()

    @property
    def shift(self) -> Literal["all-at-once", "canary", "linear"]:
        """How one release takes the place of another: the strategy, and all at once after one that compared them."""
        return self.strategy if self.strategy in ("all-at-once", "canary", "linear") else "all-at-once"
