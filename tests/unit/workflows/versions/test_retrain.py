"""Due signals start a retraining, whose version waits for approval."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bedplate.domain.ledger import Record
from bedplate.domain.versions.retraining import find_open_retraining, find_version_awaiting_decision, list_due_signals
from bedplate.errors import JobFailed, NotEnoughData, OverBudget
from bedplate.ports import BudgetState, TrainingRequest
from bedplate.settings import Retraining
from bedplate.workflows.data.register import plan as plan_registration
from bedplate.workflows.data.register import register
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.reconcile import ActionResult, reconcile
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.versions.approve import ApproveRequest, approve
from bedplate.workflows.versions.retrain import RetrainRequest, RetrainResult, list_signals, retrain
from fakes import EPOCH, FakeStackContext
from release_builders import ENDPOINT
from training_stack import build_trained_stack, record_drift, write_training_data


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    """Version 1, trained on the registered data.parquet, is live."""
    return build_trained_stack(tmp_path)


def register_newer_data(stack: FakeStackContext) -> str:
    """Registers data with more rows. Returns its hash."""
    stack.clock.sleep(60)
    path = write_training_data(stack.project_dir / "newer.parquet", 600)
    version = register(
        stack, plan_registration(stack, stack.model("churn"), path, null_reporter), null_reporter, accept="measured"
    )
    return version.manifest.sha256


def ledger(stack: FakeStackContext) -> Ledger:
    return Ledger(stack.objects, "ledger", stack.clock)


def run_retraining(stack: FakeStackContext, **request: Any) -> RetrainResult | None:
    return retrain(stack, RetrainRequest("churn", **request), null_reporter)[1]


def list_records(stack: FakeStackContext) -> list[Record]:
    return [r for r in ledger(stack).records() if r.kind == "retraining"]


def test_drift_produces_a_version_of_the_newest_data_that_awaits_approval(stack: FakeStackContext) -> None:
    newest, seq = register_newer_data(stack), record_drift(stack, "drift")
    result = run_retraining(stack)
    assert result is not None
    package = stack.registry.get(ENDPOINT, result.version)
    assert (result.version, result.verdict, package.approval) == (2, "PASS", "PendingManualApproval")
    assert package.metadata["dataset_sha256"] == newest
    begun, ended = list_records(stack)
    assert (begun.data["signal"], begun.data["signal_record"], begun.data["dataset"]) == ("drift", seq, newest)
    assert (ended.data["opened_by"], ended.version, ended.data["verdict"]) == (begun.seq, 2, "PASS")


@pytest.mark.parametrize(
    ("signals", "rules", "expected"),
    [
        (("drift",), {}, ["drift"]),
        (("drift", "performance"), {}, ["performance"]),
        (("drift",), {"on_drift": False}, []),
        (("performance",), {"on_performance_drop": False}, []),
        (("performance",), {"on_drift": False}, ["performance"]),
    ],
)
def test_model_yaml_selects_the_signals(
    stack: FakeStackContext, signals: tuple[str, ...], rules: dict[str, Any], expected: list[str]
) -> None:
    record_drift(stack, *signals)
    spec = stack.specs["churn"]
    stack.specs["churn"] = spec.model_copy(update={"retraining": Retraining(**rules)})
    assert [signal.signal for signal in list_signals(stack, "churn", ledger(stack).records())] == expected


def test_age_is_a_signal_from_max_age_days_on() -> None:
    rules = Retraining(max_age_days=30)
    for days, expected in ((29, []), (30, ["age"])):
        signals = list_due_signals([], "churn", 1, rules, trained_at=EPOCH, now=EPOCH + timedelta(days=days))
        assert [signal.signal for signal in signals] == expected
    assert list_due_signals([], "churn", None, rules, trained_at=None, now=EPOCH + timedelta(days=99)) == ()


def test_without_a_signal_a_reason_is_required(stack: FakeStackContext) -> None:
    register_newer_data(stack)
    with pytest.raises(NotEnoughData, match="No signal requires") as error:
        run_retraining(stack)
    assert error.value.exit_code == 6
    with pytest.raises(NotEnoughData, match="No performance signal"):
        run_retraining(stack, signal="performance")
    assert run_retraining(stack, reason="new timetable") is not None
    assert (list_records(stack)[0].data["signal"], list_records(stack)[0].data["reason"]) == ("person", "new timetable")


def test_without_newer_data_nothing_starts(stack: FakeStackContext) -> None:
    record_drift(stack, "drift")
    with pytest.raises(NotEnoughData, match="was trained on the newest data"):
        run_retraining(stack)
    assert list_records(stack) == []


def test_a_used_up_budget_blocks_before_anything_is_recorded(stack: FakeStackContext) -> None:
    register_newer_data(stack)
    record_drift(stack, "drift")
    stack.costs.budgets = [BudgetState(ENDPOINT, 10, 12, None, ())]
    with pytest.raises(OverBudget):
        run_retraining(stack)
    assert list_records(stack) == []


def test_a_failed_retraining_is_closed(stack: FakeStackContext) -> None:
    register_newer_data(stack)
    record_drift(stack, "drift")

    def work(request: Any) -> None:
        if isinstance(request, TrainingRequest):
            raise JobFailed("boom")

    stack.jobs.work = work
    with pytest.raises(JobFailed):
        run_retraining(stack)
    assert [r.data["phase"] for r in list_records(stack)] == ["open", "closed"]
    assert list_records(stack)[1].data["verdict"] == "FAILED"
    assert find_open_retraining(ledger(stack).records(), "churn") is None


def reconcile_once(stack: FakeStackContext) -> list[ActionResult]:
    return [
        result for result in reconcile(stack, ["churn"], null_reporter, every_s=5) if result.action.kind == "retrain"
    ]


def test_reconcile_starts_a_retraining_and_waits_for_approval(stack: FakeStackContext) -> None:
    register_newer_data(stack)
    record_drift(stack, "drift")
    (started,) = reconcile_once(stack)
    assert started.message.endswith("is running")
    (job,) = {r.data["training_job"] for r in list_records(stack)}
    job_state = stack.jobs.jobs[job]
    stack.jobs.jobs[job] = replace(job_state, status="InProgress")
    (running,) = reconcile_once(stack)
    assert running.message.endswith("is running")
    stack.jobs.jobs[job] = job_state
    (ended,) = reconcile_once(stack)
    assert ended.next_step == "bedplate approve churn:2"
    assert [r.data["phase"] for r in list_records(stack)] == ["open", "closed"]
    record_drift(stack, "drift")
    assert find_version_awaiting_decision(ledger(stack).records(), "churn") == 2
    assert reconcile_once(stack) == [], "at most one: its version waits for a person"
    approve(stack, ApproveRequest("churn", 2, reject=True, reason="no"))
    assert find_version_awaiting_decision(ledger(stack).records(), "churn") is None


def test_a_blocked_retraining_is_reported_once(stack: FakeStackContext) -> None:
    record_drift(stack, "drift")
    (blocked,) = reconcile_once(stack)
    assert "newest data" in blocked.message
    assert blocked.next_step == "bedplate data register churn --data NEWER.parquet"
    assert reconcile_once(stack) == []
    stack.clock.sleep(40 * 86_400)
    (aged,) = reconcile_once(stack)
    assert "was trained 40 days ago" in aged.message
    assert reconcile_once(stack) == []


def test_a_killed_retraining_is_resumed(stack: FakeStackContext) -> None:
    register_newer_data(stack)
    record_drift(stack, "drift")
    retraining, result = retrain(stack, RetrainRequest("churn"), null_reporter, wait=False)
    assert result is None
    again, ended = retrain(stack, RetrainRequest("churn", reason="another"), null_reporter)
    assert again == retraining
    assert ended is not None
    assert len(list_records(stack)) == 2
    assert len([r for r in stack.jobs.trainings.values() if r.name == retraining.job]) == 1
