"""Evaluates IAM policy documents for one call: allow, deny or neither, with conditions, principals and wildcards.

Follows AWS's reference of policy elements and condition operators. An unknown element, such as an unknown operator,
raises an error and never counts as satisfied.
"""

from __future__ import annotations

import ipaddress
import operator as operators
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache, partial
from typing import Any

Document = Mapping[str, Any]
Context = Mapping[str, str]
"""The condition keys of a call and their values, for example `aws:SourceIp`."""
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "Equals": operators.eq,
    "LessThan": operators.lt,
    "LessThanEquals": operators.le,
    "GreaterThan": operators.gt,
    "GreaterThanEquals": operators.ge,
}


class PolicyDecision(Enum):
    """The decision for a call, with IAM's names as values; NEUTRAL means that no statement matches."""

    ALLOW = "allowed"
    DENY = "explicitDeny"
    NEUTRAL = "implicitDeny"


def evaluate(
    documents: Iterable[Document], action: str, resource: str, *, context: Context, principal: str | None = None
) -> PolicyDecision:
    """Returns DENY if any statement denies the call, else ALLOW if any statement allows it, else NEUTRAL.

    `principal` is the caller's ARN, for policies of resources; without it, the principals of statements are ignored.

    >>> deny = {"Effect": "Deny", "Action": "s3:*", "Resource": "*",
    ...         "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    >>> evaluate([{"Statement": deny}], "s3:PutObject", "arn:aws:s3:::b/k", context={"aws:SecureTransport": "true"})
    <PolicyDecision.NEUTRAL: 'implicitDeny'>
    """
    decision = PolicyDecision.NEUTRAL
    for document in documents:
        for statement in _as_list(document.get("Statement")):
            if not is_match(statement, action, resource, context=context, principal=principal):
                continue
            if statement.get("Effect") == "Deny":
                return PolicyDecision.DENY
            decision = PolicyDecision.ALLOW
    return decision


def is_match(
    statement: Document, action: str, resource: str, *, context: Context, principal: str | None = None
) -> bool:
    """Returns whether every element of a statement matches the call; IAM compares actions without case."""
    return (
        _matches_element(statement, "Action", partial(_matches_any, action, ignore_case=True))
        and _matches_element(statement, "Resource", partial(_matches_any, resource))
        and (principal is None or _matches_element(statement, "Principal", partial(_includes_caller, principal)))
        and are_conditions_met(statement.get("Condition") or {}, context)
    )


def are_conditions_met(conditions: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    """Returns whether all operators are satisfied for all their keys; the values of one key are alternatives.

    A key that the call does not have fails its condition, except with negated operators, `...IfExists` and `Null`.

    >>> are_conditions_met({"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}, {})
    True
    """
    keys = {key.lower(): value for key, value in context.items()}
    return all(
        _is_satisfied(operator, keys.get(key.lower()), [str(v) for v in _as_list(values)])
        for operator, expected in conditions.items()
        for key, values in expected.items()
    )


def _is_satisfied(operator: str, actual: str | None, expected: Sequence[str]) -> bool:
    name = operator.split(":")[-1]  # without `ForAnyValue:` or `ForAllValues:`
    if name == "Null":
        return all((actual is None) == (value.lower() == "true") for value in expected)
    is_negated = "Not" in name
    if actual is None:
        return name.endswith("IfExists") or is_negated or operator.startswith("ForAllValues:")
    positive = name.removesuffix("IfExists").replace("Not", "")
    return any(_matches_value(positive, actual, value) for value in expected) is not is_negated


def _matches_value(operator: str, actual: str, expected: str) -> bool:
    match operator:
        case "StringEquals":
            return actual == expected
        case "StringEqualsIgnoreCase" | "Bool":
            return actual.lower() == expected.lower()
        case "StringLike" | "ArnLike" | "ArnEquals":
            return _wildcard_pattern(expected).match(actual) is not None
        case "IpAddress":
            return ipaddress.ip_address(actual) in ipaddress.ip_network(expected, strict=False)
    for prefix, parse in (("Numeric", float), ("Date", _parse_time)):
        if operator.startswith(prefix):
            return _COMPARISONS[operator.removeprefix(prefix)](parse(actual), parse(expected))
    raise ValueError(f"condition operator {operator} is unknown")


def _matches_element(statement: Document, name: str, is_listed: Callable[[Any], bool]) -> bool:
    """Returns whether an element (`Action`, ...) or its `Not` form matches; a missing element matches everything.

    A trust policy, for example, has no `Resource`.
    """
    if statement.get(name) is not None:
        return is_listed(statement[name])
    return statement.get(f"Not{name}") is None or not is_listed(statement[f"Not{name}"])


def _matches_any(value: str, patterns: Any, *, ignore_case: bool = False) -> bool:
    if ignore_case:
        return any(_wildcard_pattern(pattern.lower()).match(value.lower()) for pattern in _as_list(patterns))
    return any(_wildcard_pattern(pattern).match(value) for pattern in _as_list(patterns))


def _includes_caller(caller: str, principals: Any) -> bool:
    """Returns whether `Principal` lists the caller, its account, the account's root or everyone."""
    if principals == "*":
        return True
    account = caller.split(":")[4] if caller.count(":") >= 4 else ""
    for name in _as_list(principals.get("AWS") if isinstance(principals, Mapping) else principals):
        if name in ("*", caller, account) or name == f"arn:aws:iam::{account}:root":
            return True
    return False


@lru_cache(maxsize=1024)
def _wildcard_pattern(pattern: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern) + r"\Z", re.DOTALL)


def _parse_time(text: str) -> float:
    """Returns epoch seconds of a date in ISO 8601 (in UTC unless it has an offset) or in epoch seconds."""
    if re.fullmatch(r"[\d.]+", text):
        return float(text)
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
