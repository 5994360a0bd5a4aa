"""Evaluates CloudWatch alarms: metric alarms from datapoints, composite alarms from other alarms' states."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]

RAISED_AT = "bedplate:RaisedAt"
"""Key of an alarm's record: when it last changed to ALARM, in epoch seconds."""

_COMPARE: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True, slots=True)
class Datapoint:
    """The statistic of the period that starts at `start` (epoch seconds); `value` is None without data.

    `has_low_sample` means that the period has too few samples for the percentile.
    """

    start: float
    value: float | None
    has_low_sample: bool = False


@dataclass(frozen=True, slots=True)
class AlarmEvaluation:
    """The new state, its reason for people, and the values of the datapoints that decided it."""

    state: State
    reason: str
    values: tuple[float, ...] = ()


def evaluate_alarm(alarm: Mapping[str, Any], datapoints: Sequence[Datapoint], current: State) -> AlarmEvaluation:
    """Returns the state of a metric alarm, from the datapoints of its evaluation periods, newest last.

    `alarm` has the fields of PutMetricAlarm. TreatMissingData decides how periods without data count. `breaching` and
    `notBreaching` count them as such; `missing` (the default) and `ignore` leave them out. Without any data, `missing`
    returns INSUFFICIENT_DATA and `ignore` the current state. With less data than DatapointsToAlarm, all of it
    breaching, `missing` returns ALARM and `ignore` the current state. When EvaluateLowSampleCountPercentile is
    `ignore`, a percentile of too few samples returns the current state.
    Source: CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data" and "Percentile-based alarms
    and low data samples".
    """
    periods = int(alarm["EvaluationPeriods"])
    required = int(alarm.get("DatapointsToAlarm") or periods)
    treat_missing_data = alarm.get("TreatMissingData") or "missing"
    if alarm.get("EvaluateLowSampleCountPercentile") == "ignore" and any(d.has_low_sample for d in datapoints):
        return AlarmEvaluation(current, "Unchanged: the percentile has too few samples.")
    compare, comparison_text = _COMPARE[alarm["ComparisonOperator"]]
    threshold = float(alarm["Threshold"])
    values = [d.value for d in datapoints if d.value is not None]
    missing_count = periods - len(values)
    breaching_count = sum(compare(value, threshold) for value in values)
    values_text = f"{len(values)} datapoint{'s' if len(values) != 1 else ''} {_format_values(values)}"
    threshold_text = f"{comparison_text} the threshold ({threshold:g})"
    leaves_out_missing = treat_missing_data in ("missing", "ignore")
    if not values and leaves_out_missing:
        if treat_missing_data == "ignore":
            return AlarmEvaluation(current, "Unchanged: no datapoints were received.")
        return AlarmEvaluation("INSUFFICIENT_DATA", "Insufficient Data: no datapoints were received.")
    alarming_count = breaching_count + (missing_count if treat_missing_data == "breaching" else 0)
    all_breach = leaves_out_missing and len(values) < required and breaching_count == len(values)
    if all_breach and treat_missing_data == "ignore":
        return AlarmEvaluation(current, f"Unchanged: fewer than {required} datapoints, {values_text}.")
    state: State = "ALARM" if alarming_count >= required or all_breach else "OK"
    if not values:
        label = "Breaching" if state == "ALARM" else "NonBreaching"
        reason = f"no datapoints were received for {periods} periods and missing data was treated as [{label}]."
        return AlarmEvaluation(state, f"Threshold Crossed: {reason}")
    if state == "ALARM":
        reason = (
            f"Threshold Crossed: {alarming_count} out of the last {periods} datapoints {_format_values(values)} were "
            f"{threshold_text} (minimum {required} datapoint{'s' if required != 1 else ''} for OK -> ALARM transition)."
        )
        return AlarmEvaluation(state, reason, tuple(values))
    return AlarmEvaluation(
        state, f"Threshold not crossed: {breaching_count} of {values_text} were {threshold_text}.", tuple(values)
    )


def evaluation_periods(alarm: Mapping[str, Any], now: float) -> list[tuple[float, float]]:
    """Returns an alarm's evaluation periods [start, end) in epoch seconds, oldest first; the last one ends now.

    >>> evaluation_periods({"Period": 10, "EvaluationPeriods": 2}, 100.0)
    [(80.0, 90.0), (90.0, 100.0)]
    """
    period = float(alarm_period(alarm))
    return [(now - (i + 1) * period, now - i * period) for i in reversed(range(int(alarm["EvaluationPeriods"])))]


