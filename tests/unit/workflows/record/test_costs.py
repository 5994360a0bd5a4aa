"""Spend and budgets of a stack."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bedplate.errors import NotFound
from bedplate.ports import BudgetState, Spend
from bedplate.workflows.record.costs import list_budgets, read_bill
from builders import a_stack_context
from fakes import EPOCH, FakeStackContext


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    context = a_stack_context(tmp_path)
    day = timedelta(days=1)
    context.costs.spend = [
        Spend(EPOCH - day, EPOCH, "USE1-Train:ml.m5.xlarge", 3.0),
        Spend(EPOCH, EPOCH + day, "USE1-Host:ml.m5.large", 1.0),
    ]
    context.metrics.datapoints = [(EPOCH, 500.0)]
    return context


def test_spend_is_grouped_by_stage(stack: FakeStackContext) -> None:
    bill = read_bill(stack, group_by="stage", days=7, model="churn")
    assert [(s.group, s.usd, s.pct) for s in bill.spending.shares] == [("training", 3.0, 75.0), ("serving", 1.0, 25.0)]
    assert [usd for _, usd in bill.spending.days] == [3.0, 1.0]


def test_cost_per_thousand_predictions_includes_the_whole_spend(stack: FakeStackContext) -> None:
    (usage,) = read_bill(stack, group_by="stage", days=7, model="churn").usage
    assert (usage.predictions, usage.usd_per_thousand) == (500.0, 8.0)


def test_cost_per_thousand_is_none_without_predictions(stack: FakeStackContext) -> None:
    stack.metrics.datapoints = []
    (usage,) = read_bill(stack, group_by="stage", days=7, model="churn").usage
    assert usage.usd_per_thousand is None


def test_unknown_model_is_not_found(stack: FakeStackContext) -> None:
    with pytest.raises(NotFound):
        read_bill(stack, group_by="stage", days=7, model="nobody")


def test_budgets_of_this_stack_are_sorted_by_use(stack: FakeStackContext) -> None:
    stack.costs.budgets = [
        BudgetState("bedplate-local", 100.0, 10.0, None, ()),
        BudgetState("bedplate-local-churn", 10.0, 9.0, 12.0, (("ACTUAL", 80, "OK"), ("FORECASTED", 100, "OK"))),
        BudgetState("somebody-elses", 1.0, 9.0, None, ()),
    ]
    first, second = list_budgets(stack)
    assert (first.scope, first.used_pct, first.is_over) == ("churn", 90.0, False)
    assert first.crossed_thresholds == (("ACTUAL", 80), ("FORECASTED", 100))
    assert second.scope == "the platform"
    assert [s.scope for s in list_budgets(stack, "churn")] == ["churn"]
