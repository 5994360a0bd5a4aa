"""What is begun and nobody waits for is brought to its end, over ports in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bedplate.domain.ledger import Record
from bedplate.domain.reconcile import ModelSnapshot, decide
from bedplate.domain.rollout import Attempt, ObservedEndpoint
from bedplate.domain.rollout.machine import rollouts_in
from bedplate.domain.versions.retraining import RetrainingSignal, unanswered
from bedplate.errors import PlatformError
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import DeployRequest, deploy, prepare
from bedplate.workflows.release.reconcile import ActionResult, reconcile
from bedplate.workflows.release.rollback import RollbackRequest, rollback
from bedplate.workflows.release.rollback import prepare as prepare_rollback
from bedplate.workflows.release.rollout_start import begin, propose
from bedplate.workflows.stack_context import null_reporter
from fakes import EPOCH, FakeStackContext
from unit.workflows.release.test_deploy import E, _kill_at, baking, platform, rolling, told
from unit.workflows.release.test_deploy import run as deploy_version

__all__ = ["baking", "platform"]

V1, V2 = f"{E}-v1-0a1b2c3d", f"{E}-v2-0a1b2c3d"


def observed(**changes: Any) -> ObservedEndpoint:
    values: dict[str, Any] = {
        "model": "churn",
        "endpoint": E,
        "status": "InService",
        "live": V1,
        "pending": None,
        "failure_reason": None,
        "modified_at": EPOCH,
        "fallback_config": "fallback",
        "attempts": (Attempt(V2, 2, EPOCH, 7, needed_answers=50, bake_s=60),),
        "config": V1,
    }
    return ObservedEndpoint(**{**values, **changes})


def look(seen: ObservedEndpoint, **changes: Any) -> ModelSnapshot:
    return ModelSnapshot(seen, **{"still_s": 100.0, "open_s": 100.0, **changes})


BACK = Attempt(V1, 1, EPOCH, 7, by_rollback=True)
LATER = EPOCH + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (look(observed(attempts=())), None),
        (look(observed(attempts=()), rollout="r1"), "tick"),
        (look(observed(status="Updating", pending=V2)), None),
        (look(observed(status="Updating", pending=V2), starved=3.0), "undo"),
        (look(observed(live=V2, config=V2)), "finish"),
        (look(observed(live=V2, config=V2), still_s=5.0), None),
        (look(observed(modified_at=LATER)), "finish"),
        (look(observed()), None),
        (look(observed(), open_s=700.0), "close"),
        (look(observed(attempts=(BACK,)), open_s=100.0), "finish"),
        (look(observed(attempts=(BACK,), live=V2, config=V2, modified_at=LATER), open_s=700.0), "close"),
    ],
)
def test_of_one_look_follows_at_most_one_act_on_the_traffic(seen: ModelSnapshot, kind: str | None) -> None:
    assert [a.kind for a in decide([seen])] == ([kind] if kind else [])


def test_models_do_not_wait_for_each_other_and_drift_is_said_beside() -> None:
    looks = [
        look(observed(live=V2, config=V2)),
        look(observed(attempts=()), rollout="r1", due=RetrainingSignal("drift", 9, "PSI 0.4")),
    ]
    assert [a.kind for a in decide(looks)] == ["finish", "tick", "retrain"]


def test_drift_is_answered_by_a_training_or_by_having_been_said() -> None:
    def record(seq: int, kind: str, **data: Any) -> Record:
        return Record(seq, EPOCH, kind, "churn", data.pop("version", 1), "ada", "PSI 0.4", data, "", "")  # type: ignore[arg-type]

    drifted, calm = record(1, "monitored", outcome="DRIFT"), record(2, "monitored", outcome="OK")
    found = unanswered([drifted], "churn", 1)
    assert found is not None
    assert (found.seq, found.why) == (1, "PSI 0.4")
    assert unanswered([drifted], "churn", 2) is None
    assert unanswered([drifted], "other", 1) is None
    for answer in (calm, record(2, "trained", version=2), record(2, "alert", retrain=1)):
        assert unanswered([drifted, answer], "churn", 1) is None
    assert unanswered([drifted, record(2, "alert", refused=1)], "churn", 1) is not None


def once(platform: FakeStackContext, **asked: Any) -> tuple[ActionResult, ...]:
    return reconcile(platform, ["churn"], null_reporter, **{"every_s": 5.0, **asked})


def test_there_is_nothing_to_do_and_nothing_is_done(platform: FakeStackContext) -> None:
    deploy_version(platform, version=1)
    before = told(platform)
    assert once(platform) == ()
    assert told(platform) == before


def test_a_deployment_that_nobody_followed_is_recorded_to_its_end(platform: FakeStackContext) -> None:
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare(platform, DeployRequest("churn", 1)), _kill_at("rollout"))
    assert once(platform) == ()
    rolling(platform)._settle(E)
    assert once(platform) == ()  # whoever follows it has a moment to record it
    platform.clock.sleep(60)
    (done,) = once(platform)
    assert (done.action.kind, done.ok) == ("finish", True)
    assert told(platform)[-1] == ("deployed", rolling(platform).live[E])
    record = Ledger(platform.objects, "ledger", platform.clock).records()[-1]
    assert record.data["verdict"] == "NO_DATA"  # nobody counted, and SageMaker knows alarms only
    assert once(platform) == ()


def test_a_canary_without_traffic_is_undone_before_the_next_look_would_be_too_late(baking: FakeStackContext) -> None:
    champion = rolling(baking).live[E]
    deploy_version(baking, version=2, bake_s=20, wait=False)
    assert once(baking) == ()
    baking.clock.sleep(14)
    assert once(baking, every_s=1.0) == ()
    (done,) = once(baking, every_s=7.0)
    assert (done.action.kind, done.ok) == ("undo", True)
    assert "0 answers" in done.told
    assert rolling(baking).live[E] == champion
    assert Ledger(baking.objects, "ledger", baking.clock).records()[-1].data["verdict"] == "NO_DATA"


def test_one_that_the_platform_undid_is_recorded_as_such(platform: FakeStackContext) -> None:
    deploy_version(platform, version=1, wait=False)
    platform.clock.sleep(60)
    rolling(platform).undone_by = "alarm"
    rolling(platform)._settle(E)
    platform.clock.sleep(60)
    (done,) = once(platform)
    assert (done.action.kind, done.ok) == ("finish", True)
    assert told(platform)[-1][0] == "rolled-back"


def test_what_nobody_follows_is_recorded_at_the_next_look(platform: FakeStackContext) -> None:
    deploy_version(platform, version=1, wait=False)
    platform.clock.sleep(1)
    rolling(platform).undone_by = "alarm"
    rolling(platform)._settle(E)
    (done,) = once(platform)
    assert (done.action.kind, done.ok) == ("finish", True)
    assert [kind for kind, _ in told(platform)] == ["deploying", "resumed", "rolled-back"]
    record = Ledger.of(platform).records()[-1]
    assert (record.version, record.data["reason"], record.data["strategy"]) == (1, "alarm", "canary")


def test_what_somebody_follows_anew_is_theirs_to_record(platform: FakeStackContext) -> None:
    deploy_version(platform, version=1, wait=False)
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare(platform, DeployRequest("churn", 1)), _kill_at("rollout"))
    rolling(platform)._settle(E)
    assert once(platform) == ()
    platform.clock.sleep(60)
    assert [done.action.kind for done in once(platform)] == ["finish"]


def test_the_end_is_recorded_though_somebody_rejected_the_version_meanwhile(platform: FakeStackContext) -> None:
    deploy_version(platform, version=1, wait=False)
    platform.clock.sleep(60)
    rolling(platform).undone_by = "alarm"
    rolling(platform)._settle(E)
    platform.registry.set_approval(platform.registry.get(E, 1), "Rejected", "it was rolled back")
    platform.clock.sleep(60)
    (done,) = once(platform)
    assert (done.ok, told(platform)[-1][0]) == (True, "rolled-back")


def test_a_starved_canary_is_undone_though_somebody_rejected_its_version_meanwhile(baking: FakeStackContext) -> None:
    champion = rolling(baking).live[E]
    deploy_version(baking, version=2, bake_s=20, wait=False)
    baking.registry.set_approval(baking.registry.get(E, 2), "Rejected", "no")
    baking.clock.sleep(14)
    (done,) = once(baking, every_s=7.0)
    assert (done.action.kind, done.ok, rolling(baking).live[E]) == ("undo", True, champion)


def test_a_copy_that_a_killed_rollback_left_is_deleted_when_nobody_can_be_asking_it(platform: FakeStackContext) -> None:
    live = deploy_version(platform, version=1).live
    endpoints = rolling(platform)
    endpoints.create_endpoint(f"{E}-copy-v1", live, {})
    endpoints.create_endpoint("bedplate-local-churn-copy-cat", live, {})
    rested = platform.clock.now()
    look = endpoints.observe
    endpoints.observe = lambda name: replace(look(name), modified_at=rested)  # type: ignore[method-assign]
    assert once(platform) == ()
    platform.clock.sleep(601)
    (done,) = once(platform)
    assert (done.action.kind, done.action.endpoint) == ("sweep", f"{E}-copy-v1")
    assert set(endpoints.live) == {E, "bedplate-local-churn-copy-cat"}
    record = Ledger.of(platform).records()[-1]
    assert (record.kind, record.data["deleted_endpoint"]) == ("alert", f"{E}-copy-v1")
    assert once(platform) == ()


def test_a_killed_rollback_is_finished(platform: FakeStackContext) -> None:
    for version in (1, 2):
        platform.objects.put(f"s3://artifacts/training/churn/job-{version}/output/model.tar.gz", b"x")
        deploy_version(platform, version=version)
    with pytest.raises(KeyboardInterrupt):
        rollback(prepare_rollback(platform, RollbackRequest("churn")), _kill_at("rollout"))
    rolling(platform)._settle(E)
    platform.clock.sleep(60)
    (done,) = once(platform)
    assert done.ok
    assert told(platform)[-1] == ("rollback", rolling(platform).live[E])


def test_what_was_begun_and_never_moved_is_closed(platform: FakeStackContext) -> None:
    deploy_version(platform, version=1)
    platform.clock.sleep(5)
    endpoints = rolling(platform)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    endpoints.update = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare(platform, DeployRequest("churn", 2)), null_reporter)
    platform.clock.sleep(700)
    (done,) = once(platform)
    assert done.action.kind == "close"
    assert once(platform) == ()


def test_an_open_rollout_is_ticked(platform: FakeStackContext) -> None:
    deploy_version(platform, version=1)
    platform.clock.sleep(60)
    begin(platform, propose(platform, DeployRequest("churn", 2), "shadow"), "churn")
    for _ in range(5):
        (done,) = once(platform)
        assert (done.action.kind, done.ok) == ("tick", True)
    records = Ledger(platform.objects, "ledger", platform.clock).records()
    assert rollouts_in(records, "churn")[-1].phase == "shadowing"


def test_a_model_whose_act_fails_keeps_no_other_one_waiting(platform: FakeStackContext) -> None:
    deploy_version(platform, version=1, wait=False)
    rolling(platform)._settle(E)
    platform.clock.sleep(60)
    rolling(platform).fallbacks = {}

    def down(*_: Any, **__: Any) -> Any:
        raise PlatformError("it is down")

    rolling(platform).invoke = down  # type: ignore[method-assign]
    (done, _) = reconcile(platform, ["churn", "churn"], null_reporter, every_s=5)
    assert (done.ok, done.told) == (False, "it is down")


def test_the_wish_for_training_is_recorded_once(platform: FakeStackContext) -> None:
    deploy_version(platform, version=1)
    ledger = Ledger(platform.objects, "ledger", platform.clock)
    ledger.record("monitored", "PSI 0.4", actor="x", model="churn", version=1, data={"outcome": "DRIFT"})
    (done,) = once(platform)
    assert (done.action.kind, done.next_step) == ("retrain", "bedplate data register churn --data FILE")
    assert once(platform) == ()
    spec = platform.specs["churn"]
    quiet = spec.retraining.model_copy(update={"on_drift": False})
    platform.specs["churn"] = spec.model_copy(update={"retraining": quiet})
    ledger.record("monitored", "PSI 0.5", actor="x", model="churn", version=1, data={"outcome": "DRIFT"})
    assert once(platform) == ()
