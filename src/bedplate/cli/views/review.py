"""How a plan looks to those who approve it: changes, what they cost a month, what they put at risk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bedplate.cli.views import policy_view, stack_view
from bedplate.cli.views.render import out, table, usd
from bedplate.domain.stacks.plan_cost import CostLine, PlanCost, Price
from bedplate.domain.stacks.plan_risk import Risk
from bedplate.workflows.stacks.stack import Review

_AT_STAKE = {"data": "LOSES DATA", "traffic": "DROPS TRAFFIC"}


def show(review: Review) -> None:
    """Print the plan, then its warnings and its costs."""
    from rich.text import Text

    stack_view.show(review.update, planned=True)
    if review.risks:
        rows = [
            (Text(_AT_STAKE[risk.kind], style="bold red"), risk.op, f"{_named(risk)}", risk.why)
            for risk in review.risks
        ]
        table("\nWarnings", ("", "step", "resource", "why"), rows)
    if review.cost.lines:
        costs = [(line.op, _named(line), *_figures(line), _why(line)) for line in review.cost.lines]
        columns = ("step", "resource", "now", "then", "difference", "how")
        table("\nUSD a month", columns, costs, right=columns[2:5])
        out().print(total(review.cost))
        out().print(f"Prices: {review.cost.basis}", soft_wrap=True)
    policy_view.show(review.policies)
    out().print(policy_view.summary(review.policies))


def as_data(review: Review) -> dict[str, Any]:
    """What `--json` adds to the steps."""
    lines = [
        {
            "op": line.op,
            "urn": line.urn,
            "type": line.type,
            "name": line.name,
            "before_usd": line.before.usd,
            "after_usd": line.after.usd,
            "difference_usd": line.difference_usd,
            "why": _why(line),
        }
        for line in review.cost.lines
    ]
    cost = {
        "difference_usd": round(review.cost.difference_usd, 2),
        "unknown": review.cost.unknown,
        "prices": review.cost.basis,
        "lines": lines,
    }
    return {"monthly_cost": cost, "warnings": review.risks, "policies": policy_view.as_data(review.policies)}


def markdown(review: Review, *, stack: str, where: str) -> str:
    """The same for a pull request: the verdict first, what is long folded away."""
    parts = [f"## Preview of `{stack}`", f"{where}: {stack_view.summary(review.update, planned=True)}."]
    if review.risks:
        parts.append("\n".join(f"- **{_AT_STAKE[r.kind]}** {r.op} {_named(r)}: {r.why}" for r in review.risks))
    parts.append(policy_view.summary(review.policies) + ".")
    if review.policies.violations:
        found = [policy_view.cells(violation) for violation in review.policies.violations]
        parts.append(_markdown_table(policy_view.COLUMNS, found))
    if review.cost.lines:
        rows = [(line.op, _named(line), *_figures(line), _why(line)) for line in review.cost.lines]
        columns = ("step", "resource", "now", "then", "difference", "how")
        parts += [
            f"**{total(review.cost)}** ({review.cost.basis})",
            _folded("USD a month", _markdown_table(columns, rows, figures=(2, 3, 4))),
        ]
    if review.update.steps:
        steps = [
            (step.op, stack_view.short_type(step.type), step.name, "\n".join(map(stack_view.change_text, step.changes)))
            for step in review.update.steps
        ]
        title = f"{len(steps)} changed resources"
        parts.append(_folded(title, _markdown_table(("step", "resource", "name", "what changes"), steps)))
    return "\n\n".join(parts) + "\n"


def total(cost: PlanCost) -> str:
    """The sum in a sentence that says what is not in it."""
    text = f"Difference a month: {_signed(cost.difference_usd)}"
    return f"{text}, and {cost.unknown} unknown" if cost.unknown else text


def _named(line: CostLine | Risk) -> str:
    return f"{stack_view.short_type(line.type)} {line.name}"


def _figures(line: CostLine) -> tuple[str, str, str]:
    difference = "unknown" if line.difference_usd is None else _signed(line.difference_usd)
    return _usd(line.before), _usd(line.after), difference


def _usd(price: Price) -> str:
    return "unknown" if price.usd is None else usd(price.usd)


def _signed(amount: float) -> str:
    cents = round(amount, 2)
    sign = "+" if cents > 0 else "-" if cents < 0 else ""
    return sign + usd(abs(cents))


def _why(line: CostLine) -> str:
    return line.after.why or line.before.why


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _markdown_table(columns: tuple[str, ...], rows: Sequence[Sequence[str]], figures: tuple[int, ...] = ()) -> str:
    rule = ["---:" if at in figures else "---" for at in range(len(columns))]
    return "\n".join(_markdown_row(cells) for cells in (columns, rule, *rows))


def _markdown_row(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|").replace("<", "&lt;").replace("\n", "<br>") for cell in cells)
    return f"| {' | '.join(escaped)} |"
