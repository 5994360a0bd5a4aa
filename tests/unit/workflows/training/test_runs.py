from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bedplate.cli.pages.runs import bars, render
from bedplate.errors import JobFailed, NotFound, UsageError
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.training import runs
from bedplate.workflows.training.train import train
from bedplate.workflows.training.training_plan import TrainRequest, plan
from builders import a_platform, a_spec
from fakes import FakeStackContext, Heard, refuse
from unit.workflows.training.test_train import write

SPEC = a_spec(training={"hyperparameters": {"max_iter": 100}, "max_usd": 5})


@pytest.fixture
def at(tmp_path: Path) -> FakeStackContext:
    folder = tmp_path / "models" / "churn"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text("import os; print(os.environ['SM_MODEL_DIR'])")
    (folder / "model.yaml").write_text("name: churn")
    write(tmp_path / "data.parquet", 500)
    return a_platform(tmp_path, SPEC)


def run(at: FakeStackContext, **overrides: str) -> None:
    request = TrainRequest("churn", at.project_dir / "data.parquet", overrides)
    ours = plan(at, request, null_reporter)
    at.jobs.logs[ours.job_name] = [f"metric: train_auc=0.{overrides.get('max_iter', '100')}"]
    train(at, ours, null_reporter)


def test_a_training_is_kept_with_parameters_figures_and_where_it_comes_from(at: FakeStackContext) -> None:
    run(at, max_iter="50")
    (kept,) = runs.list_runs(at, "churn")
    package = at.registry.get("bedplate-local-churn", 1)
    assert (kept.name, kept.status, kept.job) == ("churn:1", "FINISHED", package.metadata["training_job"])
    assert kept.params == {"max_iter": "50", "seed": "0"}
    assert kept.metrics["train_auc"] == 0.5
    assert kept.metrics["billable_seconds"] == 12.0
    for told in ("data_sha256", "code_commit", "code_sha256", "image_uri", "data_uri", "code_uri"):
        assert kept.tags[told] == package.metadata[told]
    assert kept.tags["artifact_uri"] == package.artifact_uri


def test_a_training_that_failed_is_kept_with_its_reason(at: FakeStackContext) -> None:
    at.jobs.work = refuse("ValueError: boom")
    with pytest.raises(JobFailed):
        run(at)
    (kept,) = runs.list_runs(at, "churn")
    assert (kept.status, kept.tags["failure"]) == ("FAILED", "ValueError: boom")
    assert "version" not in kept.tags


def test_a_server_that_does_not_answer_fails_no_training_and_is_said(at: FakeStackContext) -> None:
    at.experiments.broken = True
    heard = Heard()
    request = TrainRequest("churn", at.project_dir / "data.parquet", {})
    done = train(at, plan(at, request, null_reporter), heard)
    assert done.package is not None
    assert any("MLflow does not answer" in told["text"] for told in heard.of("warning"))


def test_two_runs_differ_where_they_were_made_to(at: FakeStackContext) -> None:
    run(at, max_iter="50")
    run(at, max_iter="60")
    found = runs.compare(at, "churn", ("1", "churn:2"))
    assert [row.name for row in found.params if row.differs] == ["max_iter"]
    assert {row.name: row.values for row in found.metrics}["train_auc"] == (0.5, 0.6)
    assert [each.name for each in runs.compare(at, "churn", ()).runs] == ["churn:1", "churn:2"], "the newest two"
    page = render("churn", found)
    assert page.count("<svg") == 1
    assert "0.6 best" in page


def test_the_best_bar_follows_the_figures_direction() -> None:
    assert "0.2 best" in bars("log_loss", ["a", "b", "c"], [0.2, 0.3, None])
    assert "0.3 best" in bars("auc", ["a", "b", "c"], [0.2, 0.3, None])
    assert "no figure" in bars("auc", ["a", "b"], [0.2, None])


def test_a_run_is_found_by_version_job_and_beginning_of_its_id(at: FakeStackContext) -> None:
    run(at)
    run(at, max_iter="50")
    job = at.registry.get("bedplate-local-churn", 2).metadata["training_job"]
    assert runs.find(at, "churn", "2") == runs.find(at, "churn", job) == runs.find(at, "churn", "run-2")
    with pytest.raises(UsageError, match="beginning of 2 runs"):
        runs.find(at, "churn", "run-")
    with pytest.raises(NotFound, match="no run 'x'"):
        runs.find(at, "churn", "x")
    with pytest.raises(NotFound):
        runs.find(at, "nope", "1")


def test_one_run_is_nothing_to_compare(at: FakeStackContext) -> None:
    run(at)
    with pytest.raises(NotFound, match="needs two runs; it has 1"):
        runs.compare(at, "churn", ())


def test_the_figures_of_the_holdout_join_the_run(at: FakeStackContext) -> None:
    run(at)
    package = at.registry.get("bedplate-local-churn", 1)
    runs.keep_evaluation(at, null_reporter, model="churn", package=package, metrics={"auc": 0.7}, verdict="PASS")
    (kept,) = runs.list_runs(at, "churn")
    assert (kept.metrics["auc"], kept.tags["verdict"]) == (0.7, "PASS")
    unknown = replace(package, metadata={})
    runs.keep_evaluation(at, null_reporter, model="churn", package=unknown, metrics={"auc": 0.1}, verdict="PASS")
    assert runs.list_runs(at, "churn")[0].metrics["auc"] == 0.7
