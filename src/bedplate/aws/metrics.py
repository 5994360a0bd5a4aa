"""Metrics and alarms, in CloudWatch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bedplate.aws.errors import translated
from bedplate.aws.session import Session
from bedplate.domain.guard import NAMESPACE, expressions
from bedplate.ports import AlarmState, BoundAlarm, GuardAlarm

_NAMES_A_CALL = 100
SHIFT = "AnswerShift"
"""Label of a guard alarm's figure, as people read it."""


class CloudWatchMetrics:
    """The `Metrics` port."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def alarms(self, names: Sequence[str]) -> Mapping[str, AlarmState]:
        """States by name; an alarm that does not exist is left out."""
        found: dict[str, AlarmState] = {}
        for at in range(0, len(names), _NAMES_A_CALL):
            with translated("Cannot read alarms"):
                told = self._cloudwatch.describe_alarms(AlarmNames=list(names[at : at + _NAMES_A_CALL]))
            for alarm in told.get("MetricAlarms", ()):
                found[alarm["AlarmName"]] = AlarmState(
                    alarm["AlarmName"],
                    alarm["StateValue"],
                    alarm.get("StateReason", ""),
                    alarm["StateUpdatedTimestamp"],
                    alarm["AlarmArn"],
                    alarm.get("MetricName") or _watched(alarm.get("Metrics", ())),
                    alarm.get("Threshold"),
                    _figure(alarm.get("StateReasonData")),
                )
        return found

    def put_alarm(self, alarm: GuardAlarm) -> None:
        """Create the alarm, or make it what is asked for; missing data is not a breach, one breach is enough.

        The limits of metric math in an alarm (10 metrics, 10 expressions) hold for up to five bins.
        """
        actions = {"AlarmActions": [alarm.topic_arn]} if alarm.topic_arn else {}
        with translated(f"Cannot create alarm {alarm.name}"):
            self._cloudwatch.put_metric_alarm(
                AlarmName=alarm.name,
                AlarmDescription=f"{SHIFT} of {alarm.candidate} from {alarm.champion} above {alarm.threshold:g}",
                Metrics=_shift_queries(alarm),
                EvaluationPeriods=1,
                DatapointsToAlarm=1,
                Threshold=alarm.threshold,
                ComparisonOperator="GreaterThanThreshold",
                TreatMissingData="notBreaching",
                Tags=[{"Key": key, "Value": value} for key, value in alarm.tags.items()],
                **actions,
            )

    def put_bound(self, alarm: BoundAlarm) -> None:
        """Create the alarm, or make it what is asked for; one breach is enough."""
        with translated(f"Cannot create alarm {alarm.name}"):
            self._cloudwatch.put_metric_alarm(
                AlarmName=alarm.name,
                AlarmDescription=alarm.description,
                Namespace=alarm.namespace,
                MetricName=alarm.metric,
                Dimensions=_dimensions(alarm.dimensions),
                Statistic="Maximum",
                Period=alarm.period_s,
                EvaluationPeriods=1,
                DatapointsToAlarm=1,
                Threshold=alarm.threshold,
                ComparisonOperator="GreaterThanThreshold",
                TreatMissingData="missing",
                Tags=[{"Key": key, "Value": value} for key, value in alarm.tags.items()],
                **({"AlarmActions": [alarm.topic_arn]} if alarm.topic_arn else {}),
            )

    def delete_alarm(self, name: str) -> None:
        """Deleting one that does not exist is no error, as in CloudWatch."""
        with translated(f"Cannot delete alarm {name}"):
            self._cloudwatch.delete_alarms(AlarmNames=[name])

    def raise_alarm(self, name: str, reason: str) -> None:
        with translated(f"Cannot raise alarm {name}"):
            self._cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason=reason[:1023])

    def figures(self, alarm: str, *, start: datetime, end: datetime) -> Sequence[tuple[datetime, float]]:
        """The alarm's own metric, or the expression that it watches, as CloudWatch computed it."""
        doing = f"Cannot read what alarm {alarm} looked at"
        with translated(doing):
            told = self._cloudwatch.describe_alarms(AlarmNames=[alarm]).get("MetricAlarms", ())
            if not told:
                return ()
            queries = told[0].get("Metrics") or [_plain_query(told[0])]
            answer = self._cloudwatch.get_metric_data(
                MetricDataQueries=queries, StartTime=start, EndTime=end, ScanBy="TimestampAscending"
            )
        results = answer["MetricDataResults"]
        return sorted(zip(results[0]["Timestamps"], results[0]["Values"], strict=True)) if results else ()

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
    ) -> Sequence[tuple[datetime, float]]:
        """(Start of the period, figure), oldest first; `stat` is CloudWatch's (`Sum`, `Average`, `Maximum`, `p99`).
        Periods without data are not there."""
        query = {
            "Id": "m",
            "MetricStat": {
                "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": _dimensions(dimensions)},
                "Period": period_s,
                "Stat": stat,
            },
        }
        points: list[tuple[datetime, float]] = []
        with translated(f"Cannot read metric {namespace} {metric}"):
            pages = self._cloudwatch.get_paginator("get_metric_data").paginate(
                MetricDataQueries=[query], StartTime=start, EndTime=end, ScanBy="TimestampAscending"
            )
            for page in pages:
                for result in page["MetricDataResults"]:
                    points += zip(result["Timestamps"], result["Values"], strict=True)
        return sorted(points)

    @property
    def _cloudwatch(self) -> Any:
        return self._session.client("cloudwatch")


