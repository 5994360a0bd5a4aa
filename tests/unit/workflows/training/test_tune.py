"""A tuning runs trials within its limits and registers the best one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedplate.errors import JobFailed, OverBudget, UsageError
from bedplate.settings import parse_range
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.training import runs
from bedplate.workflows.training.tune import TunePlan, TuneRequest, TuneResult, plan, tune
from builders import a_spec
from fakes import FakeStackContext, RecordingReporter, failing_work
from training_stack import build_training_stack

DECLARED: dict[str, Any] = {
    "hyperparameters": {"rate": 0.1, "depth": 3},
    "max_usd": 5,
    "tuning": {"ranges": {"rate": "0.01:0.3:log"}, "objective": "validation_auc", "trials": 3, "set": {"depth": 4}},
}


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    return build_training_stack(tmp_path, a_spec(training=DECLARED))


def build_plan(stack: FakeStackContext, **changes: Any) -> TunePlan:
    return plan(
        stack, replace(TuneRequest("churn", stack.project_dir / "data.parquet", {}, {}), **changes), null_reporter
    )


def run_tuning(stack: FakeStackContext, **changes: Any) -> TuneResult:
    return tune(stack, build_plan(stack, **changes), null_reporter)


def test_the_best_trial_becomes_a_version_with_its_own_parameters(stack: FakeStackContext) -> None:
    result = run_tuning(stack)
    assert result.best is not None
    assert result.best_result is not None
    package = result.best_result.package
    assert package is not None
    assert package.metadata["training_job"] == result.best.job == result.job.trials[2].job
    assert '"rate": "0.01"' in package.metadata["hyperparameters"]
    assert '"depth": "4"' in package.metadata["hyperparameters"]
    assert result.best_result.metrics == {"validation_auc": 0.3}
    assert [p.version for p in stack.registry.list_versions("bedplate-local-churn")] == [1], "and no other one"


def test_the_smallest_value_of_a_loss_is_the_best(stack: FakeStackContext) -> None:
    result = run_tuning(stack, objective="validation_log_loss")
    assert result.best == result.job.trials[0]
    assert not next(iter(stack.jobs.tunings.values())).maximize


def test_every_trial_is_logged_as_a_run_of_its_tuning(stack: FakeStackContext) -> None:
    result = run_tuning(stack)
    logged_runs = runs.list_runs(stack, "churn")
    assert {run.job for run in logged_runs} == {trial.job for trial in result.job.trials}
    assert {run.tags["tuning"] for run in logged_runs} == {result.job.name}
    assert sorted(run.metrics["validation_auc"] for run in logged_runs) == [0.1, 0.2, 0.3]


def test_the_same_tuning_again_resumes_the_existing_job(stack: FakeStackContext) -> None:
    first, again = run_tuning(stack), run_tuning(stack)
    assert again.job == first.job
    assert len(stack.jobs.tunings) == 1
    assert len(stack.registry.packages["bedplate-local-churn"]) == 1
    assert build_plan(stack, trials=4).name != build_plan(stack).name


def test_command_line_overrides_model_yaml(stack: FakeStackContext) -> None:
    stack.specs["churn"] = a_spec(training={**DECLARED, "tuning": {**DECLARED["tuning"], "set": {}}})
    run_tuning(stack, ranges={"depth": parse_range("2:6")}, trials=2, parallel=7, strategy="Random", seed=9)
    (request,) = stack.jobs.tunings.values()
    assert list(request.ranges) == ["depth"]
    assert (request.max_trials, request.max_parallel, request.strategy, request.seed) == (2, 2, "Random", 9)


def test_a_grid_has_as_many_trials_as_points(stack: FakeStackContext) -> None:
    ranges = {"rate": parse_range("0.1,0.2,0.3")}
    assert build_plan(stack, ranges=ranges, strategy="Grid").trials == 3
    with pytest.raises(UsageError, match="a grid takes comma-separated values"):
        build_plan(stack, strategy="Grid")


def test_the_limit_on_the_cost_of_all_trials_is_checked_before_any_upload(stack: FakeStackContext) -> None:
    with pytest.raises(OverBudget, match=r"all trials together may cost \$0\.69, and the limit is \$0\.50") as error:
        run_tuning(stack, max_usd=0.5)
    assert error.value.exit_code == 8
    assert not stack.objects.puts


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ranges": {"nope": parse_range("1:2")}}, "declares no 'nope'"),
        ({"settings": {"rate": "0.5"}}, "rate is both set and tuned"),
    ],
)
def test_inconsistent_requests_are_errors(stack: FakeStackContext, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_plan(stack, **changes)


def test_missing_ranges_and_objective_are_errors(stack: FakeStackContext) -> None:
    stack.specs["churn"] = a_spec(training={"hyperparameters": {"rate": 0.1}})
    with pytest.raises(UsageError, match="No objective"):
        build_plan(stack)
    with pytest.raises(UsageError, match="No ranges"):
        build_plan(stack, objective="validation_auc")


def test_a_tuning_without_a_completed_trial_names_a_log(stack: FakeStackContext) -> None:
    stack.jobs.work = failing_work("boom")
    with pytest.raises(JobFailed, match="no trial reported 'validation_auc'") as failed:
        run_tuning(stack)
    assert failed.value.next_step is not None
    assert failed.value.next_step.startswith("bedplate models log")
    assert {run.status for run in runs.list_runs(stack, "churn")} == {"FAILED"}


def test_trials_are_reported_as_they_end(stack: FakeStackContext) -> None:
    reporter = RecordingReporter()
    tune(stack, build_plan(stack), reporter)
    assert [event["value"] for event in reporter.events_of("trial")] == [0.1, 0.2, 0.3]
