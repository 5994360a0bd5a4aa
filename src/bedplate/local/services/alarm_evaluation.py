"""Watching alarms: evaluates them all, keeps their history, and tells about every change of state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bedplate.local.metrics.alarms import RAISED_AT, AlarmEvaluation, holds, judge, names_in
from bedplate.local.metrics.metric_queries import datapoints

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_HISTORY = 500
_ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
_REGION_NAMES = {"us-east-1": "US East (N. Virginia)"}

Alarm = dict[str, Any]


class AlarmEvaluator:
    def __init__(self, platform: LocalPlatform) -> None:
        self._platform = platform

    def step(self) -> None:
        """Evaluate every alarm once, metric alarms before the composite ones that look at them."""
        self._platform.hooks.flush()
        with self._platform.lock:
            for alarm in list(self._alarms.values()):
                if "AlarmRule" not in alarm:
                    self._evaluate(alarm)
            for alarm in self._composites_inside_out():
                self._evaluate_rule(alarm)

    def set_state(self, alarm: Alarm, state: str, reason: str, data: str | None = None) -> None:
        """Change a state, note it in the history, run the actions and send the event. Hold the platform's lock."""
        if state == alarm["StateValue"]:
            return
        now = self._platform.now()
        was = {k: alarm.get(k) for k in ("StateValue", "StateReason", "StateReasonData", "StateUpdatedTimestamp")}
        alarm.update(
            StateValue=state,
            StateReason=reason,
            StateReasonData=data or "{}",
            StateUpdatedTimestamp=now,
            StateTransitionedTimestamp=now,
        )
        if state == "ALARM":
            alarm[RAISED_AT] = now
        self._note(alarm, "StateUpdate", f"Alarm updated from {was['StateValue']} to {state}", was)
        self._platform.log(f"alarm {alarm['AlarmName']} {was['StateValue']} -> {state}: {reason}")
        if alarm.get("ActionsEnabled", True):
            for action in alarm.get(_ACTIONS[state]) or ():
                self._act(alarm, action, str(was["StateValue"]))
        self._platform.emit_event(
            "aws.cloudwatch", "CloudWatch Alarm State Change", _event(alarm, was), resources=[alarm["AlarmArn"]]
        )
        self._platform.store.mark("cloudwatch")

    @property
    def _alarms(self) -> dict[str, Alarm]:
        return self._platform.backend("cloudwatch").watched  # type: ignore[no-any-return]

    def _evaluate(self, alarm: Alarm) -> None:
        now = self._platform.now()
        try:
            found = datapoints(self._platform.metrics, alarm, now)
            judgement = judge(alarm, found, alarm["StateValue"])
        except ValueError as exc:  # an expression or statistic that is not known is the alarm's own state
            judgement = AlarmEvaluation("INSUFFICIENT_DATA", f"The alarm cannot be evaluated: {exc}")
        data = {
            "version": "1.0",
            "queryDate": now,
            "recentDatapoints": list(judgement.values),
            "threshold": alarm.get("Threshold"),
            "period": alarm.get("Period"),
            "statistic": alarm.get("ExtendedStatistic") or alarm.get("Statistic"),
        }
        self.set_state(alarm, judgement.state, judgement.reason, json.dumps(data))

    def _evaluate_rule(self, alarm: Alarm) -> None:
        states = {name: other["StateValue"] for name, other in self._alarms.items()}
        true = holds(alarm["AlarmRule"], states)
        named = ", ".join(f"{n} is {states.get(n, 'not there')}" for n in dict.fromkeys(names_in(alarm["AlarmRule"])))
        self.set_state(alarm, "ALARM" if true else "OK", f"The rule is {'true' if true else 'false'}: {named}.")

    def _composites_inside_out(self) -> list[Alarm]:
        left = {name: alarm for name, alarm in self._alarms.items() if "AlarmRule" in alarm}
        ordered: list[Alarm] = []
        while left:
            ready = [n for n, a in left.items() if not any(other in left for other in names_in(a["AlarmRule"]))]
            for name in ready or list(left):
                ordered.append(left.pop(name))
        return ordered

    def _act(self, alarm: Alarm, action: str, was: str) -> None:
        """SNS topics are told; any other kind of action is noted in the history as not possible here."""
        if ":sns:" not in action:
            self._note(alarm, "Action", f"Failed to execute action {action}: only SNS topics are known here", {})
            return
        region = action.split(":")[3]
        subject = f'{alarm["StateValue"]}: "{alarm["AlarmName"]}" in {_REGION_NAMES.get(region, region)}'
        try:
            self._platform.publish(action, subject[:100], json.dumps(self._message(alarm, was, region)))
        except Exception as exc:  # a topic that is gone is the action's failure, not the alarm's
            self._note(alarm, "Action", f"Failed to execute action {action}: {type(exc).__name__}: {exc}", {})
            return
        self._note(alarm, "Action", f"Successfully executed action {action}", {"actionState": "Succeeded"})

    def _message(self, alarm: Alarm, was: str, region: str) -> dict[str, Any]:
        from bedplate.local.wire.gateway import stamp

        return {
            "AlarmName": alarm["AlarmName"],
            "AlarmDescription": alarm.get("AlarmDescription"),
            "AWSAccountId": self._platform.account_id,
            "AlarmConfigurationUpdatedTimestamp": stamp(alarm["AlarmConfigurationUpdatedTimestamp"]),
            "NewStateValue": alarm["StateValue"],
            "NewStateReason": alarm["StateReason"],
            "StateChangeTime": stamp(alarm["StateUpdatedTimestamp"]),
            "Region": _REGION_NAMES.get(region, region),
            "AlarmArn": alarm["AlarmArn"],
            "OldStateValue": was,
            **{key: alarm.get(key) or [] for key in _ACTIONS.values()},
            **({"AlarmRule": alarm["AlarmRule"]} if "AlarmRule" in alarm else {"Trigger": _trigger(alarm)}),
        }

    def _note(self, alarm: Alarm, kind: str, summary: str, data: Mapping[str, Any]) -> None:
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
        del history[:-_HISTORY]


