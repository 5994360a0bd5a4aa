from __future__ import annotations

import pytest

from bedplate.domain.money.cost_estimate import BudgetStatus, CostEstimate, cost_warnings, estimate_cost

ONE_DOLLAR = CostEstimate("ml.m5.xlarge", 1, 3600, 1.0)


@pytest.mark.parametrize("change", [{"instance_type": "ml.m5.2xlarge"}, {"instance_count": 2}, {"max_runtime_s": 7200}])
def test_everything_that_costs_counts(change: dict[str, object]) -> None:
    small = {"instance_type": "ml.m5.xlarge", "instance_count": 1, "max_runtime_s": 3600}
    base, more = estimate_cost("training", **small), estimate_cost("training", **{**small, **change})  # type: ignore[arg-type]
    assert base.max_usd is not None
    assert more.max_usd == pytest.approx(2 * base.max_usd, rel=0.01)


def test_nothing_speaks_against_a_job_within_every_limit() -> None:
    assert cost_warnings(ONE_DOLLAR, limit_usd=1.0, budgets=[BudgetStatus("b", 10, 2)]) == ()


def test_a_job_that_may_cost_more_than_its_limit_is_refused() -> None:
    found = cost_warnings(ONE_DOLLAR, limit_usd=0.99, budgets=[])
    assert [o.is_blocking for o in found] == [True]
    assert "$1.00" in found[0].reason


def test_a_limit_that_cannot_be_checked_does_not_hold() -> None:
    unknown = CostEstimate("ml.x9.tiny", 1, 3600, None)
    assert [o.is_blocking for o in cost_warnings(unknown, limit_usd=5, budgets=[])] == [True]
    assert cost_warnings(unknown, limit_usd=None, budgets=[]) == ()


def test_a_budget_that_is_used_up_refuses_and_one_that_is_nearly_so_warns() -> None:
    found = cost_warnings(
        ONE_DOLLAR, limit_usd=None, budgets=[BudgetStatus("near", 10, 9.5), BudgetStatus("gone", 10, 10)]
    )
    assert [(o.is_blocking, o.reason.split()[1]) for o in found] == [(True, "gone"), (False, "near")]
