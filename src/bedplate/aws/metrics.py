"""Reads metrics from CloudWatch, and reads and writes its alarms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bedplate.aws.errors import map_client_errors
from bedplate.aws.session import Session
from bedplate.aws.tags import tag_list
from bedplate.domain.guard import NAMESPACE, metric_math
from bedplate.ports import AlarmState, GuardAlarm, ThresholdAlarm

_MAX_NAMES = 100
SHIFT_LABEL = "PredictionShift"
"""Label of the expression that a guard alarm evaluates; people read it in messages and consoles."""


class CloudWatchMetrics:
    """The `Metrics` port."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_alarms(self, names: Sequence[str]) -> Mapping[str, AlarmState]:
        """Returns the states by name, without the alarms that do not exist."""
        states: dict[str, AlarmState] = {}
        for start in range(0, len(names), _MAX_NAMES):
            with map_client_errors("Cannot read alarms"):
                response = self._cloudwatch.describe_alarms(AlarmNames=list(names[start : start + _MAX_NAMES]))
            for alarm in response.get("MetricAlarms", ()):
                states[alarm["AlarmName"]] = AlarmState(
                    alarm["AlarmName"],
                    alarm["StateValue"],
                    alarm.get("StateReason", ""),
                    alarm["StateUpdatedTimestamp"],
                    alarm["AlarmArn"],
                    alarm.get("MetricName") or _expression_label(alarm.get("Metrics", ())),
                    alarm.get("Threshold"),
                    _latest_datapoint(alarm.get("StateReasonData")),
                )
        return states

    def put_guard_alarm(self, alarm: GuardAlarm) -> None:
        """Creates or updates the alarm. One breaching period is enough for ALARM; missing data does not breach.

        CloudWatch allows 10 metrics and 10 expressions in an alarm, which is enough for five bins.
        """
        self._put_alarm(
            alarm,
            AlarmDescription=f"{SHIFT_LABEL} of {alarm.candidate} from {alarm.champion} above {alarm.threshold:g}",
            Metrics=_shift_queries(alarm),
            TreatMissingData="notBreaching",
        )

    def put_threshold_alarm(self, alarm: ThresholdAlarm) -> None:
        """Creates or updates the alarm. One breaching period is enough for ALARM."""
        self._put_alarm(
            alarm,
            AlarmDescription=alarm.description,
            Namespace=alarm.namespace,
            MetricName=alarm.metric,
            Dimensions=_dimensions(alarm.dimensions),
            Statistic="Maximum",
            Period=alarm.period_s,
            TreatMissingData="missing",
        )

    def delete_alarm(self, name: str) -> None:
        """Deletes an alarm; like CloudWatch, does nothing when it does not exist."""
        with map_client_errors(f"Cannot delete alarm {name}"):
            self._cloudwatch.delete_alarms(AlarmNames=[name])

    def raise_alarm(self, name: str, reason: str) -> None:
        with map_client_errors(f"Cannot raise alarm {name}"):
            self._cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason=reason[:1023])

    def list_alarm_datapoints(self, alarm: str, *, start: datetime, end: datetime) -> Sequence[tuple[datetime, float]]:
        """Returns the datapoints of the alarm's metric or expression, as CloudWatch computes them."""
        with map_client_errors(f"Cannot read the datapoints of alarm {alarm}"):
            alarms = self._cloudwatch.describe_alarms(AlarmNames=[alarm]).get("MetricAlarms", ())
            if not alarms:
                return ()
            queries = alarms[0].get("Metrics") or [_single_metric_query(alarms[0])]
            response = self._cloudwatch.get_metric_data(
                MetricDataQueries=queries, StartTime=start, EndTime=end, ScanBy="TimestampAscending"
            )
        results = response["MetricDataResults"]
        return sorted(zip(results[0]["Timestamps"], results[0]["Values"], strict=True)) if results else ()

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
    ) -> Sequence[tuple[datetime, float]]:
        """Returns (start of the period, value) for each period with data, oldest first.

        `stat` is CloudWatch's statistic: `Sum`, `Average`, `Maximum`, `p99`...
        """
        query = {
            "Id": "m",
            "MetricStat": {
                "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": _dimensions(dimensions)},
                "Period": period_s,
                "Stat": stat,
            },
        }
        points: list[tuple[datetime, float]] = []
        with map_client_errors(f"Cannot read metric {namespace} {metric}"):
            pages = self._cloudwatch.get_paginator("get_metric_data").paginate(
                MetricDataQueries=[query], StartTime=start, EndTime=end, ScanBy="TimestampAscending"
            )
            for page in pages:
                for result in page["MetricDataResults"]:
                    points += zip(result["Timestamps"], result["Values"], strict=True)
        return sorted(points)

    def _put_alarm(self, alarm: GuardAlarm | ThresholdAlarm, **definition: Any) -> None:
        with map_client_errors(f"Cannot create alarm {alarm.name}"):
            self._cloudwatch.put_metric_alarm(
                AlarmName=alarm.name,
                EvaluationPeriods=1,
                DatapointsToAlarm=1,
                Threshold=alarm.threshold,
                ComparisonOperator="GreaterThanThreshold",
                Tags=tag_list(alarm.tags),
                **({"AlarmActions": [alarm.topic_arn]} if alarm.topic_arn else {}),
                **definition,
            )

    @property
    def _cloudwatch(self) -> Any:
        return self._session.client("cloudwatch")


