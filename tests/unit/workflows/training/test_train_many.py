"""Trainings of several models and hyperparameters run in parallel within one cost limit."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from bedplate.cli.release.train import parse_sources
from bedplate.errors import JobFailed, OverBudget, UsageError
from bedplate.ports import BudgetState, TrainingRequest
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.training.train_many import BatchResult, TrainingBatch, expand_grid, plan_all, train_all
from builders import a_spec
from fakes import FakeStackContext
from training_stack import build_training_stack

TUNED: dict[str, Any] = {"training": {"hyperparameters": {"max_iter": 100, "depth": 3}, "max_usd": 5}}


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    return build_training_stack(tmp_path, a_spec(**TUNED), a_spec(name="fraud", **TUNED))


def plan_batch(
    stack: FakeStackContext, *models: str, limit_usd: float | None = None, **values: list[str]
) -> TrainingBatch:
    data = dict.fromkeys(models, stack.project_dir / "data.parquet")
    return plan_all(stack, models, data, expand_grid(values), null_reporter, limit_usd=limit_usd)


def train_batch(stack: FakeStackContext, batch: TrainingBatch, **options: Any) -> tuple[BatchResult, ...]:
    return train_all(stack, batch, lambda _: null_reporter, **options)


def test_every_combination_of_every_model_becomes_a_version(stack: FakeStackContext) -> None:
    results = train_batch(stack, plan_batch(stack, "churn", "fraud", max_iter=["50", "60"], depth=["3", "4"]))
    assert len(results) == 8
    assert all(r.result and r.result.package for r in results)
    assert (
        len(stack.registry.packages["bedplate-local-churn"])
        == len(stack.registry.packages["bedplate-local-fraud"])
        == 4
    )
    combinations = {(r.hyperparameters["max_iter"], r.hyperparameters["depth"]) for r in stack.jobs.trainings.values()}
    assert combinations == {("50", "3"), ("50", "4"), ("60", "3"), ("60", "4")}


def test_a_failed_training_does_not_stop_the_others(stack: FakeStackContext) -> None:
    def work(request: TrainingRequest) -> None:
        if request.hyperparameters["max_iter"] == "50":
            raise JobFailed("ValueError: boom")

    stack.jobs.work = work
    first, second = train_batch(stack, plan_batch(stack, "churn", max_iter=["50", "60"]), parallel=1)
    assert isinstance(first.error, JobFailed)
    assert first.result is None
    assert second.result is not None
    assert second.error is None


@pytest.mark.parametrize("parallel", [1, 3])
def test_at_most_the_requested_number_runs_in_parallel(stack: FakeStackContext, parallel: int) -> None:
    lock, running, maximum = threading.Lock(), [0], [0]
    barrier = threading.Barrier(parallel, timeout=20)

    def work(request: TrainingRequest) -> None:
        with lock:
            running[0] += 1
            maximum[0] = max(maximum[0], running[0])
        barrier.wait()
        with lock:
            running[0] -= 1

    stack.jobs.work = work
    train_batch(stack, plan_batch(stack, "churn", max_iter=["1", "2", "3", "4", "5", "6"]), parallel=parallel)
    assert maximum == [parallel]


def test_the_limit_on_the_total_cost_is_checked_before_any_upload(stack: FakeStackContext) -> None:
    batch = plan_batch(stack, "churn", max_iter=["50", "60"], limit_usd=0.3)
    assert batch.max_usd is not None
    assert batch.max_usd == pytest.approx(2 * (batch.plans[0].cost.max_usd or 0))
    with pytest.raises(OverBudget, match=r"together they may cost \$0\.46, and --max-usd is \$0\.30") as error:
        train_batch(stack, batch)
    assert error.value.exit_code == 8
    assert not stack.objects.puts


def test_the_budget_is_compared_with_the_sum_of_all_trainings(stack: FakeStackContext) -> None:
    stack.costs.budgets = [BudgetState("bedplate-local-churn", 10, 9.6, None, ())]
    assert plan_batch(stack, "churn").warnings == ()
    (warning,) = plan_batch(stack, "churn", max_iter=["50", "60"]).warnings
    assert not warning.is_blocking
    assert "may cost $0.46" in warning.reason


def test_existing_trainings_add_no_cost(stack: FakeStackContext) -> None:
    train_batch(stack, plan_batch(stack, "churn", max_iter=["50"]))
    assert plan_batch(stack, "churn", max_iter=["50", "60"]).max_usd == pytest.approx(0.23)


def test_too_many_combinations_are_rejected(stack: FakeStackContext) -> None:
    with pytest.raises(UsageError, match="65 trainings requested; at most 64"):
        plan_batch(stack, "churn", max_iter=[str(i) for i in range(65)])


@pytest.mark.parametrize(
    ("models", "data", "dataset", "message"),
    [
        (("a",), (), None, "Expected either --data FILE or --dataset"),
        (("a",), ("x",), "latest", "Expected either --data FILE or --dataset"),
        (("a", "b"), ("x",), None, "expected MODEL=FILE"),
        (("a", "b"), ("a=x",), None, "No --data for b"),
        (("a",), ("x", "y"), None, "a already has a file"),
    ],
)
def test_data_that_does_not_match_the_models_is_an_error(
    models: tuple[str, ...], data: tuple[str, ...], dataset: str | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        parse_sources(models, data, dataset)


def test_each_model_gets_its_own_file() -> None:
    assert parse_sources(("a", "b"), ("b=2.csv", "a=1.csv"), None) == {"a": Path("1.csv"), "b": Path("2.csv")}
