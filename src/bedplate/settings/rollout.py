"""`rollout:` of model.yaml: how traffic shifts to a new release, and the bounds of a comparison of two releases."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bedplate.settings.types import Pct, StrictModel


class Experiment(StrictModel):
    """Bounds of the strategies that run two releases side by side: shadow, ab, bandit, champion-challenger."""

    share_pct: Annotated[float, Field(gt=0, le=100)] | None = None
    """Share of the traffic that the challenger gets at first (ab, bandit: default 50), or that is copied to it (shadow,
    champion-challenger: default 100)."""
    floor_pct: Annotated[float, Field(ge=0, le=50)] = 5
    """Smallest share that a bandit leaves to every variant."""
    min_predictions: int = Field(default=500, ge=20)
    """Predictions of each variant, or pairs of predictions for the same request, that are needed for a verdict."""
    min_agreement_pct: Pct = 90
    """Shadow: least share of equal decisions at `threshold`; for a regression, of predictions that differ by at most
    `threshold`."""
    threshold: float = 0.5
    metric: Literal["correct", "outcome", "loss"] = "correct"
    """What is computed from a late label: whether the decision was right, the outcome itself (for example a sale), or
    the squared error. Higher is better for the first two, lower for the last."""
    min_effect: float = Field(default=0.02, gt=0)
    """Smallest difference of the metric, in its unit, that an A/B test must detect; the sample size follows from it."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.8
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Probability of being the best variant from which a bandit decides for it."""
    max_hours: float = Field(default=336, gt=0)
    """Without a verdict after this time the result is NO_DATA, and the champion stays."""
    auto_promote: bool = False
    """Whether PASS promotes the challenger at once; otherwise `bedplate rollout promote` does."""


class Rollout(StrictModel):
    strategy: Literal["all-at-once", "canary", "linear", "shadow", "ab", "bandit", "champion-challenger"] = "canary"
    canary_pct: Annotated[int, Field(ge=1, le=50)] = 10
    """Traffic share of the canary, or of each step of a linear rollout. SageMaker allows at most 50."""
    bake_s: int = Field(default=600, ge=0, le=3600)
    """How long the alarms watch each step before the next one. SageMaker allows at most 3,600 s."""
    keep_releases: int = Field(default=5, ge=2)
    max_prediction_shift: float = Field(default=0.25, gt=0)
    """PSI between the canary's and the champion's predictions of the same period that raises the canary's alarm (0.25:
    Siddiqi)."""
    min_predictions: int = Field(default=300, ge=50)
    """Predictions of canary and champion each, in one period, that the shift is computed from; fewer are mostly
    noise."""
    min_bake_predictions: int = Field(default=50, ge=0)
    """Predictions that a canary or linear rollout needs during its bake; with fewer it is rolled back (NO_DATA)."""
    experiment: Experiment = Experiment()

    @property
    def traffic_routing(self) -> Literal["all-at-once", "canary", "linear"]:
        """How SageMaker shifts traffic to a release: by the strategy, or all at once after a comparison of two."""
        return self.strategy if self.strategy in ("all-at-once", "canary", "linear") else "all-at-once"
