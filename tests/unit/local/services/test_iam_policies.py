"""IAM policies are evaluated for a call as IAM evaluates them."""

from __future__ import annotations

from typing import Any

import pytest

from bedplate.local.services.iam_policies import PolicyDecision, are_conditions_met, evaluate

ROOT = "arn:aws:iam::123456789012:root"


def build_document(effect: str = "Allow", action: Any = "s3:*", resource: Any = "*", **elements: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": effect, "Action": action, "Resource": resource, **elements}]}


def test_deny_wins_over_allow() -> None:
    documents = [build_document(), build_document("Deny", "s3:DeleteObject")]
    assert evaluate(documents, "s3:DeleteObject", "arn:aws:s3:::b/k", context={}) is PolicyDecision.DENY
    assert evaluate(documents, "s3:GetObject", "arn:aws:s3:::b/k", context={}) is PolicyDecision.ALLOW


def test_call_that_no_statement_matches_is_neutral() -> None:
    assert evaluate([build_document(action="sqs:*")], "s3:GetObject", "*", context={}) is PolicyDecision.NEUTRAL


@pytest.mark.parametrize(
    ("resource", "decision"),
    [
        ("arn:aws:s3:::b/*", PolicyDecision.ALLOW),
        ("arn:aws:s3:::b", PolicyDecision.NEUTRAL),
        ("arn:aws:s3:::?/k", PolicyDecision.ALLOW),
        (["arn:aws:s3:::x", "arn:aws:s3:::b/k"], PolicyDecision.ALLOW),
    ],
)
def test_resources_match_with_wildcards(resource: Any, decision: PolicyDecision) -> None:
    assert evaluate([build_document(resource=resource)], "s3:GetObject", "arn:aws:s3:::b/k", context={}) is decision


def test_actions_are_compared_without_case() -> None:
    assert evaluate([build_document(action="S3:getobject")], "s3:GetObject", "*", context={}) is PolicyDecision.ALLOW


def test_not_action_and_not_resource_invert_the_match() -> None:
    document = {"Statement": {"Effect": "Deny", "NotAction": "s3:Get*", "NotResource": "arn:aws:s3:::open/*"}}
    assert evaluate([document], "s3:PutObject", "arn:aws:s3:::b/k", context={}) is PolicyDecision.DENY
    assert evaluate([document], "s3:GetObject", "arn:aws:s3:::b/k", context={}) is PolicyDecision.NEUTRAL
    assert evaluate([document], "s3:PutObject", "arn:aws:s3:::open/k", context={}) is PolicyDecision.NEUTRAL


@pytest.mark.parametrize(
    ("principal", "decision"),
    [
        ("*", PolicyDecision.DENY),
        ({"AWS": "*"}, PolicyDecision.DENY),
        ({"AWS": "123456789012"}, PolicyDecision.DENY),
        ({"AWS": ["arn:aws:iam::1:role/x", ROOT]}, PolicyDecision.DENY),
        ({"AWS": "arn:aws:iam::123456789012:role/other"}, PolicyDecision.NEUTRAL),
        ({"Service": "budgets.amazonaws.com"}, PolicyDecision.NEUTRAL),
    ],
)
def test_principal_of_a_resource_policy_matches_the_caller(principal: Any, decision: PolicyDecision) -> None:
    document = build_document("Deny", Principal=principal)
    assert evaluate([document], "s3:GetObject", "*", context={}, principal=ROOT) is decision


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
def test_condition_operators_follow_iam(
    conditions: dict[str, dict[str, Any]], context: dict[str, str], expected: bool
) -> None:
    assert are_conditions_met(conditions, context) is expected


def test_unknown_operator_raises() -> None:
    with pytest.raises(ValueError, match="StringSounds"):
        are_conditions_met({"StringSounds": {"k": "a"}}, {"k": "a"})
