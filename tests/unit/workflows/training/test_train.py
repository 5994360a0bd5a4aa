"""A training checks data and cost, runs or resumes its job, and registers a version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedplate.errors import GateFailed, JobFailed, NotFound, OverBudget, UsageError
from bedplate.ports import BudgetState
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.training.train import TrainResult, train
from bedplate.workflows.training.training_plan import TrainPlan, TrainRequest, plan
from builders import a_spec
from fakes import FakeStackContext, RecordingReporter, failing_work
from training_stack import build_training_stack, write_training_data

TUNED = a_spec(training={"hyperparameters": {"max_iter": 100}, "max_usd": 5})


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    return build_training_stack(tmp_path, TUNED)


def build_request(stack: FakeStackContext, **changes: Any) -> TrainRequest:
    return replace(TrainRequest("churn", stack.project_dir / "data.parquet", {}), **changes)


def build_plan(stack: FakeStackContext, **changes: Any) -> TrainPlan:
    return plan(stack, build_request(stack, **changes), null_reporter)


def run_training(stack: FakeStackContext, **changes: Any) -> TrainResult:
    return train(stack, build_plan(stack, **changes), null_reporter)


def version_events(stack: FakeStackContext) -> list[tuple[str, int | None]]:
    """(kind, version) of every record except those about data."""
    records = Ledger(stack.objects, "ledger", stack.clock).records()
    return [(r.kind, r.version) for r in records if r.kind != "data-registered"]


def test_a_training_registers_a_pending_version_and_is_recorded(stack: FakeStackContext) -> None:
    result = run_training(stack)
    assert result.package is not None
    assert (result.package.version, result.package.approval) == (1, "PendingManualApproval")
    assert result.package.artifact_uri.endswith("/output/model.tar.gz")
    assert [r.kind for r in Ledger(stack.objects, "ledger", stack.clock).records()] == ["data-registered", "trained"]


def test_planning_changes_nothing(stack: FakeStackContext) -> None:
    build_plan(stack)
    assert not stack.objects.puts
    assert not stack.jobs.trainings


def test_the_holdout_is_uploaded_but_is_not_an_input_of_the_job(stack: FakeStackContext) -> None:
    result = run_training(stack)
    job = stack.jobs.trainings[result.job.name]
    assert result.package is not None
    holdout = result.package.metadata["holdout_uri"]
    assert stack.objects.exists(holdout)
    assert not [uri for uri in job.channels.values() if holdout.startswith(uri)]


def test_the_job_has_tags_key_limits_and_hyperparameters(stack: FakeStackContext) -> None:
    result = run_training(stack, overrides={"max_iter": "50"}, seed=7)
    job = stack.jobs.trainings[result.job.name]
    assert job.hyperparameters == {"max_iter": "50", "seed": "7"}
    assert job.tags["Model"] == "churn"
    assert set(job.tags) == {"Project", "Stack", "Model", "ModelVersion", "Owner", "CostCenter", "ManagedBy"}
    assert (job.kms_key_arn, job.max_runtime_s) == (stack.outputs.kms_key_arn, 3600)


def test_repeating_a_training_returns_its_version_and_starts_no_job(stack: FakeStackContext) -> None:
    first_result, repeated = run_training(stack), run_training(stack)
    assert repeated.package == first_result.package
    assert len(stack.jobs.trainings) == 1
    assert version_events(stack) == [("trained", 1)]


@pytest.mark.parametrize("change", [{"seed": 1}, {"overrides": {"max_iter": "5"}}])
def test_another_hyperparameter_or_seed_starts_another_training(
    stack: FakeStackContext, change: dict[str, Any]
) -> None:
    run_training(stack)
    result = run_training(stack, **change)
    assert result.package is not None
    assert result.package.version == 2


def test_changed_code_starts_another_training(stack: FakeStackContext) -> None:
    first_result = build_plan(stack).job_name
    (stack.project_dir / "models" / "churn" / "train.py").write_text("# SM_MODEL_DIR")
    assert build_plan(stack).job_name != first_result


def test_a_run_killed_while_the_job_ran_is_completed_by_the_same_command(stack: FakeStackContext) -> None:
    train(stack, build_plan(stack), null_reporter, wait=False)
    assert version_events(stack) == []
    result = run_training(stack)
    assert result.is_existing_job
    assert len(stack.jobs.trainings) == 1
    assert version_events(stack) == [("trained", 1)]


def test_a_run_killed_before_its_ledger_record_is_recorded_once(stack: FakeStackContext) -> None:
    run_training(stack)
    stack.objects.contents = {u: b for u, b in stack.objects.contents.items() if not u.startswith("s3://ledger")}
    run_training(stack)
    run_training(stack)
    assert len(stack.registry.packages["bedplate-local-churn"]) == 1
    assert version_events(stack) == [("trained", 1)]


def test_a_job_whose_artifact_was_deleted_is_run_again(stack: FakeStackContext) -> None:
    first_result = run_training(stack)
    assert first_result.package is not None
    del stack.objects.contents[first_result.package.artifact_uri]
    repeated = run_training(stack)
    assert repeated.job.name.removesuffix("-2") == first_result.job.name.removesuffix("-1")
    assert (repeated.is_existing_job, len(stack.jobs.trainings)) == (False, 2)


def test_a_running_job_is_followed_until_it_ends(stack: FakeStackContext) -> None:
    name = train(stack, build_plan(stack), null_reporter, wait=False).job.name
    finished = stack.jobs.jobs[name]
    stack.jobs.jobs[name] = replace(finished, status="InProgress", phase="Training", artifact_uri=None)
    stack.jobs.logs[name] = ["epoch 1"]
    sleep = stack.clock.sleep

    def sleep_and_finish(seconds: float) -> None:
        sleep(seconds)
        stack.jobs.logs[name].append("metric: train_auc=0.75")
        stack.jobs.jobs[name] = finished

    stack.clock.sleep = sleep_and_finish  # type: ignore[method-assign]
    reporter = RecordingReporter()
    result = train(stack, build_plan(stack), reporter)
    assert result.metrics == {"train_auc": 0.75}
    assert [e["line"] for e in reporter.events_of("log")] == ["epoch 1", "metric: train_auc=0.75"]
    assert [e["phase"] for e in reporter.events_of("status")] == ["Training", "Completed"]


def test_a_failed_script_is_reported_with_exception_line_and_log(stack: FakeStackContext) -> None:
    stack.jobs.work = failing_work("ValueError: no such column\ntrain.py exited with code 1")
    stack.jobs.logs[build_plan(stack).job_name] = ['  File "/opt/ml/code/train.py", line 12, in <module>', "ValueError"]
    with pytest.raises(JobFailed, match="ValueError: no such column") as failed:
        run_training(stack)
    assert failed.value.exit_code == 1
    assert failed.value.next_step is not None
    assert "models log" in failed.value.next_step
    assert failed.value.message.endswith("ValueError: no such column (train.py, line 12)")
    assert "\n" not in failed.value.message
    assert stack.registry.packages == {}
    assert version_events(stack) == []


def test_after_a_failure_the_same_command_tries_again_under_the_next_name(stack: FakeStackContext) -> None:
    stack.jobs.work = failing_work("boom")
    with pytest.raises(JobFailed):
        run_training(stack)
    stack.jobs.work = lambda build_request: None
    assert run_training(stack).job.name.endswith("-2")


def test_a_training_above_its_cost_limit_is_rejected_before_any_upload(stack: FakeStackContext) -> None:
    stack.specs["churn"] = a_spec(training={"hyperparameters": {"max_iter": 100}, "max_usd": 0.01})
    with pytest.raises(OverBudget, match=r"training\.max_usd") as error:
        run_training(stack)
    assert error.value.exit_code == 8
    assert not stack.objects.puts
    assert not stack.jobs.trainings


def test_only_the_models_own_exhausted_budget_rejects_a_training(stack: FakeStackContext) -> None:
    stack.costs.budgets = [BudgetState("bedplate-local-fraud", 10, 12, None, ())]
    assert build_plan(stack).warnings == ()
    stack.costs.budgets.append(BudgetState("bedplate-local-churn", 10, 12, None, ()))
    with pytest.raises(OverBudget, match="used up"):
        run_training(stack)


def test_a_finished_job_is_registered_although_the_budget_is_exhausted(stack: FakeStackContext) -> None:
    train(stack, build_plan(stack), null_reporter, wait=False)
    stack.costs.budgets = [BudgetState("bedplate-local-churn", 10, 12, None, ())]
    assert run_training(stack).package is not None


def test_data_that_violates_the_contract_is_rejected_with_the_column(stack: FakeStackContext) -> None:
    write_training_data(stack.project_dir / "data.parquet", calls=[-1] * 500)
    with pytest.raises(GateFailed, match="calls: range, expected at least 0 in 500 rows"):
        build_plan(stack)


def test_missing_data_is_an_error(stack: FakeStackContext) -> None:
    with pytest.raises(NotFound, match=r"gone\.parquet"):
        build_plan(stack, data=stack.project_dir / "gone.parquet")


def test_a_file_that_is_not_a_table_is_an_error(stack: FakeStackContext) -> None:
    (stack.project_dir / "data.parquet").write_bytes(b"hello")
    with pytest.raises(UsageError, match="cannot be read"):
        build_plan(stack)


def test_a_model_missing_from_the_stack_names_the_next_step(stack: FakeStackContext) -> None:
    stack.outputs = stack.outputs.model_copy(update={"models": ("fraud",)})
    with pytest.raises(NotFound, match="has no") as missing:
        build_plan(stack)
    assert missing.value.next_step is not None
    assert "bedplate up" in missing.value.next_step


def test_a_folder_without_git_has_an_unknown_state(stack: FakeStackContext) -> None:
    assert build_plan(stack).lineage.source.dirty == "unknown"
    assert build_plan(stack).lineage.source.commit == "none"


def test_data_files_in_the_model_folder_are_not_part_of_the_code(stack: FakeStackContext) -> None:
    before = build_plan(stack).code
    write_training_data(stack.project_dir / "models" / "churn" / "data.parquet")
    (stack.project_dir / "models" / "churn" / ".notes").write_text("hidden")
    assert build_plan(stack).code == before


def test_concurrent_equal_trainings_share_one_job(stack: FakeStackContext) -> None:
    training_plan = build_plan(stack)
    run_training(stack)
    assert train(stack, training_plan, null_reporter).job.name == training_plan.job_name
    assert len(stack.registry.packages["bedplate-local-churn"]) == 1


def test_uncommitted_code_gives_a_warning_before_the_approval(stack: FakeStackContext) -> None:
    training_plan = build_plan(stack)
    lineage = replace(training_plan.lineage, source=replace(training_plan.lineage.source, dirty="true"))
    reporter = RecordingReporter()
    train(stack, replace(training_plan, lineage=lineage), reporter)
    assert "uncommitted changes" in reporter.events_of("warning")[0]["text"]


def test_the_error_of_a_stopped_job_names_its_phase(stack: FakeStackContext) -> None:
    name = train(stack, build_plan(stack), null_reporter, wait=False).job.name
    stack.jobs.jobs[name] = replace(stack.jobs.jobs[name], status="InProgress", phase="Training")
    training_plan = build_plan(stack)
    stopped = replace(stack.jobs.jobs[name], status="Stopped", phase="MaxRuntimeExceeded")
    stack.jobs.jobs[name] = stopped
    with pytest.raises(JobFailed, match="MaxRuntimeExceeded"):
        train(stack, training_plan, null_reporter)


@pytest.mark.parametrize(
    ("declared", "requested", "wait_s"),
    [(None, None, None), (None, True, 7200), (9000, None, 9000), (9000, True, 9000), (9000, False, None)],
)
def test_the_spot_option_overrides_model_yaml(
    stack: FakeStackContext, declared: int | None, requested: bool | None, wait_s: int | None
) -> None:
    spot = {"spot": {"max_wait_s": declared}} if declared else {}
    stack.specs["churn"] = a_spec(training={"hyperparameters": {"max_iter": 100}, "max_usd": 5, **spot})
    result = run_training(stack, spot=requested)
    job = stack.jobs.trainings[result.job.name]
    assert job.spot_max_wait_s == wait_s
    assert (job.checkpoint_uri is None) == (wait_s is None)


def test_only_attempts_of_the_same_training_share_checkpoints(
    stack: FakeStackContext,
) -> None:
    stack.jobs.work = failing_work("boom")
    for changes in ({}, {}, {"seed": 5}):
        with pytest.raises(JobFailed):
            run_training(stack, spot=True, **changes)
    first_result, second, other = (job.checkpoint_uri for job in stack.jobs.trainings.values())
    assert first_result == second
    assert first_result != other


def test_spot_and_on_demand_have_the_same_job_name(stack: FakeStackContext) -> None:
    assert build_plan(stack, spot=True).job_name == build_plan(stack).job_name


def test_max_wait_below_max_runtime_is_rejected() -> None:
    with pytest.raises(ValueError, match="at least max_runtime_s"):
        a_spec(training={"max_runtime_s": 600, "spot": {"max_wait_s": 599}})


def test_spot_savings_are_computed_as_sagemaker_does(stack: FakeStackContext) -> None:
    job = run_training(stack).job
    assert replace(job, training_s=500.0, billable_s=100.0).spot_savings_pct == 80
    assert replace(job, training_s=100.0, billable_s=100.0).spot_savings_pct is None
