from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedplate.errors import GateFailed, JobFailed, NotFound, OverBudget, UsageError
from bedplate.ports import BudgetState
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.training.train import TrainResult, train
from bedplate.workflows.training.training_plan import TrainPlan, TrainRequest, plan
from builders import a_platform, a_spec
from fakes import FakeStackContext, Heard, refuse

TUNED = a_spec(training={"hyperparameters": {"max_iter": 100}, "max_usd": 5})


@pytest.fixture
def at(tmp_path: Path) -> FakeStackContext:
    folder = tmp_path / "models" / "churn"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text("import os; print(os.environ['SM_MODEL_DIR'])")
    (folder / "model.yaml").write_text("name: churn")
    write(tmp_path / "data.parquet", 500)
    return a_platform(tmp_path, TUNED)


def write(path: Path, rows: int, **changes: list[Any]) -> Path:
    start = datetime(2013, 1, 1)
    columns: Mapping[str, list[Any]] = {
        "id": [f"c{i}" for i in range(rows)],
        "at": [start + timedelta(hours=i) for i in range(rows)],
        "left": [i % 2 for i in range(rows)],
        "age": [float(i) for i in range(rows)],
        "calls": [i % 7 for i in range(rows)],
        "plan": ["pro" if i % 3 else "basic" for i in range(rows)],
        **changes,
    }
    pq.write_table(pa.table(dict(columns)), path)
    return path


def request(at: FakeStackContext, **changes: Any) -> TrainRequest:
    return replace(TrainRequest("churn", at.project_dir / "data.parquet", {}), **changes)


def planned(at: FakeStackContext, **changes: Any) -> TrainPlan:
    return plan(at, request(at, **changes), null_reporter)


def trained(at: FakeStackContext, **changes: Any) -> TrainResult:
    return train(at, planned(at, **changes), null_reporter)


def kinds(at: FakeStackContext) -> list[tuple[str, int | None]]:
    """Of the records about versions, not of those about data."""
    records = Ledger(at.objects, "ledger", at.clock).records()
    return [(r.kind, r.version) for r in records if r.kind != "registered-data"]


def test_a_training_ends_as_a_version_that_waits_and_as_a_record(at: FakeStackContext) -> None:
    done = trained(at)
    assert done.package is not None
    assert (done.package.version, done.package.approval) == (1, "PendingManualApproval")
    assert done.package.artifact_uri.endswith("/output/model.tar.gz")
    assert [r.kind for r in Ledger(at.objects, "ledger", at.clock).records()] == ["registered-data", "trained"]


def test_planning_changes_nothing(at: FakeStackContext) -> None:
    planned(at)
    assert not at.objects.puts
    assert not at.jobs.trainings


def test_the_holdout_is_uploaded_but_never_enters_the_job(at: FakeStackContext) -> None:
    done = trained(at)
    job = at.jobs.trainings[done.job.name]
    assert done.package is not None
    holdout = done.package.metadata["holdout_uri"]
    assert at.objects.exists(holdout)
    assert not [uri for uri in job.channels.values() if holdout.startswith(uri)]


def test_the_job_carries_tags_key_limits_and_parameters(at: FakeStackContext) -> None:
    done = trained(at, overrides={"max_iter": "50"}, seed=7)
    job = at.jobs.trainings[done.job.name]
    assert job.hyperparameters == {"max_iter": "50", "seed": "7"}
    assert job.tags["Model"] == "churn"
    assert set(job.tags) == {"Project", "Stack", "Model", "ModelVersion", "Owner", "CostCenter", "ManagedBy"}
    assert (job.kms_key_arn, job.max_runtime_s) == (at.outputs.kms_key_arn, 3600)


def test_the_same_training_again_finds_its_version_and_does_nothing(at: FakeStackContext) -> None:
    first, again = trained(at), trained(at)
    assert again.package == first.package
    assert len(at.jobs.trainings) == 1
    assert kinds(at) == [("trained", 1)]


@pytest.mark.parametrize("change", [{"seed": 1}, {"overrides": {"max_iter": "5"}}])
def test_another_setting_is_another_training(at: FakeStackContext, change: dict[str, Any]) -> None:
    trained(at)
    done = trained(at, **change)
    assert done.package is not None
    assert done.package.version == 2


def test_changed_code_is_another_training(at: FakeStackContext) -> None:
    first = planned(at).job_name
    (at.project_dir / "models" / "churn" / "train.py").write_text("# SM_MODEL_DIR")
    assert planned(at).job_name != first


