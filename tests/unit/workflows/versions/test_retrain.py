from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bedplate import ports
from bedplate.domain.ledger import Record
from bedplate.domain.versions.retraining import find_open_retraining, find_version_awaiting_decision, list_due_signals
from bedplate.errors import JobFailed, NotEnoughData, OverBudget
from bedplate.ports import BudgetState, ProcessingRequest, TrainingRequest
from bedplate.settings import Retraining
from bedplate.workflows.data.register import plan as plan_registration
from bedplate.workflows.data.register import register
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.reconcile import ActionResult, reconcile
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.training.train import train
from bedplate.workflows.training.training_plan import TrainRequest, plan
from bedplate.workflows.versions.approve import ApproveRequest, approve
from bedplate.workflows.versions.retrain import RetrainRequest, RetrainResult, list_signals, retrain
from builders import a_spec, a_stack_context
from fakes import EPOCH, FakeStackContext
from training_stack import write_training_data
from unit.workflows.versions.test_evaluate import container

ENDPOINT = "bedplate-local-churn"


@pytest.fixture
def at(tmp_path: Path) -> FakeStackContext:
    """Version 1, trained on the registered data.parquet, is live."""
    folder = tmp_path / "models" / "churn"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text("import os; print(os.environ['SM_MODEL_DIR'])")
    (folder / "model.yaml").write_text("name: churn")
    spec = a_spec(
        gates={"thresholds": [{"metric": "auc", "min": 0.7}]},
        training={"max_usd": 5},
        retraining={"max_age_days": 30},
    )
    created = a_stack_context(tmp_path, spec)
    fallback = created.endpoints.live[ENDPOINT]
    environment = {"BEDPLATE_FALLBACK": "0.2", "BEDPLATE_RELEASE": f"{ENDPOINT}-v0"}
    created.endpoints.releases[fallback] = ports.Release(fallback, None, environment, EPOCH)
    evaluates = container(created)
    created.jobs.work = lambda request: evaluates(request) if isinstance(request, ProcessingRequest) else None
    train(
        created,
        plan(created, TrainRequest("churn", write_training_data(tmp_path / "data.parquet", 500), {}), null_reporter),
        null_reporter,
    )
    live = f"{ENDPOINT}-v1-0a1b2c3d"
    created.endpoints.releases[live] = ports.Release(live, "s3://a/1.tar.gz", {"BEDPLATE_RELEASE": live}, EPOCH)
    created.endpoints.live[ENDPOINT] = live
    return created


def newer_data(at: FakeStackContext) -> str:
    at.clock.sleep(60)
    path = write_training_data(at.project_dir / "newer.parquet", 600)
    version = register(
        at, plan_registration(at, at.model("churn"), path, null_reporter), null_reporter, accept="measured"
    )
    return version.manifest.sha256


def ledger(at: FakeStackContext) -> Ledger:
    return Ledger(at.objects, "ledger", at.clock)


def record_drift(at: FakeStackContext, *signals: str) -> int:
    data: dict[str, Any] = {"outcome": "DRIFT", "signals": list(signals)}
    return ledger(at).record("monitored", "PSI 0.4", actor="x", model="churn", version=1, data=data).seq


def run_retraining(at: FakeStackContext, **request: Any) -> RetrainResult | None:
    return retrain(at, RetrainRequest("churn", **request), null_reporter)[1]


def list_records(at: FakeStackContext) -> list[Record]:
    return [r for r in ledger(at).records() if r.kind == "retraining"]


def test_drift_produces_a_version_of_the_newest_data_that_awaits_approval(
    at: FakeStackContext,
) -> None:
    newest, seq = newer_data(at), record_drift(at, "drift")
    result = run_retraining(at)
    assert result is not None
    package = at.registry.get(ENDPOINT, result.version)
    assert (result.version, result.verdict, package.approval) == (2, "PASS", "PendingManualApproval")
    assert package.metadata["dataset_sha256"] == newest
    begun, ended = list_records(at)
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
    at: FakeStackContext, signals: tuple[str, ...], rules: dict[str, Any], expected: list[str]
) -> None:
    record_drift(at, *signals)
    spec = at.specs["churn"]
    at.specs["churn"] = spec.model_copy(update={"retraining": Retraining(**rules)})
    assert [signal.signal for signal in list_signals(at, "churn", ledger(at).records())] == expected


