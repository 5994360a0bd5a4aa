"""The platform's policies for Pulumi's own engine: `pulumi preview --policy-pack infra/policy_pack`.

The rules are those of `bedplate preview`: bedplate.domain.policy holds them, this hands them to Pulumi's policy SDK.
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

from bedplate.domain.policy import POLICIES, PlannedResource, Policy, judge
from bedplate.domain.stacks.plan import UNKNOWN


def _plain(value: Any, key: Any = None) -> Any:
    """What the SDK wraps, as plain values; what is not known before the run as the rules know it."""
    if key is not None:
        try:
            value = value[key]
        except UnknownValueError:
            return UNKNOWN
    if hasattr(value, "keys"):
        return {inner: _plain(value, inner) for inner in value}
    if hasattr(value, "__len__") and not isinstance(value, str | bytes):
        return [_plain(value, at) for at in range(len(value))]
    return value


def _resource(args: ResourceValidationArgs | PolicyResource) -> PlannedResource:
    return PlannedResource(args.resource_type, args.name, _plain(args.props), args.urn)


def _of_one(policy: Policy) -> Any:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for violation in judge([_resource(args)], [policy]).violations:
            report(f"{violation.what}. Mend: {violation.mend}", None)

    return validate


def _of_the_stack(policy: Policy) -> Any:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for violation in judge([_resource(each) for each in args.resources], [policy]).violations:
            report(f"{violation.name}: {violation.what}. Mend: {violation.mend}", violation.urn)

    return validate


def as_pulumi(policy: Policy) -> ResourceValidationPolicy | StackValidationPolicy:
    """One of our policies as one of Pulumi's."""
    level = EnforcementLevel(policy.level)
    if policy.scope == "stack":
        return StackValidationPolicy(policy.name, policy.description, _of_the_stack(policy), level)
    return ResourceValidationPolicy(policy.name, policy.description, _of_one(policy), level)


if __name__ == "__main__":
    PolicyPack("bedplate", [as_pulumi(policy) for policy in POLICIES], EnforcementLevel.MANDATORY)
