"""Pulumi policy pack with the rules of `bedplate preview`: `pulumi preview --policy-pack infra/policy_pack`.

The rules are in bedplate.domain.policy; this program passes them to Pulumi's policy SDK.
"""

from __future__ import annotations

from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from bedplate.domain.policy import POLICIES, PlannedResource, Policy, evaluate
from bedplate.domain.stacks.plan import UNKNOWN


def _plain(value: Any, key: Any = None) -> Any:
    """Return a value that the SDK wraps as plain values, with UNKNOWN for values that a preview does not know."""
    if key is not None:
        try:
            value = value[key]
        except UnknownValueError:
            return UNKNOWN
    if hasattr(value, "keys"):
        return {name: _plain(value, name) for name in value}
    if hasattr(value, "__len__") and not isinstance(value, str | bytes):
        return [_plain(value, i) for i in range(len(value))]
    return value


def _resource(args: ResourceValidationArgs | PolicyResource) -> PlannedResource:
    return PlannedResource(args.resource_type, args.name, _plain(args.props), args.urn)


def _validate_resource(policy: Policy) -> Any:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for violation in evaluate([_resource(args)], [policy]).violations:
            report(f"{violation.detail}. Fix: {violation.fix}", None)

    return validate


def _validate_stack(policy: Policy) -> Any:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for violation in evaluate([_resource(resource) for resource in args.resources], [policy]).violations:
            report(f"{violation.name}: {violation.detail}. Fix: {violation.fix}", violation.urn)

    return validate


def to_pulumi_policy(policy: Policy) -> ResourceValidationPolicy | StackValidationPolicy:
    level = EnforcementLevel(policy.level)
    if policy.scope == "stack":
        return StackValidationPolicy(policy.name, policy.description, _validate_stack(policy), level)
    return ResourceValidationPolicy(policy.name, policy.description, _validate_resource(policy), level)


if __name__ == "__main__":
    PolicyPack("bedplate", [to_pulumi_policy(policy) for policy in POLICIES], EnforcementLevel.MANDATORY)
