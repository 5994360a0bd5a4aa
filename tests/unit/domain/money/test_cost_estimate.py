"""Cost estimates of jobs, and the limits and budgets that they are compared with."""

from __future__ import annotations

import pytest

from bedplate.domain.money.cost_estimate import BudgetStatus, CostEstimate, cost_warnings, estimate_cost

ONE_DOLLAR = CostEstimate("ml.m5.xlarge", 1, 3600, 1.0)


@pytest.mark.parametrize("change", [{"instance_type": "ml.m5.2xlarge"}, {"instance_count": 2}, {"max_runtime_s": 7200}])
def test_type_count_and_runtime_change_the_estimate(change: dict[str, object]) -> None:
    small = {"instance_type": "ml.m5.xlarge", "instance_count": 1, "max_runtime_s": 3600}
    base, more = estimate_cost("training", **small), estimate_cost("training", **{**small, **change})  # type: ignore[arg-type]
    assert base.max_usd is not None
    assert more.max_usd == pytest.approx(2 * base.max_usd, rel=0.01)


def test_a_job_within_every_limit_has_no_warnings() -> None:
    assert cost_warnings(ONE_DOLLAR, limit_usd=1.0, budgets=[BudgetStatus("b", 10, 2)]) == ()


def test_a_job_above_its_cost_limit_is_blocked() -> None:
    warnings = cost_warnings(ONE_DOLLAR, limit_usd=0.99, budgets=[])
    assert [warning.is_blocking for warning in warnings] == [True]
    assert "$1.00" in warnings[0].reason


def test_an_unknown_price_is_blocked_by_a_cost_limit() -> None:
    unknown = CostEstimate("ml.x9.tiny", 1, 3600, None)
    assert [warning.is_blocking for warning in cost_warnings(unknown, limit_usd=5, budgets=[])] == [True]
    assert cost_warnings(unknown, limit_usd=None, budgets=[]) == ()


def test_a_used_up_budget_blocks_and_a_nearly_used_up_one_warns() -> None:
    warnings = cost_warnings(
        ONE_DOLLAR, limit_usd=None, budgets=[BudgetStatus("near", 10, 9.5), BudgetStatus("gone", 10, 10)]
    )
    assert [(warning.is_blocking, warning.reason.split()[1]) for warning in warnings] == [
        (True, "gone"),
        (False, "near"),
    ]
