"""Evaluates CloudWatch alarms, records their history, and runs their actions when their state changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bedplate.local.metrics.alarms import RAISED_AT, AlarmEvaluation, alarm_names, evaluate_alarm, evaluate_rule
from bedplate.local.metrics.metric_queries import alarm_datapoints
from bedplate.local.wire.gateway import format_iso

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_HISTORY_SIZE = 500
_ACTION_FIELDS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
_REGION_NAMES = {"us-east-1": "US East (N. Virginia)"}

Alarm = dict[str, Any]


class AlarmEvaluator:
    def __init__(self, platform: LocalPlatform) -> None:
        self._platform = platform

    def step(self) -> None:
        """Evaluates every alarm once: metric alarms first, then the composite alarms that refer to them."""
        self._platform.hooks.flush()
        with self._platform.lock:
            for alarm in list(self._alarms.values()):
                if "AlarmRule" not in alarm:
                    self._evaluate(alarm)
            for alarm in self._composites_by_dependency():
                self._evaluate_rule(alarm)

    def set_state(self, alarm: Alarm, state: str, reason: str, data: str | None = None) -> None:
        """Sets an alarm's state, records it in the history, runs the actions and sends the EventBridge event.

        Does nothing when the alarm has the state already. The caller holds the platform's lock.
        """
        if state == alarm["StateValue"]:
            return
        now = self._platform.now()
        previous = {k: alarm.get(k) for k in ("StateValue", "StateReason", "StateReasonData", "StateUpdatedTimestamp")}
        alarm.update(
            StateValue=state,
            StateReason=reason,
            StateReasonData=data or "{}",
            StateUpdatedTimestamp=now,
            StateTransitionedTimestamp=now,
        )
        if state == "ALARM":
            alarm[RAISED_AT] = now
        self._add_history(alarm, "StateUpdate", f"Alarm updated from {previous['StateValue']} to {state}", previous)
        self._platform.log(f"alarm {alarm['AlarmName']} {previous['StateValue']} -> {state}: {reason}")
        if alarm.get("ActionsEnabled", True):
            for action in alarm.get(_ACTION_FIELDS[state]) or ():
                self._run_action(alarm, action, str(previous["StateValue"]))
        detail = _build_event_detail(alarm, previous)
        self._platform.emit_event("aws.cloudwatch", "CloudWatch Alarm State Change", detail, [alarm["AlarmArn"]])
        self._platform.store.mark("cloudwatch")

    @property
    def _alarms(self) -> dict[str, Alarm]:
        return self._platform.backend("cloudwatch").alarm_records  # type: ignore[no-any-return]

    def _evaluate(self, alarm: Alarm) -> None:
        now = self._platform.now()
        try:
            datapoints = alarm_datapoints(self._platform.metrics, alarm, now)
            evaluation = evaluate_alarm(alarm, datapoints, alarm["StateValue"])
        except ValueError as exc:  # an unknown expression or statistic must not stop the evaluation of other alarms
            evaluation = AlarmEvaluation("INSUFFICIENT_DATA", f"The alarm cannot be evaluated: {exc}")
        data = {
            "version": "1.0",
            "queryDate": now,
            "recentDatapoints": list(evaluation.values),
            "threshold": alarm.get("Threshold"),
            "period": alarm.get("Period"),
            "statistic": alarm.get("ExtendedStatistic") or alarm.get("Statistic"),
        }
        self.set_state(alarm, evaluation.state, evaluation.reason, json.dumps(data))

    def _evaluate_rule(self, alarm: Alarm) -> None:
        states = {name: other["StateValue"] for name, other in self._alarms.items()}
        is_true, names = evaluate_rule(alarm["AlarmRule"], states), dict.fromkeys(alarm_names(alarm["AlarmRule"]))
        reason = ", ".join(f"{name} is {states.get(name, 'missing')}" for name in names)
        self.set_state(alarm, "ALARM" if is_true else "OK", f"The rule is {'true' if is_true else 'false'}: {reason}.")

    def _composites_by_dependency(self) -> list[Alarm]:
        """Returns the composite alarms, each after those that its rule refers to; alarms in a cycle come last."""
        pending = {name: alarm for name, alarm in self._alarms.items() if "AlarmRule" in alarm}
        ordered: list[Alarm] = []
        while pending:
            ready = [n for n, a in pending.items() if pending.keys().isdisjoint(alarm_names(a["AlarmRule"]))]
            for name in ready or list(pending):
                ordered.append(pending.pop(name))
        return ordered

    def _run_action(self, alarm: Alarm, action: str, previous_state: str) -> None:
        """Publishes to an SNS topic. Any other action, and an action that fails, becomes a failure in the history."""
        if ":sns:" not in action:
            summary = f"Failed to execute action {action}: the local platform supports only SNS topics"
            self._add_history(alarm, "Action", summary, {})
            return
        region = action.split(":")[3]
        subject = f'{alarm["StateValue"]}: "{alarm["AlarmName"]}" in {_REGION_NAMES.get(region, region)}'
        try:
            self._platform.publish(
                action, subject[:100], json.dumps(self._build_message(alarm, previous_state, region))
            )
        except Exception as exc:  # a missing topic is a failure of the action, not of the alarm
            self._add_history(alarm, "Action", f"Failed to execute action {action}: {type(exc).__name__}: {exc}", {})
            return
        self._add_history(alarm, "Action", f"Successfully executed action {action}", {"actionState": "Succeeded"})

    def _build_message(self, alarm: Alarm, previous_state: str, region: str) -> dict[str, Any]:
        """Returns the message that CloudWatch publishes to SNS, which names the region as the console does."""
        return {
            "AlarmName": alarm["AlarmName"],
            "AlarmDescription": alarm.get("AlarmDescription"),
            "AWSAccountId": self._platform.account_id,
            "AlarmConfigurationUpdatedTimestamp": format_iso(alarm["AlarmConfigurationUpdatedTimestamp"]),
            "NewStateValue": alarm["StateValue"],
            "NewStateReason": alarm["StateReason"],
            "StateChangeTime": format_iso(alarm["StateUpdatedTimestamp"]),
            "Region": _REGION_NAMES.get(region, region),
            "AlarmArn": alarm["AlarmArn"],
            "OldStateValue": previous_state,
            **{key: alarm.get(key) or [] for key in _ACTION_FIELDS.values()},
            **({"AlarmRule": alarm["AlarmRule"]} if "AlarmRule" in alarm else {"Trigger": _build_trigger(alarm)}),
        }

    def _add_history(self, alarm: Alarm, kind: str, summary: str, data: Mapping[str, Any]) -> None:
        history = self._platform.backend("cloudwatch").history.setdefault(alarm["AlarmName"], [])
        history.append(
            {
                "AlarmName": alarm["AlarmName"],
                "AlarmType": "CompositeAlarm" if "AlarmRule" in alarm else "MetricAlarm",
                "Timestamp": self._platform.now(),
                "HistoryItemType": kind,
                "HistorySummary": summary,
                "HistoryData": json.dumps(dict(data), default=str),
            }
        )
        del history[:-_HISTORY_SIZE]


def _build_trigger(alarm: Alarm) -> dict[str, Any]:
    """Returns `Trigger` of a metric alarm's SNS message, whose dimensions have lower-case keys, unlike the API's."""
    keys = ("MetricName", "Namespace", "Unit", "Period", "EvaluationPeriods", "DatapointsToAlarm", "Metrics",
            "ComparisonOperator", "Threshold", "TreatMissingData", "EvaluateLowSampleCountPercentile")  # fmt: skip
    extended = alarm.get("ExtendedStatistic")
    return {
        **{key: alarm[key] for key in keys if alarm.get(key) is not None},
        "StatisticType": "ExtendedStatistic" if extended else "Statistic",
        "Statistic": extended or str(alarm.get("Statistic") or "").upper(),
        "Dimensions": [{"value": d["Value"], "name": d["Name"]} for d in alarm.get("Dimensions") or ()],
    }


def _build_event_detail(alarm: Alarm, previous: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the detail of EventBridge's event `CloudWatch Alarm State Change`."""

    def format_state(state: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "value": state["StateValue"],
            "reason": state["StateReason"],
            "reasonData": state["StateReasonData"],
            "timestamp": format_iso(state["StateUpdatedTimestamp"]),
        }

    metric = {
        "namespace": alarm.get("Namespace"),
        "name": alarm.get("MetricName"),
        "dimensions": {d["Name"]: d["Value"] for d in alarm.get("Dimensions") or ()},
    }
    return {
        "alarmName": alarm["AlarmName"],
        "state": format_state(alarm),
        "previousState": format_state(previous),
        "configuration": {
            "description": alarm.get("AlarmDescription"),
            **(
                {"alarmRule": alarm["AlarmRule"]}
                if "AlarmRule" in alarm
                else {"metrics": [{"id": "m1", "metricStat": {"metric": metric, "period": alarm.get("Period")}}]}
            ),
        },
    }
