"""Policy as code: rules for every resource of every environment, evaluated wherever a plan is made."""

from bedplate.domain.policy.pack import POLICIES
from bedplate.domain.policy.rules import PlannedResource, Policy, PolicyReport, PolicyViolation, evaluate

__all__ = ["POLICIES", "PlannedResource", "Policy", "PolicyReport", "PolicyViolation", "evaluate"]
