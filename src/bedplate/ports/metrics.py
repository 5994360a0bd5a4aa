"""Metrics and alarms."""

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
    figure: float | None = None
    """The datapoint that the state rests on, in the metric's unit."""


@dataclass(frozen=True, slots=True)
class GuardAlarm:
    """An alarm on how far `candidate`'s answers are from `champion`'s in the same period, in the champion's `bins`.

    The figure is `domain.guard.expressions`'; `period_s` of 10 or 30 is high resolution.
    """

    name: str
    endpoint: str
    candidate: str
    champion: str
    bins: int
    min_answers: int
    threshold: float
    period_s: int
    topic_arn: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BoundAlarm:
    """An alarm on one metric above `threshold` within `period_s`; without data it says INSUFFICIENT_DATA, never OK."""

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
    def alarms(self, names: Sequence[str]) -> Mapping[str, AlarmState]: ...
    def put_alarm(self, alarm: GuardAlarm) -> None: ...
    def put_bound(self, alarm: BoundAlarm) -> None: ...
    def delete_alarm(self, name: str) -> None: ...
    def raise_alarm(self, name: str, reason: str) -> None:
        """Put an alarm into ALARM by hand, until its metric is looked at next; what it watches is undone by that."""
        ...

    def figures(self, alarm: str, *, start: datetime, end: datetime) -> Sequence[tuple[datetime, float]]:
        """What an alarm looked at in that time, in its own period, oldest first; empty when there is no such alarm."""
        ...

    def series(
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
