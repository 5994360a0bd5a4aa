"""Shows a plan for review: its changes, their monthly cost, the risks and the policy violations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bedplate.cli.views import policy_view, stack_view
from bedplate.cli.views.render import console, format_usd, print_table
from bedplate.domain.stacks.plan_cost import CostLine, PlanCost, Price
from bedplate.domain.stacks.plan_risk import Risk
from bedplate.workflows.stacks.stack import PlanReview

_RISK_LABELS = {"data": "LOSES DATA", "traffic": "DROPS TRAFFIC"}
_COST_COLUMNS = ("step", "resource", "before", "after", "difference", "note")


def show(review: PlanReview) -> None:
    """Prints the plan, its warnings, its costs and its policy violations."""
    from rich.text import Text

    stack_view.show(review.update, planned=True)
    if review.risks:
        style = "bold red"
        rows = [(Text(_RISK_LABELS[r.kind], style=style), r.op, _label(r), r.reason) for r in review.risks]
        print_table("\nWarnings", ("", "step", "resource", "reason"), rows)
    if review.cost.lines:
        print_table("\nUSD a month", _COST_COLUMNS, _cost_rows(review.cost), right_aligned=_COST_COLUMNS[2:5])
        console().print(format_total(review.cost))
        console().print(f"Prices: {review.cost.price_source}", soft_wrap=True)
    policy_view.show(review.policies)
    console().print(policy_view.format_summary(review.policies))


def to_dict(review: PlanReview) -> dict[str, Any]:
    """Returns the fields that `--json` adds to the steps: monthly cost, warnings and policies."""
    lines = [
        {
            "op": line.op,
            "urn": line.urn,
            "type": line.type,
            "name": line.name,
            "before_usd": line.before.usd,
            "after_usd": line.after.usd,
            "difference_usd": line.difference_usd,
            "note": _cost_note(line),
        }
        for line in review.cost.lines
    ]
    cost = {
        "difference_usd": round(review.cost.difference_usd, 2),
        "unknown": review.cost.unknown_count,
        "prices": review.cost.price_source,
        "lines": lines,
    }
    return {"monthly_cost": cost, "warnings": review.risks, "policies": policy_view.to_dict(review.policies)}


def build_markdown(review: PlanReview, *, stack: str, target: str) -> str:
    """Returns the review as Markdown for a pull request: the verdict first, long tables collapsed."""
    parts = [f"## Preview of `{stack}`", f"{target}: {stack_view.format_summary(review.update, planned=True)}."]
    if review.risks:
        parts.append("\n".join(f"- **{_RISK_LABELS[r.kind]}** {r.op} {_label(r)}: {r.reason}" for r in review.risks))
    parts.append(policy_view.format_summary(review.policies) + ".")
    if review.policies.violations:
        rows = [policy_view.violation_cells(violation) for violation in review.policies.violations]
        parts.append(_markdown_table(policy_view.COLUMNS, rows))
    if review.cost.lines:
        table = _markdown_table(_COST_COLUMNS, _cost_rows(review.cost), numeric=(2, 3, 4))
        parts.append(f"**{format_total(review.cost)}** ({review.cost.price_source})")
        parts.append(_collapsible("USD a month", table))
    if review.update.steps:
        step_rows = [
            (step.op, stack_view.short_type(step.type), step.name, stack_view.format_changes(step))
            for step in review.update.steps
        ]
        title = f"{len(step_rows)} changed resources"
        parts.append(_collapsible(title, _markdown_table(("step", "resource", "name", "changes"), step_rows)))
    return "\n\n".join(parts) + "\n"


def format_total(cost: PlanCost) -> str:
    """Returns the monthly difference in USD, with the number of resources whose cost is unknown."""
    text = f"Difference a month: {_format_signed_usd(cost.difference_usd)}"
    return f"{text}, and {cost.unknown_count} unknown" if cost.unknown_count else text


def _cost_rows(cost: PlanCost) -> list[tuple[str, ...]]:
    """Returns a row of `_COST_COLUMNS` for each resource."""
    return [(line.op, _label(line), *_usd_cells(line), _cost_note(line)) for line in cost.lines]


def _label(line: CostLine | Risk) -> str:
    return f"{stack_view.short_type(line.type)} {line.name}"


def _usd_cells(line: CostLine) -> tuple[str, str, str]:
    difference = "unknown" if line.difference_usd is None else _format_signed_usd(line.difference_usd)
    return _format_price(line.before), _format_price(line.after), difference


def _format_price(price: Price) -> str:
    return "unknown" if price.usd is None else format_usd(price.usd)


def _format_signed_usd(amount_usd: float) -> str:
    rounded_usd = round(amount_usd, 2)
    sign = "+" if rounded_usd > 0 else "-" if rounded_usd < 0 else ""
    return sign + format_usd(abs(rounded_usd))


def _cost_note(line: CostLine) -> str:
    return line.after.note or line.before.note


def _collapsible(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _markdown_table(columns: tuple[str, ...], rows: Sequence[Sequence[str]], numeric: tuple[int, ...] = ()) -> str:
    """Returns a table in Markdown; the columns with the indexes in `numeric` are aligned right."""
    separators = ["---:" if i in numeric else "---" for i in range(len(columns))]
    return "\n".join(_markdown_row(cells) for cells in (columns, separators, *rows))


def _markdown_row(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|").replace("<", "&lt;").replace("\n", "<br>") for cell in cells)
    return f"| {' | '.join(escaped)} |"
