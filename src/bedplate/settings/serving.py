"""`serving:` and `rollout:` of model.yaml: how a release answers, and how it takes over."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from bedplate.settings.types import Pct, StrictModel, refuse

SERVERLESS_UNUSED = ("instance_type", "instance_count", "min_instances", "max_instances", "invocations_per_instance")
"""Keys that say something of instances, which a serverless endpoint does not have."""


class Slo(StrictModel):
    latency_p99_ms: float = Field(default=500, gt=0)
    max_error_pct: Pct = 1.0


class Serverless(StrictModel):
    """`mode: serverless`: no instances, no cost while nobody asks, and a cold start for who asks first."""

    memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144] = 2048
    max_concurrency: int = Field(default=20, ge=1, le=200)
    """Requests that are answered at once; further ones are throttled. The account has a limit of its own."""
    provisioned_concurrency: int | None = Field(default=None, ge=1, le=200)
    """So many are kept warm, and are paid for by the hour."""

    @model_validator(mode="after")
    def provisioned_fits_in(self) -> Serverless:
        if self.provisioned_concurrency and self.provisioned_concurrency > self.max_concurrency:
            raise ValueError(
                f"provisioned_concurrency {self.provisioned_concurrency} is above max_concurrency "
                f"{self.max_concurrency}: what is kept warm can never be used"
            )
        return self


class Asynchronous(StrictModel):
    """`mode: async`: requests wait in a queue, read from S3 and answered to S3; instances may go to zero."""

    max_concurrent_per_instance: int = Field(default=4, ge=1, le=1000)
    backlog_per_instance: float = Field(default=5, gt=0)
    """Target of autoscaling: requests that wait, per instance."""
    notify_errors: bool = True
    """A request that failed is told to the alerts topic."""
    success_topic_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:sns:")
    """A topic of yours that hears of every answer; its name begins with the environment's prefix."""


class ScheduledScaling(StrictModel):
    """Other bounds of autoscaling from a time on, until the next entry."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    at: str = Field(pattern=r"^(cron|rate|at)\(.+\)$")
    """Application Auto Scaling's expression, e.g. `cron(0 7 ? * MON-FRI *)`."""
    timezone: str = "UTC"
    min_instances: int = Field(ge=0)
    max_instances: int = Field(ge=0)


class Serving(StrictModel):
    entry_point: str = "inference.py"
    mode: Literal["instance", "serverless", "async"] = "instance"
    """SageMaker cannot turn one into another: changing it means a new endpoint."""
    instance_type: str = Field(default="ml.m5.large", pattern=r"^ml\.")
    instance_count: int = Field(default=2, ge=1)
    min_instances: int = Field(default=2, ge=0)
    """0, none while nothing waits, only where `mode` is async."""
    max_instances: int = Field(default=4, ge=1)
    invocations_per_instance: float = Field(default=1000, gt=0)
    """Target of autoscaling where `mode` is instance: invocations per instance and minute."""
    serverless: Serverless = Serverless()
    asynchronous: Asynchronous = Asynchronous()
    schedule: tuple[ScheduledScaling, ...] = ()
    """Bounds of autoscaling by the clock: more before the morning, fewer at night."""
    capture_pct: Pct = 100
    """Share of requests that are captured; 0 where `mode` is serverless, which SageMaker does not capture."""
    slo: Slo = Slo()

    @model_validator(mode="before")
    @classmethod
    def serverless_captures_nothing(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("mode") == "serverless" and "capture_pct" not in data:
            return {**data, "capture_pct": 0}
        return data

    @model_validator(mode="after")
    def keys_fit_the_mode(self) -> Serving:
        clashes: list[tuple[str, ...]] = [
            (
                f"min_instances <= instance_count <= max_instances expected, "
                f"found {self.min_instances}, {self.instance_count}, {self.max_instances}",
                "instance_count",
            )
        ]
        if self.min_instances <= self.instance_count <= self.max_instances:
            clashes = []
        fields = type(self).model_fields
        if self.mode == "serverless":
            clashes += [
                (f"{key} is of instances, and mode 'serverless' has none", key, "mode")
                for key in SERVERLESS_UNUSED
                if getattr(self, key) != fields[key].default
            ]
            if self.capture_pct:
                said = "SageMaker captures nothing of serverless endpoints: capture_pct 0 expected with this mode"
                clashes.append((said, "capture_pct", "mode"))
            if self.schedule:
                clashes.append(("a serverless endpoint has no instances to schedule", "schedule", "mode"))
        elif self.serverless != Serverless():
            clashes.append((f"serverless is set, and mode is {self.mode!r}", "serverless", "mode"))
        if self.mode != "async":
            if self.asynchronous != Asynchronous():
                clashes.append((f"asynchronous is set, and mode is {self.mode!r}", "asynchronous", "mode"))
            if self.min_instances == 0:
                said = "min_instances 0 is possible only where mode is 'async': SageMaker keeps one instance otherwise"
                clashes.append((said, "min_instances", "mode"))
        clashes += self._schedule_clashes()
        refuse(clashes)
        return self

    def _schedule_clashes(self) -> list[tuple[str, ...]]:
        clashes: list[tuple[str, ...]] = []
        for at, entry in enumerate(self.schedule):
            key = f"schedule.{at}.min_instances"
            if entry.min_instances > entry.max_instances:
                said = f"{entry.name}: min_instances {entry.min_instances} is above max_instances {entry.max_instances}"
                clashes.append((said, key, f"schedule.{at}.max_instances"))
            if entry.min_instances == 0 and self.mode != "async":
                clashes.append((f"{entry.name}: none at all is possible only where mode is 'async'", key, "mode"))
        if len({entry.name for entry in self.schedule}) < len(self.schedule):
            clashes.append(("every entry of schedule needs a name of its own", "schedule"))
        return clashes


class Experiment(StrictModel):
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


class Rollout(StrictModel):
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