def test_age_is_a_signal_from_max_age_days_on() -> None:
    rules = Retraining(max_age_days=30)
    for days, expected in ((29, []), (30, ["age"])):
        signals = list_due_signals([], "churn", 1, rules, trained_at=EPOCH, now=EPOCH + timedelta(days=days))
        assert [signal.signal for signal in signals] == expected
    assert list_due_signals([], "churn", None, rules, trained_at=None, now=EPOCH + timedelta(days=99)) == ()


def test_without_a_signal_a_reason_is_required(at: FakeStackContext) -> None:
    newer_data(at)
    with pytest.raises(NotEnoughData, match="No signal requires") as error:
        run_retraining(at)
    assert error.value.exit_code == 6
    with pytest.raises(NotEnoughData, match="No performance signal"):
        run_retraining(at, signal="performance")
    assert run_retraining(at, reason="new timetable") is not None
    assert (list_records(at)[0].data["signal"], list_records(at)[0].data["reason"]) == ("person", "new timetable")


def test_without_newer_data_nothing_starts(at: FakeStackContext) -> None:
    record_drift(at, "drift")
    with pytest.raises(NotEnoughData, match="was trained on the newest data"):
        run_retraining(at)
    assert list_records(at) == []


def test_a_used_up_budget_blocks_before_anything_is_recorded(at: FakeStackContext) -> None:
    newer_data(at)
    record_drift(at, "drift")
    at.costs.budgets = [BudgetState(ENDPOINT, 10, 12, None, ())]
    with pytest.raises(OverBudget):
        run_retraining(at)
    assert list_records(at) == []


def test_a_failed_retraining_is_closed(at: FakeStackContext) -> None:
    newer_data(at)
    record_drift(at, "drift")

    def work(request: Any) -> None:
        if isinstance(request, TrainingRequest):
            raise JobFailed("boom")

    at.jobs.work = work
    with pytest.raises(JobFailed):
        run_retraining(at)
    assert [r.data["phase"] for r in list_records(at)] == ["open", "closed"]
    assert list_records(at)[1].data["verdict"] == "FAILED"
    assert find_open_retraining(ledger(at).records(), "churn") is None


def reconcile_once(at: FakeStackContext) -> list[ActionResult]:
    return [result for result in reconcile(at, ["churn"], null_reporter, every_s=5) if result.action.kind == "retrain"]


def test_reconcile_starts_a_retraining_and_waits_for_approval(at: FakeStackContext) -> None:
    newer_data(at)
    record_drift(at, "drift")
    (started,) = reconcile_once(at)
    assert started.message.endswith("is running")
    (job,) = {r.data["training_job"] for r in list_records(at)}
    job_state = at.jobs.jobs[job]
    at.jobs.jobs[job] = replace(job_state, status="InProgress")
    (running,) = reconcile_once(at)
    assert running.message.endswith("is running")
    at.jobs.jobs[job] = job_state
    (ended,) = reconcile_once(at)
    assert ended.next_step == "bedplate approve churn:2"
    assert [r.data["phase"] for r in list_records(at)] == ["open", "closed"]
    record_drift(at, "drift")
    assert find_version_awaiting_decision(ledger(at).records(), "churn") == 2
    assert reconcile_once(at) == [], "at most one: its version waits for a person"
    approve(at, ApproveRequest("churn", 2, reject=True, reason="no"))
    assert find_version_awaiting_decision(ledger(at).records(), "churn") is None


def test_a_blocked_retraining_is_reported_once(at: FakeStackContext) -> None:
    record_drift(at, "drift")
    (blocked,) = reconcile_once(at)
    assert "newest data" in blocked.message
    assert blocked.next_step == "bedplate data register churn --data NEWER.parquet"
    assert reconcile_once(at) == []
    at.clock.sleep(40 * 86_400)
    (aged,) = reconcile_once(at)
    assert "was trained 40 days ago" in aged.message
    assert reconcile_once(at) == []


def test_a_killed_retraining_is_resumed(at: FakeStackContext) -> None:
    newer_data(at)
    record_drift(at, "drift")
    retraining, result = retrain(at, RetrainRequest("churn"), null_reporter, wait=False)
    assert result is None
    again, ended = retrain(at, RetrainRequest("churn", reason="another"), null_reporter)
    assert again == retraining
    assert ended is not None
    assert len(list_records(at)) == 2
    assert len([r for r in at.jobs.trainings.values() if r.name == retraining.job]) == 1
