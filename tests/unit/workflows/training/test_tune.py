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
from builders import a_platform, a_spec
from fakes import FakeStackContext, Heard, refuse
from unit.workflows.training.test_train import write

DECLARED: dict[str, Any] = {
    "hyperparameters": {"rate": 0.1, "depth": 3},
    "max_usd": 5,
    "tuning": {"ranges": {"rate": "0.01:0.3:log"}, "objective": "validation_auc", "trials": 3, "set": {"depth": 4}},
}


@pytest.fixture
def at(tmp_path: Path) -> FakeStackContext:
    folder = tmp_path / "models" / "churn"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text("import os; print(os.environ['SM_MODEL_DIR'])")
    (folder / "model.yaml").write_text("name: churn")
    write(tmp_path / "data.parquet", 500)
    return a_platform(tmp_path, a_spec(training=DECLARED))


def planned(at: FakeStackContext, **changes: Any) -> TunePlan:
    return plan(at, replace(TuneRequest("churn", at.project_dir / "data.parquet", {}, {}), **changes), null_reporter)


def tuned(at: FakeStackContext, **changes: Any) -> TuneResult:
    return tune(at, planned(at, **changes), null_reporter)


def test_the_best_trial_becomes_a_version_with_its_own_parameters(at: FakeStackContext) -> None:
    done = tuned(at)
    assert done.best is not None
    assert done.registered is not None
    package = done.registered.package
    assert package is not None
    assert package.metadata["training_job"] == done.best.job == done.job.trials[2].job
    assert '"rate": "0.01"' in package.metadata["hyperparameters"]
    assert '"depth": "4"' in package.metadata["hyperparameters"]
    assert done.registered.metrics == {"validation_auc": 0.3}
    assert [p.version for p in at.registry.versions("bedplate-local-churn")] == [1], "and no other one"


def test_the_smallest_is_best_where_less_is_better(at: FakeStackContext) -> None:
    done = tuned(at, objective="validation_log_loss")
    assert done.best == done.job.trials[0]
    assert not next(iter(at.jobs.tunings.values())).maximize


def test_every_trial_is_kept_as_a_run_of_its_tuning(at: FakeStackContext) -> None:
    done = tuned(at)
    held = runs.list_runs(at, "churn")
    assert {run.job for run in held} == {trial.job for trial in done.job.trials}
    assert {run.tags["tuning"] for run in held} == {done.job.name}
    assert sorted(run.metrics["validation_auc"] for run in held) == [0.1, 0.2, 0.3]


def test_the_same_again_takes_up_what_there_is(at: FakeStackContext) -> None:
    first, again = tuned(at), tuned(at)
    assert again.job == first.job
    assert len(at.jobs.tunings) == 1
    assert len(at.registry.held["bedplate-local-churn"]) == 1
    assert planned(at, trials=4).name != planned(at).name


def test_the_command_line_goes_before_model_yaml(at: FakeStackContext) -> None:
    at.specs["churn"] = a_spec(training={**DECLARED, "tuning": {**DECLARED["tuning"], "set": {}}})
    tuned(at, ranges={"depth": parse_range("2:6")}, trials=2, parallel=7, strategy="Random", seed=9)
    (asked,) = at.jobs.tunings.values()
    assert list(asked.ranges) == ["depth"]
    assert (asked.trials, asked.parallel, asked.strategy, asked.seed) == (2, 2, "Random", 9)


def test_a_grid_has_as_many_trials_as_points(at: FakeStackContext) -> None:
    ranges = {"rate": parse_range("0.1,0.2,0.3")}
    assert planned(at, ranges=ranges, strategy="Grid").trials == 3
    with pytest.raises(UsageError, match="a grid takes values"):
        planned(at, strategy="Grid")


def test_all_trials_together_are_bounded_before_anything_is_changed(at: FakeStackContext) -> None:
    with pytest.raises(OverBudget, match=r"all trials together may cost \$0\.69, and the limit is \$0\.50") as refused:
        tuned(at, max_usd=0.5)
    assert refused.value.exit_code == 8
    assert not at.objects.puts


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ranges": {"nope": parse_range("1:2")}}, "declares no 'nope'"),
        ({"settings": {"rate": "0.5"}}, "rate is both set and tuned"),
    ],
)
def test_what_does_not_fit_is_said(at: FakeStackContext, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        planned(at, **changes)


def test_without_a_declaration_ranges_and_objective_are_asked_for(at: FakeStackContext) -> None:
    at.specs["churn"] = a_spec(training={"hyperparameters": {"rate": 0.1}})
    with pytest.raises(UsageError, match="What to tune for"):
        planned(at)
    with pytest.raises(UsageError, match="Between which values"):
        planned(at, objective="validation_auc")


def test_a_tuning_without_a_trial_that_ended_well_sends_to_a_log(at: FakeStackContext) -> None:
    at.jobs.work = refuse("boom")
    with pytest.raises(JobFailed, match="no trial gave 'validation_auc'") as failed:
        tuned(at)
    assert failed.value.next_step is not None
    assert failed.value.next_step.startswith("bedplate models log")
    assert {run.status for run in runs.list_runs(at, "churn")} == {"FAILED"}


def test_trials_are_told_as_they_end(at: FakeStackContext) -> None:
    heard = Heard()
    tune(at, planned(at), heard)
    assert [told["value"] for told in heard.of("trial")] == [0.1, 0.2, 0.3]
