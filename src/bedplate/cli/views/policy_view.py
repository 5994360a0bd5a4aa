"""Prints the violations of policies as a table, and a line with their number."""

from __future__ import annotations

from typing import Any

from bedplate.cli.views import stack_view
from bedplate.cli.views.render import print_table
from bedplate.domain.formatting import format_count
from bedplate.domain.policy import PolicyReport, PolicyViolation

COLUMNS = ("", "policy", "resource", "problem", "fix")


def show(report: PolicyReport) -> None:
    """Prints the violations; prints nothing when there are none."""
    from rich.text import Text

    if report.violations:
        style = {"mandatory": "bold red", "advisory": "yellow"}
        rows = [(Text(v.level, style=style[v.level]), *violation_cells(v)[1:]) for v in report.violations]
        print_table("\nPolicies violated", COLUMNS, rows)


def violation_cells(violation: PolicyViolation) -> tuple[str, str, str, str, str]:
    resource = f"{stack_view.short_type(violation.type)} {violation.name}"
    return violation.level, violation.policy, resource, violation.detail, violation.fix


def format_summary(report: PolicyReport) -> str:
    """Returns one line: the number of policies, of violations, and of resources that only the run can decide."""
    mandatory = sum(v.level == "mandatory" for v in report.violations)
    advisory = len(report.violations) - mandatory
    violations = f"{mandatory} mandatory and {advisory} advisory violations" if report.violations else "no violations"
    text = f"Policies: {report.policies} evaluated, {violations}"
    undecided = len({resource for _, resource in report.undecided})
    if not undecided:
        return text
    return f"{text}; {format_count(undecided, 'resource')} can be evaluated only after the run"


def to_dict(report: PolicyReport) -> dict[str, Any]:
    undecided = [{"policy": policy, "resource": resource} for policy, resource in report.undecided]
    return {"evaluated": report.policies, "violations": report.violations, "undecided": undecided}
