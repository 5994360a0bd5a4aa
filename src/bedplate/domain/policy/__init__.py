"""Policy as code: what every resource of every environment must be; written once, run wherever a plan is seen."""

from bedplate.domain.policy.pack import POLICIES
from bedplate.domain.policy.rules import PlannedResource, PlannedStack, Policy, PolicyReport, PolicyViolation, judge

__all__ = ["POLICIES", "PlannedResource", "PlannedStack", "Policy", "PolicyReport", "PolicyViolation", "judge"]
