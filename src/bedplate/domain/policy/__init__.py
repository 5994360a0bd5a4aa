"""Policy as code: what every resource of every environment must be; written once, run wherever a plan is seen."""

from bedplate.domain.policy.pack import POLICIES
from bedplate.domain.policy.rules import Judgement, Policy, Program, Resource, Violation, judge

__all__ = ["POLICIES", "Judgement", "Policy", "Program", "Resource", "Violation", "judge"]
