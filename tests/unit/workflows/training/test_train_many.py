from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from bedplate.cli.release.train import sources_of
from bedplate.errors import JobFailed, OverBudget, UsageError
from bedplate.ports import BudgetState, TrainingRequest
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.training.train_many import BatchResult, TrainingBatch, grid, plan_all, train_all
from builders import a_platform, a_spec
from fakes import FakeStackContext
from unit.workflows.training.test_train import write

TUNED: dict[str, Any] = {"training": {"hyperparameters": {"max_iter": 100, "depth": 3}, "max_usd": 5}}


@pytest.fixture
def at(tmp_path: Path) -> FakeStackContext:
    folder = tmp_path / "models" / "churn"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text("import os; print(os.environ['SM_MODEL_DIR'])")
    (folder / "model.yaml").write_text("name: churn")
    shutil.copytree(folder, tmp_path / "models" / "fraud")
    write(tmp_path / "data.parquet", 500)
    return a_platform(tmp_path, a_spec(**TUNED), a_spec(name="fraud", **TUNED))


def planned(at: FakeStackContext, *models: str, limit_usd: float | None = None, **values: list[str]) -> TrainingBatch:
    data = dict.fromkeys(models, at.project_dir / "data.parquet")
    return plan_all(at, models, data, grid(values), null_reporter, limit_usd=limit_usd)


def trained(at: FakeStackContext, several: TrainingBatch, **options: Any) -> tuple[BatchResult, ...]:
    return train_all(at, several, lambda _: null_reporter, **options)


def test_every_combination_of_every_model_becomes_a_version(at: FakeStackContext) -> None:
    ended = trained(at, planned(at, "churn", "fraud", max_iter=["50", "60"], depth=["3", "4"]))
    assert len(ended) == 8
    assert all(one.done and one.done.package for one in ended)
    assert len(at.registry.held["bedplate-local-churn"]) == len(at.registry.held["bedplate-local-fraud"]) == 4
    told = {(r.hyperparameters["max_iter"], r.hyperparameters["depth"]) for r in at.jobs.trainings.values()}
    assert told == {("50", "3"), ("50", "4"), ("60", "3"), ("60", "4")}


def test_one_that_fails_stops_no_other_one_and_is_named(at: FakeStackContext) -> None:
    def work(request: TrainingRequest) -> None:
        if request.hyperparameters["max_iter"] == "50":
            raise JobFailed("ValueError: boom")

    at.jobs.work = work
    first, second = trained(at, planned(at, "churn", max_iter=["50", "60"]), parallel=1)
    assert isinstance(first.error, JobFailed)
    assert first.done is None
    assert second.done is not None
    assert second.error is None


@pytest.mark.parametrize("parallel", [1, 3])
def test_no_more_run_at_once_than_asked_for(at: FakeStackContext, parallel: int) -> None:
    lock, now, most = threading.Lock(), [0], [0]
    all_there = threading.Barrier(parallel, timeout=20)

    def work(request: TrainingRequest) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        all_there.wait()
        with lock:
            now[0] -= 1

    at.jobs.work = work
    trained(at, planned(at, "churn", max_iter=["1", "2", "3", "4", "5", "6"]), parallel=parallel)
    assert most == [parallel]


def test_the_sum_is_bounded_before_anything_is_changed(at: FakeStackContext) -> None:
    several = planned(at, "churn", max_iter=["50", "60"], limit_usd=0.3)
    assert several.max_usd is not None
    assert several.max_usd == pytest.approx(2 * (several.plans[0].cost.max_usd or 0))
    with pytest.raises(OverBudget, match=r"together they may cost \$0\.46, and --max-usd is \$0\.30") as refused:
        trained(at, several)
    assert refused.value.exit_code == 8
    assert not at.objects.puts


def test_a_budget_is_held_against_all_of_them_together(at: FakeStackContext) -> None:
    at.costs.held = [BudgetState("bedplate-local-churn", 10, 9.6, None, ())]
    assert planned(at, "churn").objections == ()
    (warned,) = planned(at, "churn", max_iter=["50", "60"]).objections
    assert not warned.refused
    assert "may cost $0.46" in warned.reason


def test_what_was_trained_already_costs_nothing_again(at: FakeStackContext) -> None:
    trained(at, planned(at, "churn", max_iter=["50"]))
    assert planned(at, "churn", max_iter=["50", "60"]).max_usd == pytest.approx(0.23)


def test_too_many_combinations_are_refused(at: FakeStackContext) -> None:
    with pytest.raises(UsageError, match="65 trainings at once: at most 64"):
        planned(at, "churn", max_iter=[str(i) for i in range(65)])


@pytest.mark.parametrize(
    ("models", "data", "dataset", "said"),
    [
        (("a",), (), None, "either --data FILE or --dataset"),
        (("a",), ("x",), "latest", "either --data FILE or --dataset"),
        (("a", "b"), ("x",), None, "MODEL=FILE expected"),
        (("a", "b"), ("a=x",), None, "no data for b"),
        (("a",), ("x", "y"), None, "a file for a already"),
    ],
)
def test_data_that_does_not_fit_the_models_is_said(
    models: tuple[str, ...], data: tuple[str, ...], dataset: str | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        sources_of(models, data, dataset)


def test_each_model_gets_its_own_file() -> None:
    assert sources_of(("a", "b"), ("b=2.csv", "a=1.csv"), None) == {"a": Path("1.csv"), "b": Path("2.csv")}