def _trigger(alarm: Alarm) -> dict[str, Any]:
    keys = ("MetricName", "Namespace", "Unit", "Period", "EvaluationPeriods", "DatapointsToAlarm", "Metrics",
            "ComparisonOperator", "Threshold", "TreatMissingData", "EvaluateLowSampleCountPercentile")  # fmt: skip
    extended = alarm.get("ExtendedStatistic")
    return {
        **{key: alarm[key] for key in keys if alarm.get(key) is not None},
        "StatisticType": "ExtendedStatistic" if extended else "Statistic",
        "Statistic": extended or str(alarm.get("Statistic") or "").upper(),
        "Dimensions": [{"value": d["Value"], "name": d["Name"]} for d in alarm.get("Dimensions") or ()],
    }


def _event(alarm: Alarm, was: Mapping[str, Any]) -> dict[str, Any]:
    """The detail of EventBridge's `CloudWatch Alarm State Change`."""
    from bedplate.local.wire.gateway import stamp

    def state(of: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "value": of["StateValue"],
            "reason": of["StateReason"],
            "reasonData": of["StateReasonData"],
            "timestamp": stamp(of["StateUpdatedTimestamp"]),
        }

    metric = {
        "namespace": alarm.get("Namespace"),
        "name": alarm.get("MetricName"),
        "dimensions": {d["Name"]: d["Value"] for d in alarm.get("Dimensions") or ()},
    }
    return {
        "alarmName": alarm["AlarmName"],
        "state": state(alarm),
        "previousState": state(was),
        "configuration": {
            "description": alarm.get("AlarmDescription"),
            **(
                {"alarmRule": alarm["AlarmRule"]}
                if "AlarmRule" in alarm
                else {"metrics": [{"id": "m1", "metricStat": {"metric": metric, "period": alarm.get("Period")}}]}
            ),
        },
    }