def _single_metric_query(alarm: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the query of an alarm on a single metric."""
    metric = {k: alarm[k] for k in ("Namespace", "MetricName", "Dimensions") if alarm.get(k)}
    stat = alarm.get("Statistic") or alarm.get("ExtendedStatistic")
    return {"Id": "m", "MetricStat": {"Metric": metric, "Period": alarm["Period"], "Stat": stat}}


def _shift_queries(alarm: GuardAlarm) -> list[dict[str, Any]]:
    def bin_query(id_prefix: str, release: str, number: int) -> dict[str, Any]:
        dimensions = {"Endpoint": alarm.endpoint, "Release": release, "Bins": alarm.champion}
        metric = {"Namespace": NAMESPACE, "MetricName": f"Bin{number}", "Dimensions": _dimensions(dimensions)}
        stat = {"Metric": metric, "Period": alarm.period_s, "Stat": "Sum"}
        return {"Id": f"{id_prefix}{number}", "MetricStat": stat, "ReturnData": False}

    releases = {"c": alarm.candidate, "h": alarm.champion}
    bins = [bin_query(prefix, name, i) for prefix, name in releases.items() for i in range(1, alarm.n_bins + 1)]
    math = [
        {
            "Id": name,
            "Expression": text,
            "Label": SHIFT_LABEL if name == "shift" else name,
            "ReturnData": name == "shift",
        }
        for name, text in metric_math(alarm.n_bins, alarm.min_predictions).items()
    ]
    return [*bins, *math]


def _expression_label(queries: Sequence[Mapping[str, Any]]) -> str | None:
    """Returns the label of the expression that an alarm on metric math evaluates."""
    return next((q.get("Label") or q["Id"] for q in queries if q.get("ReturnData", True)), None)


def _dimensions(dimensions: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in dimensions.items()]


def _latest_datapoint(reason_data: str | None) -> float | None:
    """Returns the latest datapoint in CloudWatch's `StateReasonData`, which is JSON; None when there is none.

    >>> _latest_datapoint('{"recentDatapoints": [0.1, 0.42], "threshold": 0.25}'), _latest_datapoint(None)
    (0.42, None)
    """
    try:
        points = json.loads(reason_data or "{}").get("recentDatapoints") or []
    except ValueError:
        return None
    return next((float(point) for point in reversed(points) if point is not None), None)
