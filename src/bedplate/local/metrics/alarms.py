"""When an alarm is in which state: CloudWatch's rules, as functions of datapoints and of other alarms' states."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]

RAISED_AT = "bedplate:RaisedAt"
"""Key of an alarm's record: when it last came to be in ALARM, epoch seconds."""

_COMPARE: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True, slots=True)
class Datapoint:
    """The statistic of one period: None where there is no data; `low_sample` when too few for a percentile."""

    at: float
    value: float | None
    low_sample: bool = False


@dataclass(frozen=True, slots=True)
class AlarmEvaluation:
    state: State
    reason: str
    values: tuple[float, ...] = ()


def judge(alarm: Mapping[str, Any], datapoints: Sequence[Datapoint], current: State) -> AlarmEvaluation:
    """The state of a metric alarm, from the datapoints of its evaluation periods, newest last.

    `alarm` is in the shape of PutMetricAlarm. Missing periods count as TreatMissingData says: `missing` (the default)
    and `ignore` leave them out, and with none left the first is INSUFFICIENT_DATA, the second no change; `breaching`
    and `notBreaching` count them so. A percentile's low sample changes nothing when the alarm says `ignore`.
    Source: CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data" and "Percentile-based alarms
    and low data samples".
    """
    periods = int(alarm["EvaluationPeriods"])
    needed = int(alarm.get("DatapointsToAlarm") or periods)
    treat = alarm.get("TreatMissingData") or "missing"
    if alarm.get("EvaluateLowSampleCountPercentile") == "ignore" and any(d.low_sample for d in datapoints):
        return AlarmEvaluation(current, "Too few samples for the percentile: the state is kept.")
    compare, words = _COMPARE[alarm["ComparisonOperator"]]
    threshold = float(alarm["Threshold"])
    known = [d.value for d in datapoints if d.value is not None]
    missing = periods - len(known)
    breaching = sum(compare(v, threshold) for v in known)
    described = f"{len(known)} datapoint{'s' if len(known) != 1 else ''} {_listed(known)}"
    against = f"{words} the threshold ({threshold:g})"
    if not known and treat in ("missing", "ignore"):
        if treat == "ignore":
            return AlarmEvaluation(current, "No data: the state is kept.")
        return AlarmEvaluation("INSUFFICIENT_DATA", "Insufficient Data: no datapoints were received.")
    counted = breaching + (missing if treat == "breaching" else 0)
    short = treat in ("missing", "ignore") and len(known) < needed and breaching == len(known)
    if short and treat == "ignore":
        return AlarmEvaluation(current, f"Too little data to judge: {described}.")
    if counted >= needed or short:
        if not known:
            return AlarmEvaluation("ALARM", f"Threshold Crossed: no datapoints were received for {periods} periods and "
                             "missing data was treated as [Breaching].")  # fmt: skip
        return AlarmEvaluation(
            "ALARM",
            f"Threshold Crossed: {counted} out of the last {periods} datapoints {_listed(known)} were {against} "
            f"(minimum {needed} datapoint{'s' if needed != 1 else ''} for OK -> ALARM transition).",
            tuple(known),
        )
    if not known:
        treated = "missing data was treated as [NonBreaching]."
        return AlarmEvaluation(
            "OK", f"Threshold Crossed: no datapoints were received for {periods} periods and {treated}"
        )
    return AlarmEvaluation("OK", f"Threshold not crossed: {breaching} of {described} were {against}.", tuple(known))


def window(alarm: Mapping[str, Any], now: float) -> list[tuple[float, float]]:
    """The stretches [start, end) of an alarm's evaluation periods, oldest first; the last one ends now.

    >>> window({"Period": 10, "EvaluationPeriods": 2}, 100.0)
    [(80.0, 90.0), (90.0, 100.0)]
    """
    period = float(period_of(alarm))
    return [(now - (i + 1) * period, now - i * period) for i in reversed(range(int(alarm["EvaluationPeriods"])))]


def period_of(alarm: Mapping[str, Any]) -> int:
    """The period in seconds: the alarm's own, or the longest of its metric math's."""
    if alarm.get("Period"):
        return int(alarm["Period"])
    periods = [m.get("Period") or (m.get("MetricStat") or {}).get("Period") for m in alarm.get("Metrics") or ()]
    return max((int(p) for p in periods if p), default=60)


def _listed(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{v:g}" for v in values) + "]"


# --- composite alarms ------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"\s*(?:(?P<paren>[()])|(?P<word>AND|OR|NOT|TRUE|FALSE)\b"
    r"|(?P<state>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:\"(?P<quoted>[^\"]+)\"|(?P<plain>[^)\s]+))\s*\))"
)


class AlarmRuleError(ValueError):
    """An AlarmRule that cannot be read; the message says from where on."""


def holds(rule: str, states: Mapping[str, str]) -> bool:
    """Whether a composite alarm's rule is true, given the states of alarms by name (or ARN).

    >>> holds('ALARM("a") AND NOT (OK(b) OR FALSE)', {"a": "ALARM", "b": "INSUFFICIENT_DATA"})
    True
    """
    tokens = _tokens(rule)
    value, rest = _either(tokens, {k.rsplit(":alarm:", 1)[-1]: v for k, v in states.items()})
    if rest:
        raise AlarmRuleError(f"AlarmRule {rule!r} is not understood")
    return value


def names_in(rule: str) -> list[str]:
    """The alarms that a rule speaks of.

    >>> names_in('ALARM("a") OR OK(arn:aws:cloudwatch:us-east-1:1:alarm:b)')
    ['a', 'b']
    """
    return [name for kind, name in _tokens(rule) if kind in ("ALARM", "OK", "INSUFFICIENT_DATA")]


def _tokens(rule: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = rule.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise AlarmRuleError(f"AlarmRule is not understood from {text[at:]!r} on")
        if match["state"]:
            found.append((match["state"], (match["quoted"] or match["plain"]).rsplit(":alarm:", 1)[-1]))
        else:
            found.append((match["paren"] or match["word"], ""))
        at = match.end()
    return found


_Tokens = list[tuple[str, str]]


def _either(tokens: _Tokens, states: Mapping[str, str]) -> tuple[bool, _Tokens]:
    value, rest = _each(tokens, states)
    while rest and rest[0][0] == "OR":
        other, rest = _each(rest[1:], states)
        value = value or other
    return value, rest


def _each(tokens: _Tokens, states: Mapping[str, str]) -> tuple[bool, _Tokens]:
    value, rest = _one(tokens, states)
    while rest and rest[0][0] == "AND":
        other, rest = _one(rest[1:], states)
        value = value and other
    return value, rest


def _one(tokens: _Tokens, states: Mapping[str, str]) -> tuple[bool, _Tokens]:
    if not tokens:
        raise AlarmRuleError("AlarmRule ends too early")
    (kind, name), rest = tokens[0], tokens[1:]
    if kind == "NOT":
        value, rest = _one(rest, states)
        return not value, rest
    if kind == "(":
        value, rest = _either(rest, states)
        if not rest or rest[0][0] != ")":
            raise AlarmRuleError("AlarmRule lacks a closing parenthesis")
        return value, rest[1:]
    if kind in ("TRUE", "FALSE"):
        return kind == "TRUE", rest
    if kind in ("ALARM", "OK", "INSUFFICIENT_DATA"):
        return states.get(name) == kind, rest
    raise AlarmRuleError(f"AlarmRule has {kind} where an alarm is expected")
