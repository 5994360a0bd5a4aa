"""What was spent, and how budgets stand."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bedplate.errors import NotFound
from bedplate.ports import BudgetState, Spend
from bedplate.workflows.record.costs import bill, budgets
from builders import a_platform
from fakes import EPOCH, FakeStackContext


@pytest.fixture
def platform(tmp_path: Path) -> FakeStackContext:
    made = a_platform(tmp_path)
    day = timedelta(days=1)
    made.costs.spent = [
        Spend(EPOCH - day, EPOCH, "USE1-Train:ml.m5.xlarge", 3.0),
        Spend(EPOCH, EPOCH + day, "USE1-Host:ml.m5.large", 1.0),
    ]
    made.metrics.points = [(EPOCH, 500.0)]
    return made


def test_lines_of_the_bill_become_stages(platform: FakeStackContext) -> None:
    told = bill(platform, by="stage", days=7, model="churn")
    assert [(s.group, s.usd, s.pct) for s in told.spending.shares] == [("training", 3.0, 75.0), ("serving", 1.0, 25.0)]
    assert [usd for _, usd in told.spending.days] == [3.0, 1.0]


def test_a_thousand_predictions_cost_what_the_model_cost_in_all(platform: FakeStackContext) -> None:
    (use,) = bill(platform, by="stage", days=7, model="churn").use
    assert (use.predictions, use.usd_per_thousand) == (500.0, 8.0)


def test_without_predictions_there_is_no_figure(platform: FakeStackContext) -> None:
    platform.metrics.points = []
    (use,) = bill(platform, by="stage", days=7, model="churn").use
    assert use.usd_per_thousand is None


def test_an_unknown_model_is_no_empty_bill(platform: FakeStackContext) -> None:
    with pytest.raises(NotFound):
        bill(platform, by="stage", days=7, model="nobody")


def test_budgets_of_other_stacks_are_left_out_and_the_fullest_comes_first(platform: FakeStackContext) -> None:
    platform.costs.held = [
        BudgetState("bedplate-local", 100.0, 10.0, None, ()),
        BudgetState("bedplate-local-churn", 10.0, 9.0, 12.0, (("ACTUAL", 80, "OK"), ("FORECASTED", 100, "OK"))),
        BudgetState("somebody-elses", 1.0, 9.0, None, ()),
    ]
    first, second = budgets(platform)
    assert (first.of, first.used_pct, first.over) == ("churn", 90.0, False)
    assert first.crossed == (("ACTUAL", 80), ("FORECASTED", 100))
    assert second.of == "the platform"
    assert [s.of for s in budgets(platform, "churn")] == ["churn"]
