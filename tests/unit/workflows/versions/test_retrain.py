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
    made = a_stack_context(tmp_path, spec)
    fallback = made.endpoints.live[ENDPOINT]
    environment = {"BEDPLATE_FALLBACK": "0.2", "BEDPLATE_RELEASE": f"{ENDPOINT}-v0"}
    made.endpoints.releases[fallback] = ports.Release(fallback, None, environment, EPOCH)
    evaluates = container(made)
    made.jobs.work = lambda request: evaluates(request) if isinstance(request, ProcessingRequest) else None
    train(
        made, plan(made, TrainRequest("churn", write_training_data(tmp_path / "data.parquet", 500), {}), null_reporter), null_reporter
    )
    live = f"{ENDPOINT}-v1-0a1b2c3d"
    made.endpoints.releases[live] = ports.Release(live, "s3://a/1.tar.gz", {"BEDPLATE_RELEASE": live}, EPOCH)
    made.endpoints.live[ENDPOINT] = live
    return made


def newer_data(at: FakeStackContext) -> str:
    at.clock.sleep(60)
    path = write_training_data(at.project_dir / "newer.parquet", 600)
    held = register(at, plan_registration(at, at.model("churn"), path, null_reporter), null_reporter, accept="measured")
    return held.manifest.sha256


def ledger(at: FakeStackContext) -> Ledger:
    return Ledger(at.objects, "ledger", at.clock)


def monitored(at: FakeStackContext, *signals: str) -> int:
    data: dict[str, Any] = {"outcome": "DRIFT", "signals": list(signals)}
    return ledger(at).record("monitored", "PSI 0.4", actor="x", model="churn", version=1, data=data).seq


def retrained(at: FakeStackContext, **asked: Any) -> RetrainResult | None:
    return retrain(at, RetrainRequest("churn", **asked), null_reporter)[1]


def told(at: FakeStackContext) -> list[Record]:
    return [r for r in ledger(at).records() if r.kind == "retraining"]


def test_drift_ends_in_a_version_of_the_newest_data_that_waits_and_the_ledger_says_what_asked(
    at: FakeStackContext,
) -> None:
    newest, seq = newer_data(at), monitored(at, "drift")
    done = retrained(at)
    assert done is not None
    package = at.registry.get(ENDPOINT, done.version)
    assert (done.version, done.verdict, package.approval) == (2, "PASS", "PendingManualApproval")
    assert package.metadata["dataset_sha256"] == newest
    begun, ended = told(at)
    assert (begun.data["signal"], begun.data["signal_record"], begun.data["dataset"]) == ("drift", seq, newest)
    assert (ended.data["opened_by"], ended.version, ended.data["verdict"]) == (begun.seq, 2, "PASS")


@pytest.mark.parametrize(
    ("signals", "listens", "heard"),
    [
        (("drift",), {}, ["drift"]),
        (("drift", "performance"), {}, ["performance"]),
        (("drift",), {"on_drift": False}, []),
        (("performance",), {"on_performance_drop": False}, []),
        (("performance",), {"on_drift": False}, ["performance"]),
    ],
)
def test_model_yaml_says_which_signals_are_heard(
    at: FakeStackContext, signals: tuple[str, ...], listens: dict[str, Any], heard: list[str]
) -> None:
    monitored(at, *signals)
    spec = at.specs["churn"]
    at.specs["churn"] = spec.model_copy(update={"retraining": Retraining(**listens)})
    assert [d.signal for d in list_signals(at, "churn", ledger(at).records())] == heard


def test_age_is_a_signal_from_the_day_that_model_yaml_names() -> None:
    wanted = Retraining(max_age_days=30)
    for days, found in ((29, []), (30, ["age"])):
        asks = list_due_signals([], "churn", 1, wanted, trained_at=EPOCH, now=EPOCH + timedelta(days=days))
        assert [d.signal for d in asks] == found
    assert list_due_signals([], "churn", None, wanted, trained_at=None, now=EPOCH + timedelta(days=99)) == ()


