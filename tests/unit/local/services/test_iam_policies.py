"""What an IAM policy says about a call."""

from __future__ import annotations

from typing import Any

import pytest

from bedplate.local.services.iam_policies import PolicyDecision, conditions_hold, evaluate

ROOT = "arn:aws:iam::123456789012:root"


def statement(effect: str = "Allow", action: Any = "s3:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": effect, "Action": action, "Resource": resource, **more}]}


def test_a_deny_wins_over_an_allow() -> None:
    documents = [statement(), statement("Deny", "s3:DeleteObject")]
    assert evaluate(documents, "s3:DeleteObject", "arn:aws:s3:::b/k", context={}) is PolicyDecision.DENY
    assert evaluate(documents, "s3:GetObject", "arn:aws:s3:::b/k", context={}) is PolicyDecision.ALLOW


def test_nothing_said_is_neutral() -> None:
    assert evaluate([statement(action="sqs:*")], "s3:GetObject", "*", context={}) is PolicyDecision.NEUTRAL


@pytest.mark.parametrize(
    ("resource", "verdict"),
    [
        ("arn:aws:s3:::b/*", PolicyDecision.ALLOW),
        ("arn:aws:s3:::b", PolicyDecision.NEUTRAL),
        ("arn:aws:s3:::?/k", PolicyDecision.ALLOW),
        (["arn:aws:s3:::x", "arn:aws:s3:::b/k"], PolicyDecision.ALLOW),
    ],
)
def test_resources_match_with_wildcards(resource: Any, verdict: PolicyDecision) -> None:
    assert evaluate([statement(resource=resource)], "s3:GetObject", "arn:aws:s3:::b/k", context={}) is verdict


def test_actions_are_compared_without_case() -> None:
    assert evaluate([statement(action="S3:getobject")], "s3:GetObject", "*", context={}) is PolicyDecision.ALLOW


def test_not_action_and_not_resource_turn_the_match_around() -> None:
    document = {"Statement": {"Effect": "Deny", "NotAction": "s3:Get*", "NotResource": "arn:aws:s3:::open/*"}}
    assert evaluate([document], "s3:PutObject", "arn:aws:s3:::b/k", context={}) is PolicyDecision.DENY
    assert evaluate([document], "s3:GetObject", "arn:aws:s3:::b/k", context={}) is PolicyDecision.NEUTRAL
    assert evaluate([document], "s3:PutObject", "arn:aws:s3:::open/k", context={}) is PolicyDecision.NEUTRAL


@pytest.mark.parametrize(
    ("principal", "verdict"),
    [
        ("*", PolicyDecision.DENY),
        ({"AWS": "*"}, PolicyDecision.DENY),
        ({"AWS": "123456789012"}, PolicyDecision.DENY),
        ({"AWS": ["arn:aws:iam::1:role/x", ROOT]}, PolicyDecision.DENY),
        ({"AWS": "arn:aws:iam::123456789012:role/other"}, PolicyDecision.NEUTRAL),
        ({"Service": "budgets.amazonaws.com"}, PolicyDecision.NEUTRAL),
    ],
)
def test_principal_of_a_resource_policy(principal: Any, verdict: PolicyDecision) -> None:
    document = statement("Deny", Principal=principal)
    assert evaluate([document], "s3:GetObject", "*", context={}, principal=ROOT) is verdict


@pytest.mark.parametrize(
    ("conditions", "context", "expected"),
    [
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:SecureTransport": "true"}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:securetransport": "false"}, True),
        ({"StringEquals": {"k": ["a", "b"]}}, {"k": "b"}, True),
        ({"StringEquals": {"k": "a"}}, {}, False),
        ({"StringEqualsIfExists": {"k": "a"}}, {}, True),
        ({"StringNotEquals": {"k": "a"}}, {}, True),
        ({"StringNotEquals": {"k": ["a", "b"]}}, {"k": "b"}, False),
        ({"StringLike": {"k": "a*c"}}, {"k": "abbc"}, True),
        ({"StringEqualsIgnoreCase": {"k": "ABC"}}, {"k": "abc"}, True),
        ({"ArnLike": {"k": "arn:aws:iam::*:role/x"}}, {"k": "arn:aws:iam::1:role/x"}, True),
        ({"NumericLessThan": {"k": "10"}}, {"k": "9"}, True),
        ({"NumericGreaterThanEquals": {"k": "10"}}, {"k": "9"}, False),
        ({"DateGreaterThan": {"k": "2026-01-01T00:00:00Z"}}, {"k": "2026-06-01T00:00:00Z"}, True),
        ({"IpAddress": {"k": "10.0.0.0/8"}}, {"k": "10.1.2.3"}, True),
        ({"NotIpAddress": {"k": "10.0.0.0/8"}}, {"k": "10.1.2.3"}, False),
        ({"Null": {"k": "true"}}, {}, True),
        ({"Null": {"k": "false"}}, {}, False),
        ({"StringEquals": {"a": "1"}, "Bool": {"b": "true"}}, {"a": "1", "b": "false"}, False),
    ],
)
def test_conditions(conditions: dict[str, dict[str, Any]], context: dict[str, str], expected: bool) -> None:
    assert conditions_hold(conditions, context) is expected


def test_an_unknown_operator_never_counts_as_satisfied() -> None:
    with pytest.raises(ValueError, match="StringSounds"):
        conditions_hold({"StringSounds": {"k": "a"}}, {"k": "a"})
