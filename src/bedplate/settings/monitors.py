"""`monitors:` of model.yaml: which features Model Monitor checks for drift, how often, and when it alerts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bedplate.settings.gates import Metric, Share
from bedplate.settings.types import StrictModel

MAX_HOURS = 24 * 60


class Schedule(StrictModel):
    """When one kind of monitoring runs. A run reads the requests since the previous run, and those of
    `look_back_hours` before them."""

    cron: str = Field(
        default="cron(0 * ? * * *)",
        pattern=r"^cron\(0 (\*|([01]?\d|2[0-3])(/(0?[1-9]|1\d|2[0-4]))?) \? \* \* \*\)$",
        description="cron(0 * ? * * *) for every hour, cron(0 3 ? * * *) for every day at three, cron(0 3/6 ? * * *)",
    )
    """SageMaker accepts hourly and daily schedules only."""
    look_back_hours: int = Field(default=0, ge=0, le=MAX_HOURS)


class LabelledSchedule(Schedule):
    """A schedule whose window is shifted back by `delay_hours`, the time until labels are available."""

    delay_hours: int = Field(default=0, ge=0, le=MAX_HOURS)


class ExplanationSchedule(Schedule):
    max_importance_shift: Share | None = None
    """Largest share of the importance that may move to other features since the evaluation; None takes the bound of
    `gates.explanation`."""


class ScheduleSettings(StrictModel):
    """Model Monitor's three optional kinds of monitoring; data quality always runs."""

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
    """How much worse a metric on late labels may be than on the holdout before it alerts, in the metric's unit."""
    schedules: ScheduleSettings = ScheduleSettings()