def test_without_a_signal_only_a_reason_begins_one(at: FakeStackContext) -> None:
    newer_data(at)
    with pytest.raises(NotEnoughData, match="nothing that asks") as refused:
        retrained(at)
    assert refused.value.exit_code == 6
    with pytest.raises(NotEnoughData, match="no performance signal"):
        retrained(at, signal="performance")
    assert retrained(at, reason="new timetable") is not None
    assert (told(at)[0].data["signal"], told(at)[0].data["reason"]) == ("person", "new timetable")


def test_without_newer_data_there_is_nothing_to_learn(at: FakeStackContext) -> None:
    monitored(at, "drift")
    with pytest.raises(NotEnoughData, match="was trained on the newest data there is"):
        retrained(at)
    assert told(at) == []


def test_a_used_up_budget_refuses_before_anything_is_recorded(at: FakeStackContext) -> None:
    newer_data(at)
    monitored(at, "drift")
    at.costs.budgets = [BudgetState(ENDPOINT, 10, 12, None, ())]
    with pytest.raises(OverBudget):
        retrained(at)
    assert told(at) == []


def test_a_retraining_that_failed_is_over(at: FakeStackContext) -> None:
    newer_data(at)
    monitored(at, "drift")

    def work(request: Any) -> None:
        if isinstance(request, TrainingRequest):
            raise JobFailed("boom")

    at.jobs.work = work
    with pytest.raises(JobFailed):
        retrained(at)
    assert [r.data["phase"] for r in told(at)] == ["open", "closed"]
    assert told(at)[1].data["verdict"] == "FAILED"
    assert find_open_retraining(ledger(at).records(), "churn") is None


def once(at: FakeStackContext) -> list[ActionResult]:
    return [done for done in reconcile(at, ["churn"], null_reporter, every_s=5) if done.action.kind == "retrain"]


def test_reconcile_begins_it_follows_it_and_then_waits_for_a_person(at: FakeStackContext) -> None:
    newer_data(at)
    monitored(at, "drift")
    (began,) = once(at)
    assert began.message.endswith("is running")
    (job,) = {r.data["training_job"] for r in told(at)}
    done = at.jobs.jobs[job]
    at.jobs.jobs[job] = replace(done, status="InProgress")
    (still,) = once(at)
    assert still.message.endswith("is running")
    at.jobs.jobs[job] = done
    (ended,) = once(at)
    assert ended.next_step == "bedplate approve churn:2"
    assert [r.data["phase"] for r in told(at)] == ["open", "closed"]
    monitored(at, "drift")
    assert find_version_awaiting_decision(ledger(at).records(), "churn") == 2
    assert once(at) == [], "at most one: its version waits for a person"
    approve(at, ApproveRequest("churn", 2, reject=True, reason="no"))
    assert find_version_awaiting_decision(ledger(at).records(), "churn") is None


def test_what_cannot_begin_by_itself_is_said_once(at: FakeStackContext) -> None:
    monitored(at, "drift")
    (wished,) = once(at)
    assert "newest data" in wished.message
    assert wished.next_step == "bedplate data register churn --data NEWER.parquet"
    assert once(at) == []
    at.clock.sleep(40 * 86_400)
    (aged,) = once(at)
    assert "was trained 40 days ago" in aged.message
    assert once(at) == []


def test_a_retraining_that_was_killed_is_taken_up_and_no_second_one_begins(at: FakeStackContext) -> None:
    newer_data(at)
    monitored(at, "drift")
    held, done = retrain(at, RetrainRequest("churn"), null_reporter, wait=False)
    assert done is None
    again, ended = retrain(at, RetrainRequest("churn", reason="another"), null_reporter)
    assert again == held
    assert ended is not None
    assert len(told(at)) == 2
    assert len([r for r in at.jobs.trainings.values() if r.name == held.job]) == 1
