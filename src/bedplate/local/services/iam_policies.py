"""What an IAM policy document says about one call: allowed, denied, or nothing; with conditions, principals, wildcards.

Follows AWS's reference of policy elements and condition operators. What it does not know, an operator for instance, is
an error and never counts as satisfied.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any

Document = Mapping[str, Any]
Context = Mapping[str, str]


class PolicyDecision(Enum):
    ALLOW = "allowed"
    DENY = "explicitDeny"
    NEUTRAL = "implicitDeny"


def evaluate(
    documents: Iterable[Document], action: str, resource: str, *, context: Context, principal: str | None = None
) -> PolicyDecision:
    """A deny anywhere wins; else an allow anywhere; else nothing was said.

    `principal` is the caller's ARN, for policies of resources; without it, statements' principals are not looked at.

    >>> deny = {"Effect": "Deny", "Action": "s3:*", "Resource": "*",
    ...         "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    >>> evaluate([{"Statement": deny}], "s3:PutObject", "arn:aws:s3:::b/k", context={"aws:SecureTransport": "true"})
    <PolicyDecision.NEUTRAL: 'implicitDeny'>
    """
    said = PolicyDecision.NEUTRAL
    for document in documents:
        for statement in _many(document.get("Statement")):
            if not applies(statement, action, resource, context=context, principal=principal):
                continue
            if statement.get("Effect") == "Deny":
                return PolicyDecision.DENY
            said = PolicyDecision.ALLOW
    return said


def applies(statement: Document, action: str, resource: str, *, context: Context, principal: str | None = None) -> bool:
    """Whether every element of a statement matches the call."""
    return (
        _element(statement, "Action", action.lower(), fold=True)
        and _element(statement, "Resource", resource)
        and (principal is None or _principal(statement, principal))
        and conditions_hold(statement.get("Condition") or {}, context)
    )


def conditions_hold(conditions: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    """All operators and all their keys must hold; the values of one key are alternatives.

    A key that the call does not have fails its condition, but for negated operators, `...IfExists`, and `Null`.

    >>> conditions_hold({"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}, {})
    True
    """
    keys = {key.lower(): value for key, value in context.items()}
    return all(
        _condition(operator, keys.get(key.lower()), [str(v) for v in _many(values)])
        for operator, wanted in conditions.items()
        for key, values in wanted.items()
    )


def _condition(operator: str, actual: str | None, wanted: Sequence[str]) -> bool:
    name = operator.split(":")[-1]
    if name == "Null":
        return all((actual is None) == (w.lower() == "true") for w in wanted)
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    negated = "Not" in name
    if actual is None:
        return if_exists or negated or operator.startswith("ForAllValues:")
    positive = name.replace("Not", "")
    hit = any(_holds(positive, actual, w) for w in wanted)
    return not hit if negated else hit


def _holds(operator: str, actual: str, wanted: str) -> bool:
    match operator:
        case "StringEquals":
            return actual == wanted
        case "StringEqualsIgnoreCase" | "Bool":
            return actual.lower() == wanted.lower()
        case "StringLike" | "ArnLike" | "ArnEquals":
            return _like(wanted).match(actual) is not None
        case "IpAddress":
            return ipaddress.ip_address(actual) in ipaddress.ip_network(wanted, strict=False)
    for kind, read in (("Numeric", float), ("Date", _moment)):
        if operator.startswith(kind):
            a, b = read(actual), read(wanted)
            return {
                "Equals": a == b,
                "LessThan": a < b,
                "LessThanEquals": a <= b,
                "GreaterThan": a > b,
                "GreaterThanEquals": a >= b,
            }[operator.removeprefix(kind)]
    raise ValueError(f"condition operator {operator} is not known")


def _element(statement: Document, name: str, value: str, *, fold: bool = False) -> bool:
    """`Action` or `Resource`, or its `Not` form; a statement with neither (a trust policy) matches any."""
    patterns = statement.get(name)
    inverse = statement.get(f"Not{name}")
    if patterns is None and inverse is None:
        return True
    chosen = [p.lower() if fold else p for p in _many(patterns if patterns is not None else inverse)]
    hit = any(_like(p).match(value) for p in chosen)
    return hit if patterns is not None else not hit


def _principal(statement: Document, caller: str) -> bool:
    named = statement.get("Principal")
    inverse = statement.get("NotPrincipal")
    if named is None and inverse is None:
        return True
    hit = _names(named if named is not None else inverse, caller)
    return hit if named is not None else not hit


def _names(principals: Any, caller: str) -> bool:
    if principals == "*":
        return True
    account = caller.split(":")[4] if caller.count(":") >= 4 else ""
    for name in _many(principals.get("AWS") if isinstance(principals, Mapping) else principals):
        if name in ("*", caller, account) or name == f"arn:aws:iam::{account}:root":
            return True
    return False


@lru_cache(maxsize=1024)
def _like(pattern: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern) + r"\Z", re.DOTALL)


def _moment(text: str) -> float:
    if re.fullmatch(r"[\d.]+", text):
        return float(text)
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _many(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