def test_a_run_killed_while_the_job_ran_is_completed_by_the_same_command(at: FakeStackContext) -> None:
    train(at, planned(at), null_reporter, wait=False)
    assert kinds(at) == []
    done = trained(at)
    assert done.adopted
    assert len(at.jobs.trainings) == 1
    assert kinds(at) == [("trained", 1)]


def test_a_run_killed_between_registry_and_ledger_records_once(at: FakeStackContext) -> None:
    trained(at)
    at.objects.held = {u: b for u, b in at.objects.held.items() if not u.startswith("s3://ledger")}
    trained(at)
    trained(at)
    assert len(at.registry.held["bedplate-local-churn"]) == 1
    assert kinds(at) == [("trained", 1)]


def test_a_job_whose_artifact_was_destroyed_with_its_bucket_counts_as_none(at: FakeStackContext) -> None:
    first = trained(at)
    assert first.package is not None
    del at.objects.held[first.package.artifact_uri]
    again = trained(at)
    assert again.job.name.removesuffix("-2") == first.job.name.removesuffix("-1")
    assert (again.adopted, len(at.jobs.trainings)) == (False, 2)


def test_a_job_that_still_runs_is_followed_to_its_end(at: FakeStackContext) -> None:
    name = train(at, planned(at), null_reporter, wait=False).job.name
    finished = at.jobs.held[name]
    at.jobs.held[name] = replace(finished, status="InProgress", phase="Training", artifact_uri=None)
    at.jobs.logs[name] = ["epoch 1"]
    sleep = at.clock.sleep

    def and_finish(seconds: float) -> None:
        sleep(seconds)
        at.jobs.logs[name].append("metric: train_auc=0.75")
        at.jobs.held[name] = finished

    at.clock.sleep = and_finish  # type: ignore[method-assign]
    heard = Heard()
    done = train(at, planned(at), heard)
    assert done.metrics == {"train_auc": 0.75}
    assert [e["line"] for e in heard.of("log")] == ["epoch 1", "metric: train_auc=0.75"]
    assert [e["phase"] for e in heard.of("status")] == ["Training", "Completed"]


def test_a_script_that_raises_is_told_with_its_exception_and_line_and_where_the_log_is(at: FakeStackContext) -> None:
    at.jobs.work = refuse("ValueError: no such column\ntrain.py exited with code 1")
    at.jobs.logs[planned(at).job_name] = ['  File "/opt/ml/code/train.py", line 12, in <module>', "ValueError"]
    with pytest.raises(JobFailed, match="ValueError: no such column") as failed:
        trained(at)
    assert failed.value.exit_code == 1
    assert failed.value.next_step is not None
    assert "models log" in failed.value.next_step
    assert failed.value.message.endswith("ValueError: no such column (train.py, line 12)")
    assert "\n" not in failed.value.message
    assert at.registry.held == {}
    assert kinds(at) == []


def test_after_a_failure_the_same_command_tries_again_under_the_next_name(at: FakeStackContext) -> None:
    at.jobs.work = refuse("boom")
    with pytest.raises(JobFailed):
        trained(at)
    at.jobs.work = lambda request: None
    assert trained(at).job.name.endswith("-2")


def test_a_training_that_may_cost_too_much_is_refused_before_anything_is_uploaded(at: FakeStackContext) -> None:
    at.specs["churn"] = a_spec(training={"hyperparameters": {"max_iter": 100}, "max_usd": 0.01})
    with pytest.raises(OverBudget, match=r"training\.max_usd") as refused:
        trained(at)
    assert refused.value.exit_code == 8
    assert not at.objects.puts
    assert not at.jobs.trainings


def test_a_used_up_budget_refuses_and_another_models_does_not(at: FakeStackContext) -> None:
    at.costs.held = [BudgetState("bedplate-local-fraud", 10, 12, None, ())]
    assert planned(at).objections == ()
    at.costs.held.append(BudgetState("bedplate-local-churn", 10, 12, None, ()))
    with pytest.raises(OverBudget, match="used up"):
        trained(at)


def test_what_ran_already_is_registered_even_when_the_budget_is_gone(at: FakeStackContext) -> None:
    train(at, planned(at), null_reporter, wait=False)
    at.costs.held = [BudgetState("bedplate-local-churn", 10, 12, None, ())]
    assert trained(at).package is not None


def test_data_that_breaks_the_contract_is_refused_by_column(at: FakeStackContext) -> None:
    write(at.project_dir / "data.parquet", 500, calls=[-1] * 500)
    with pytest.raises(GateFailed, match="calls: range, expected at least 0 in 500 rows"):
        planned(at)


