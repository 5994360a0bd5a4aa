"""CloudWatch metrics and alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class AlarmState:
    name: str
    state: Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
    reason: str
    updated_at: datetime
    arn: str
    metric: str | None = None
    threshold: float | None = None
    datapoint: float | None = None
    """The latest datapoint that CloudWatch evaluated, in the metric's unit."""


@dataclass(frozen=True, slots=True)
class GuardAlarm:
    """An alarm on the shift between the predictions of `candidate` and `champion` within one period.

    `n_bins` is the number of the champion's bins. The metric math is that of `domain.guard.metric_math`; a `period_s`
    of 10 or 30 makes it a high-resolution alarm.
    """

    name: str
    endpoint: str
    candidate: str
    champion: str
    n_bins: int
    min_predictions: int
    threshold: float
    period_s: int
    topic_arn: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ThresholdAlarm:
    """An alarm that is in ALARM while one metric is above `threshold`; without data it is in INSUFFICIENT_DATA."""

    name: str
    description: str
    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    threshold: float
    period_s: int
    topic_arn: str | None
    tags: Mapping[str, str]


class Metrics(Protocol):
    def get_alarms(self, names: Sequence[str]) -> Mapping[str, AlarmState]: ...
    def put_guard_alarm(self, alarm: GuardAlarm) -> None: ...
    def put_threshold_alarm(self, alarm: ThresholdAlarm) -> None: ...
    def delete_alarm(self, name: str) -> None: ...
    def raise_alarm(self, name: str, reason: str) -> None:
        """Sets an alarm to ALARM until its next evaluation; this rolls back a deployment that the alarm guards."""
        ...

    def list_alarm_datapoints(self, alarm: str, *, start: datetime, end: datetime) -> Sequence[tuple[datetime, float]]:
        """Returns the datapoints of an alarm's metric, in its own period, oldest first; empty without such an alarm."""
        ...

    def list_datapoints(
        self,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, str],
        *,
        start: datetime,
        end: datetime,
        period_s: int,
        stat: str,
    ) -> Sequence[tuple[datetime, float]]: ...
