"""How what the policies found looks: a table of violations, or a line that there are none."""

from __future__ import annotations

from typing import Any

from bedplate.cli.views import stack_view
from bedplate.cli.views.render import table
from bedplate.domain.policy import PolicyReport, PolicyViolation

COLUMNS = ("", "policy", "resource", "what is wrong", "how to mend it")


def show(judgement: PolicyReport) -> None:
    """Print the violations; nothing when there are none."""
    from rich.text import Text

    if judgement.violations:
        style = {"mandatory": "bold red", "advisory": "yellow"}
        rows = [(Text(v.level, style=style[v.level]), *cells(v)[1:]) for v in judgement.violations]
        table("\nPolicies violated", COLUMNS, rows)


def cells(violation: PolicyViolation) -> tuple[str, str, str, str, str]:
    resource = f"{stack_view.short_type(violation.type)} {violation.name}"
    return violation.level, violation.policy, resource, violation.what, violation.mend


def summary(judgement: PolicyReport) -> str:
    """One line: how many policies were asked, and what they could not say before the run."""
    mandatory = sum(v.level == "mandatory" for v in judgement.violations)
    advisory = len(judgement.violations) - mandatory
    found = f"{mandatory} mandatory and {advisory} advisory violations" if judgement.violations else "none violated"
    later = len({resource for _, resource in judgement.undecided})
    text = f"Policies: {judgement.policies} asked, {found}"
    if not later:
        return text
    resources = "one resource" if later == 1 else f"{later} resources"
    return f"{text}; of {resources} they can tell only after the run, and look again then"


def as_data(judgement: PolicyReport) -> dict[str, Any]:
    undecided = [{"policy": policy, "resource": resource} for policy, resource in judgement.undecided]
    return {"asked": judgement.policies, "violations": judgement.violations, "undecided": undecided}
