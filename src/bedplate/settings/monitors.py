"""`monitors:` and `retraining:` of model.yaml: what is watched, and what happens then."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bedplate.settings.gates import Metric, Share
from bedplate.settings.types import StrictModel

MAX_HOURS = 24 * 60


class Schedule(StrictModel):
    """When one kind of monitoring runs, and over which requests: those since the run before, and `look_back_hours`
    of earlier ones."""

    cron: str = Field(
        default="cron(0 * ? * * *)",
        pattern=r"^cron\(0 (\*|([01]?\d|2[0-3])(/(0?[1-9]|1\d|2[0-4]))?) \? \* \* \*\)$",
        description="cron(0 * ? * * *) for every hour, cron(0 3 ? * * *) for every day at three, cron(0 3/6 ? * * *)",
    )
    """SageMaker takes schedules by the hour or by the day."""
    look_back_hours: int = Field(default=0, ge=0, le=MAX_HOURS)


class LabelledSchedule(Schedule):
    """`delay_hours` is how long outcomes take to become known: every bound of the window lies so much earlier."""

    delay_hours: int = Field(default=0, ge=0, le=MAX_HOURS)


class ExplanationSchedule(Schedule):
    max_moved: Share | None = None
    """Share of the importance that may lie on other features than at the evaluation; `gates.explanation`'s without."""


class ScheduleSettings(StrictModel):
    """Beside data quality, which always runs: what SageMaker Model Monitor calls the other three kinds."""

    model_quality: LabelledSchedule | None = None
    bias: LabelledSchedule | None = None
    explainability: ExplanationSchedule | None = None


class Monitor(StrictModel):
    features: tuple[str, ...] | Literal["all"] = "all"
    psi_warn: float = Field(default=0.1, gt=0)
    psi_alert: float = Field(default=0.25, gt=0)
    min_rows: int = Field(default=300, ge=1)
    schedule: str = Field(default="cron(0 * ? * * *)", pattern=r"^cron\(.+\)$")
    window: Literal["day", "week", "month"] = "week"
    max_drop: dict[Metric, float] = Field(default_factory=dict)
    """How much a metric on late labels may fall against the holdout's before it alerts."""
    schedules: ScheduleSettings = ScheduleSettings()


class Retraining(StrictModel):
    on_drift: bool = True
    on_performance_drop: bool = True
    max_age_days: int | None = Field(default=None, ge=1)