def test_data_that_is_not_there_is_said(at: FakeStackContext) -> None:
    with pytest.raises(NotFound, match=r"gone\.parquet"):
        planned(at, data=at.project_dir / "gone.parquet")


def test_a_file_that_is_no_table_is_said(at: FakeStackContext) -> None:
    (at.project_dir / "data.parquet").write_bytes(b"hello")
    with pytest.raises(UsageError, match="cannot be read"):
        planned(at)


def test_a_model_that_the_stack_does_not_hold_names_the_way_there(at: FakeStackContext) -> None:
    at.outputs = at.outputs.model_copy(update={"models": ("fraud",)})
    with pytest.raises(NotFound, match="has no") as missing:
        planned(at)
    assert missing.value.next_step is not None
    assert "bedplate up" in missing.value.next_step


def test_a_folder_without_git_is_said_to_be_of_unknown_state(at: FakeStackContext) -> None:
    assert planned(at).lineage.source.dirty == "unknown"
    assert planned(at).lineage.source.commit == "none"


def test_data_in_the_models_folder_is_no_code(at: FakeStackContext) -> None:
    before = planned(at).code
    write(at.project_dir / "models" / "churn" / "data.parquet", 500)
    (at.project_dir / "models" / "churn" / ".notes").write_text("hidden")
    assert planned(at).code == before


def test_two_who_start_the_same_training_at_once_share_the_job(at: FakeStackContext) -> None:
    ours = planned(at)
    trained(at)
    assert train(at, ours, null_reporter).job.name == ours.job_name
    assert len(at.registry.held["bedplate-local-churn"]) == 1


def test_uncommitted_code_is_warned_of_before_anybody_waits_for_approval(at: FakeStackContext) -> None:
    ours = planned(at)
    lineage = replace(ours.lineage, source=replace(ours.lineage.source, dirty="true"))
    heard = Heard()
    train(at, replace(ours, lineage=lineage), heard)
    assert "not committed" in heard.of("warning")[0]["text"]


def test_a_job_that_was_stopped_says_in_which_phase(at: FakeStackContext) -> None:
    name = train(at, planned(at), null_reporter, wait=False).job.name
    at.jobs.held[name] = replace(at.jobs.held[name], status="InProgress", phase="Training")
    ours = planned(at)
    stopped = replace(at.jobs.held[name], status="Stopped", phase="MaxRuntimeExceeded")
    at.jobs.held[name] = stopped
    with pytest.raises(JobFailed, match="MaxRuntimeExceeded"):
        train(at, ours, null_reporter)


@pytest.mark.parametrize(
    ("declared", "asked", "wait_s"),
    [(None, None, None), (None, True, 7200), (9000, None, 9000), (9000, True, 9000), (9000, False, None)],
)
def test_spot_is_as_model_yaml_says_unless_the_command_says_otherwise(
    at: FakeStackContext, declared: int | None, asked: bool | None, wait_s: int | None
) -> None:
    spot = {"spot": {"max_wait_s": declared}} if declared else {}
    at.specs["churn"] = a_spec(training={"hyperparameters": {"max_iter": 100}, "max_usd": 5, **spot})
    done = trained(at, spot=asked)
    job = at.jobs.trainings[done.job.name]
    assert job.spot_max_wait_s == wait_s
    assert (job.checkpoint_uri is None) == (wait_s is None)


def test_another_attempt_finds_the_checkpoints_of_the_last_one_and_another_training_does_not(
    at: FakeStackContext,
) -> None:
    at.jobs.work = refuse("boom")
    for changes in ({}, {}, {"seed": 5}):
        with pytest.raises(JobFailed):
            trained(at, spot=True, **changes)
    first, second, other = (job.checkpoint_uri for job in at.jobs.trainings.values())
    assert first == second
    assert first != other


def test_spot_asked_for_or_not_is_the_same_training(at: FakeStackContext) -> None:
    assert planned(at, spot=True).job_name == planned(at).job_name


def test_a_wait_shorter_than_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match="at least max_runtime_s"):
        a_spec(training={"max_runtime_s": 600, "spot": {"max_wait_s": 599}})


def test_what_spot_saved_is_counted_as_sagemaker_counts_it(at: FakeStackContext) -> None:
    job = trained(at).job
    assert replace(job, training_s=500.0, billable_s=100.0).saved_pct == 80
    assert replace(job, training_s=100.0, billable_s=100.0).saved_pct is None