def alarm_period(alarm: Mapping[str, Any]) -> int:
    """Returns the period in seconds: the alarm's own, or the longest period of its metric math."""
    if alarm.get("Period"):
        return int(alarm["Period"])
    periods = [m.get("Period") or (m.get("MetricStat") or {}).get("Period") for m in alarm.get("Metrics") or ()]
    return max((int(p) for p in periods if p), default=60)


def _format_values(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{v:g}" for v in values) + "]"


# --- composite alarms ------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"\s*(?:(?P<paren>[()])|(?P<word>AND|OR|NOT|TRUE|FALSE)\b"
    r"|(?P<state>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:\"(?P<quoted>[^\"]+)\"|(?P<plain>[^)\s]+))\s*\))"
)


class AlarmRuleError(ValueError):
    """An AlarmRule cannot be parsed; the message names what was expected and what was found."""


def evaluate_rule(rule: str, states: Mapping[str, str]) -> bool:
    """Returns whether a composite alarm's rule is true, given the states of alarms by name or ARN.

    >>> evaluate_rule('ALARM("a") AND NOT (OK(b) OR FALSE)', {"a": "ALARM", "b": "INSUFFICIENT_DATA"})
    True
    """
    tokens = _tokenize(rule)
    value, remaining = _parse_or(tokens, {k.rsplit(":alarm:", 1)[-1]: v for k, v in states.items()})
    if remaining:
        raise AlarmRuleError(f"AlarmRule {rule!r}: expected AND, OR or the end, found {remaining[0][0]}")
    return value


def alarm_names(rule: str) -> list[str]:
    """Returns the names of the alarms in a rule, in order, with repetitions. Raises AlarmRuleError.

    >>> alarm_names('ALARM("a") OR OK(arn:aws:cloudwatch:us-east-1:1:alarm:b)')
    ['a', 'b']
    """
    return [name for kind, name in _tokenize(rule) if kind in ("ALARM", "OK", "INSUFFICIENT_DATA")]


def _tokenize(rule: str) -> list[tuple[str, str]]:
    """Returns the rule's tokens as (kind, alarm name); the kind is a state, a keyword or a parenthesis."""
    tokens, position = [], 0
    text = rule.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise AlarmRuleError(f"AlarmRule {rule!r}: expected an operator or ALARM(name), found {text[position:]!r}")
        if match["state"]:
            tokens.append((match["state"], (match["quoted"] or match["plain"]).rsplit(":alarm:", 1)[-1]))
        else:
            tokens.append((match["paren"] or match["word"], ""))
        position = match.end()
    return tokens


_Tokens = list[tuple[str, str]]


def _parse_or(tokens: _Tokens, states: Mapping[str, str]) -> tuple[bool, _Tokens]:
    value, remaining = _parse_and(tokens, states)
    while remaining and remaining[0][0] == "OR":
        right, remaining = _parse_and(remaining[1:], states)
        value = value or right
    return value, remaining


def _parse_and(tokens: _Tokens, states: Mapping[str, str]) -> tuple[bool, _Tokens]:
    value, remaining = _parse_operand(tokens, states)
    while remaining and remaining[0][0] == "AND":
        right, remaining = _parse_operand(remaining[1:], states)
        value = value and right
    return value, remaining


def _parse_operand(tokens: _Tokens, states: Mapping[str, str]) -> tuple[bool, _Tokens]:
    if not tokens:
        raise AlarmRuleError("AlarmRule: expected an expression such as ALARM(name), found the end")
    (kind, name), remaining = tokens[0], tokens[1:]
    if kind == "NOT":
        value, remaining = _parse_operand(remaining, states)
        return not value, remaining
    if kind == "(":
        value, remaining = _parse_or(remaining, states)
        if not remaining or remaining[0][0] != ")":
            raise AlarmRuleError("AlarmRule: expected a closing parenthesis")
        return value, remaining[1:]
    if kind in ("TRUE", "FALSE"):
        return kind == "TRUE", remaining
    if kind in ("ALARM", "OK", "INSUFFICIENT_DATA"):
        return states.get(name) == kind, remaining
    raise AlarmRuleError(f"AlarmRule: expected an expression such as ALARM(name), found {kind}")