def _plain_query(alarm: Mapping[str, Any]) -> dict[str, Any]:
    """The query of an alarm on one metric."""
    metric = {k: alarm[k] for k in ("Namespace", "MetricName", "Dimensions") if alarm.get(k)}
    stat = alarm.get("Statistic") or alarm.get("ExtendedStatistic")
    return {"Id": "m", "MetricStat": {"Metric": metric, "Period": alarm["Period"], "Stat": stat}}


def _shift_queries(alarm: GuardAlarm) -> list[dict[str, Any]]:
    def bin_of(side: str, release: str, number: int) -> dict[str, Any]:
        dimensions = {"Endpoint": alarm.endpoint, "Release": release, "Bins": alarm.champion}
        metric = {"Namespace": NAMESPACE, "MetricName": f"Bin{number}", "Dimensions": _dimensions(dimensions)}
        stat = {"Metric": metric, "Period": alarm.period_s, "Stat": "Sum"}
        return {"Id": f"{side}{number}", "MetricStat": stat, "ReturnData": False}

    sides = {"c": alarm.candidate, "h": alarm.champion}
    bins = [bin_of(side, release, i) for side, release in sides.items() for i in range(1, alarm.bins + 1)]
    math = [
        {"Id": name, "Expression": text, "Label": SHIFT if name == "shift" else name, "ReturnData": name == "shift"}
        for name, text in expressions(alarm.bins, alarm.min_answers).items()
    ]
    return [*bins, *math]


def _watched(queries: Sequence[Mapping[str, Any]]) -> str | None:
    """The label of the expression that an alarm on metric math watches."""
    return next((q.get("Label") or q["Id"] for q in queries if q.get("ReturnData", True)), None)


def _dimensions(dimensions: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in dimensions.items()]


def _figure(reason_data: str | None) -> float | None:
    """The latest datapoint in CloudWatch's `StateReasonData`, which is JSON; None when it holds none.

    >>> _figure('{"recentDatapoints": [0.1, 0.42], "threshold": 0.25}'), _figure(None), _figure("{}")
    (0.42, None, None)
    """
    try:
        points = json.loads(reason_data or "{}").get("recentDatapoints") or []
    except ValueError:
        return None
    return next((float(point) for point in reversed(points) if point is not None), None)
