"""Trainings are logged as MLflow runs, listed and compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bedplate.cli.pages.runs import draw_bars, render
from bedplate.errors import JobFailed, NotFound, UsageError
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.training import runs
from bedplate.workflows.training.train import train
from bedplate.workflows.training.training_plan import TrainRequest, plan
from builders import a_spec
from fakes import FakeStackContext, RecordingReporter, failing_work
from training_stack import build_training_stack

SPEC = a_spec(training={"hyperparameters": {"max_iter": 100}, "max_usd": 5})


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    return build_training_stack(tmp_path, SPEC)


def train_churn(stack: FakeStackContext, **overrides: str) -> None:
    """Trains `churn` with these hyperparameters; its train_auc is 0.<max_iter>."""
    request = TrainRequest("churn", stack.project_dir / "data.parquet", overrides)
    training_plan = plan(stack, request, null_reporter)
    stack.jobs.logs[training_plan.job_name] = [f"metric: train_auc=0.{overrides.get('max_iter', '100')}"]
    train(stack, training_plan, null_reporter)


def test_a_training_is_logged_with_parameters_metrics_and_lineage(stack: FakeStackContext) -> None:
    train_churn(stack, max_iter="50")
    (stored,) = runs.list_runs(stack, "churn")
    package = stack.registry.get("bedplate-local-churn", 1)
    assert (stored.name, stored.status, stored.job) == ("churn:1", "FINISHED", package.metadata["training_job"])
    assert stored.params == {"max_iter": "50", "seed": "0"}
    assert stored.metrics["train_auc"] == 0.5
    assert stored.metrics["billable_seconds"] == 12.0
    for tag in ("data_sha256", "code_commit", "code_sha256", "image_uri", "data_uri", "code_uri"):
        assert stored.tags[tag] == package.metadata[tag]
    assert stored.tags["artifact_uri"] == package.artifact_uri


def test_a_failed_training_is_logged_with_its_reason(stack: FakeStackContext) -> None:
    stack.jobs.work = failing_work("ValueError: boom")
    with pytest.raises(JobFailed):
        train_churn(stack)
    (stored,) = runs.list_runs(stack, "churn")
    assert (stored.status, stored.tags["failure"]) == ("FAILED", "ValueError: boom")
    assert "version" not in stored.tags


def test_an_unreachable_server_gives_a_warning_and_fails_no_training(stack: FakeStackContext) -> None:
    stack.experiments.is_unreachable = True
    reporter = RecordingReporter()
    request = TrainRequest("churn", stack.project_dir / "data.parquet", {})
    result = train(stack, plan(stack, request, null_reporter), reporter)
    assert result.package is not None
    assert any("MLflow does not answer" in event["text"] for event in reporter.events_of("warning"))


def test_two_runs_differ_in_the_changed_parameters(stack: FakeStackContext) -> None:
    train_churn(stack, max_iter="50")
    train_churn(stack, max_iter="60")
    comparison = runs.compare_runs(stack, "churn", ("1", "churn:2"))
    assert [row.name for row in comparison.params if row.is_different] == ["max_iter"]
    assert {row.name: row.values for row in comparison.metrics}["train_auc"] == (0.5, 0.6)
    assert [run.name for run in runs.compare_runs(stack, "churn", ()).runs] == ["churn:1", "churn:2"], "the newest two"
    page = render("churn", comparison)
    assert page.count("<svg") == 1
    assert "0.6 best" in page


def test_the_best_bar_follows_the_direction_of_the_metric() -> None:
    assert "0.2 best" in draw_bars("log_loss", ["a", "b", "c"], [0.2, 0.3, None])
    assert "0.3 best" in draw_bars("auc", ["a", "b", "c"], [0.2, 0.3, None])
    assert "no value" in draw_bars("auc", ["a", "b"], [0.2, None])


def test_a_run_is_found_by_version_job_and_beginning_of_its_id(stack: FakeStackContext) -> None:
    train_churn(stack)
    train_churn(stack, max_iter="50")
    job = stack.registry.get("bedplate-local-churn", 2).metadata["training_job"]
    assert (
        runs.find_run(stack, "churn", "2")
        == runs.find_run(stack, "churn", job)
        == runs.find_run(stack, "churn", "run-2")
    )
    with pytest.raises(UsageError, match="2 run ids start with"):
        runs.find_run(stack, "churn", "run-")
    with pytest.raises(NotFound, match="has no run 'x'"):
        runs.find_run(stack, "churn", "x")
    with pytest.raises(NotFound):
        runs.find_run(stack, "nope", "1")


def test_comparing_a_single_run_is_an_error(stack: FakeStackContext) -> None:
    train_churn(stack)
    with pytest.raises(NotFound, match="needs two runs of churn, found 1"):
        runs.compare_runs(stack, "churn", ())


def test_holdout_metrics_are_added_to_the_run(stack: FakeStackContext) -> None:
    train_churn(stack)
    package = stack.registry.get("bedplate-local-churn", 1)
    runs.log_evaluation(stack, null_reporter, model="churn", package=package, metrics={"auc": 0.7}, verdict="PASS")
    (stored,) = runs.list_runs(stack, "churn")
    assert (stored.metrics["auc"], stored.tags["verdict"]) == (0.7, "PASS")
    unknown = replace(package, metadata={})
    runs.log_evaluation(stack, null_reporter, model="churn", package=unknown, metrics={"auc": 0.1}, verdict="PASS")
    assert runs.list_runs(stack, "churn")[0].metrics["auc"] == 0.7
