"""Reconciliation of interrupted and unattended operations, with ports in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bedplate.domain.ledger import Record
from bedplate.domain.reconcile import ModelSnapshot, decide_actions
from bedplate.domain.rollout.deployment import Attempt, ObservedEndpoint
from bedplate.domain.rollout.state_machine import list_rollouts
from bedplate.domain.versions.retraining import RetrainingSignal, find_open_alert
from bedplate.errors import PlatformError
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import DeployRequest, deploy, prepare
from bedplate.workflows.release.reconcile import ActionResult, reconcile
from bedplate.workflows.release.rollback import RollbackRequest, rollback
from bedplate.workflows.release.rollback import prepare as prepare_rollback
from bedplate.workflows.release.rollout_start import propose_rollout, start_rollout
from bedplate.workflows.stack_context import null_reporter
from fakes import EPOCH, FakeStackContext
from release_builders import ENDPOINT, V1, V2, build_endpoint
from release_stack import deploy_version, interrupt_at, ledger_events, rolling_endpoints


def observe(**changes: Any) -> ObservedEndpoint:
    """v1 is live, and the attempt to deploy v2 has no recorded outcome."""
    attempt = Attempt(V2, 2, EPOCH, 7, min_bake_predictions=50, bake_s=60)
    return build_endpoint(**{"attempts": (attempt,), "config": V1, **changes})


def snapshot(observed: ObservedEndpoint, **changes: Any) -> ModelSnapshot:
    return ModelSnapshot(observed, **{"unchanged_s": 100.0, "attempt_age_s": 100.0, **changes})


ROLLBACK = Attempt(V1, 1, EPOCH, 7, is_rollback=True)
LATER = EPOCH + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (snapshot(observe(attempts=())), None),
        (snapshot(observe(attempts=()), rollout_id="r1"), "tick"),
        (snapshot(observe(status="Updating", pending=V2)), None),
        (snapshot(observe(status="Updating", pending=V2), insufficient_predictions=3.0), "roll-back"),
        (snapshot(observe(live=V2, config=V2)), "finish"),
        (snapshot(observe(live=V2, config=V2), unchanged_s=5.0), None),
        (snapshot(observe(modified_at=LATER)), "finish"),
        (snapshot(observe()), None),
        (snapshot(observe(), attempt_age_s=700.0), "close"),
        (snapshot(observe(attempts=(ROLLBACK,)), attempt_age_s=100.0), "finish"),
        (snapshot(observe(attempts=(ROLLBACK,), live=V2, config=V2, modified_at=LATER), attempt_age_s=700.0), "close"),
    ],
)
def test_snapshot_leads_to_at_most_one_traffic_action(model: ModelSnapshot, kind: str | None) -> None:
    assert [a.kind for a in decide_actions([model])] == ([kind] if kind else [])


def test_actions_of_models_are_independent_and_include_a_due_retraining() -> None:
    snapshots = [
        snapshot(observe(live=V2, config=V2)),
        snapshot(observe(attempts=()), rollout_id="r1", due_signal=RetrainingSignal("drift", 9, "PSI 0.4")),
    ]
    assert [a.kind for a in decide_actions(snapshots)] == ["finish", "tick", "retrain"]


def test_drift_signal_ends_with_a_training_or_a_reported_alert() -> None:
    def record(seq: int, kind: str, **data: Any) -> Record:
        return Record(seq, EPOCH, kind, "churn", data.pop("version", 1), "ada", "PSI 0.4", data, "", "")  # type: ignore[arg-type]

    drifted, calm = record(1, "monitored", outcome="DRIFT"), record(2, "monitored", outcome="OK")
    signal = find_open_alert([drifted], "churn", 1)
    assert signal is not None
    assert (signal.seq, signal.reason) == (1, "PSI 0.4")
    assert find_open_alert([drifted], "churn", 2) is None
    assert find_open_alert([drifted], "other", 1) is None
    for later in (calm, record(2, "trained", version=2), record(2, "alert", retraining_due=1)):
        assert find_open_alert([drifted, later], "churn", 1) is None
    assert find_open_alert([drifted, record(2, "alert", rejected_update=1)], "churn", 1) is not None


def reconcile_once(stack: FakeStackContext, **options: Any) -> tuple[ActionResult, ...]:
    return reconcile(stack, ["churn"], null_reporter, **{"every_s": 5.0, **options})


def test_nothing_to_do_changes_nothing(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1)
    before = ledger_events(stack)
    assert reconcile_once(stack) == ()
    assert ledger_events(stack) == before


def test_unattended_deployment_is_recorded(stack: FakeStackContext) -> None:
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare(stack, DeployRequest("churn", 1)), interrupt_at("rollout"))
    assert reconcile_once(stack) == ()
    rolling_endpoints(stack).finish_update(ENDPOINT)
    assert reconcile_once(stack) == ()  # a command that follows it has time to record it
    stack.clock.sleep(60)
    (result,) = reconcile_once(stack)
    assert (result.action.kind, result.ok) == ("finish", True)
    assert ledger_events(stack)[-1] == ("deployed", rolling_endpoints(stack).live[ENDPOINT])
    record = Ledger(stack.objects, "ledger", stack.clock).records()[-1]
    assert record.data["verdict"] == "NO_DATA"  # no command counted its predictions
    assert reconcile_once(stack) == ()


def test_canary_without_traffic_is_rolled_back_when_the_next_run_would_be_too_late(
    baking_stack: FakeStackContext,
) -> None:
    champion = rolling_endpoints(baking_stack).live[ENDPOINT]
    deploy_version(baking_stack, version=2, bake_s=20, wait=False)
    assert reconcile_once(baking_stack) == ()
    baking_stack.clock.sleep(14)
    assert reconcile_once(baking_stack, every_s=1.0) == ()
    (result,) = reconcile_once(baking_stack, every_s=7.0)
    assert (result.action.kind, result.ok) == ("roll-back", True)
    assert "0 predictions" in result.message
    assert rolling_endpoints(baking_stack).live[ENDPOINT] == champion
    assert Ledger(baking_stack.objects, "ledger", baking_stack.clock).records()[-1].data["verdict"] == "NO_DATA"


def test_deployment_that_the_platform_rolled_back_is_recorded(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1, wait=False)
    stack.clock.sleep(60)
    rolling_endpoints(stack).rollback_reason = "alarm"
    rolling_endpoints(stack).finish_update(ENDPOINT)
    stack.clock.sleep(60)
    (result,) = reconcile_once(stack)
    assert (result.action.kind, result.ok) == ("finish", True)
    assert ledger_events(stack)[-1][0] == "deployment-rolled-back"


def test_unfollowed_roll_back_is_recorded_by_the_next_run(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1, wait=False)
    stack.clock.sleep(1)
    rolling_endpoints(stack).rollback_reason = "alarm"
    rolling_endpoints(stack).finish_update(ENDPOINT)
    (result,) = reconcile_once(stack)
    assert (result.action.kind, result.ok) == ("finish", True)
    assert [kind for kind, _ in ledger_events(stack)] == ["deployment-started", "resumed", "deployment-rolled-back"]
    record = Ledger.of(stack).records()[-1]
    assert (record.version, record.data["reason"], record.data["strategy"]) == (1, "alarm", "canary")


def test_resumed_deployment_is_left_to_its_command_for_a_while(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1, wait=False)
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare(stack, DeployRequest("churn", 1)), interrupt_at("rollout"))
    rolling_endpoints(stack).finish_update(ENDPOINT)
    assert reconcile_once(stack) == ()
    stack.clock.sleep(60)
    assert [result.action.kind for result in reconcile_once(stack)] == ["finish"]


def test_outcome_is_recorded_although_the_version_was_rejected_since(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1, wait=False)
    stack.clock.sleep(60)
    rolling_endpoints(stack).rollback_reason = "alarm"
    rolling_endpoints(stack).finish_update(ENDPOINT)
    stack.registry.set_approval(stack.registry.get(ENDPOINT, 1), "Rejected", "it was rolled back")
    stack.clock.sleep(60)
    (result,) = reconcile_once(stack)
    assert (result.ok, ledger_events(stack)[-1][0]) == (True, "deployment-rolled-back")


def test_canary_without_traffic_is_rolled_back_although_its_version_was_rejected_since(
    baking_stack: FakeStackContext,
) -> None:
    champion = rolling_endpoints(baking_stack).live[ENDPOINT]
    deploy_version(baking_stack, version=2, bake_s=20, wait=False)
    baking_stack.registry.set_approval(baking_stack.registry.get(ENDPOINT, 2), "Rejected", "no")
    baking_stack.clock.sleep(14)
    (result,) = reconcile_once(baking_stack, every_s=7.0)
    assert (result.action.kind, result.ok, rolling_endpoints(baking_stack).live[ENDPOINT]) == (
        "roll-back",
        True,
        champion,
    )


def test_orphaned_copy_of_a_killed_rollback_is_deleted(stack: FakeStackContext) -> None:
    live = deploy_version(stack, version=1).live
    endpoints = rolling_endpoints(stack)
    endpoints.create_endpoint(f"{ENDPOINT}-copy-v1", live, {})
    endpoints.create_endpoint("bedplate-local-churn-copy-cat", live, {})
    modified_at = stack.clock.now()
    observe_endpoint = endpoints.observe
    endpoints.observe = lambda name: replace(observe_endpoint(name), modified_at=modified_at)  # type: ignore[method-assign]
    assert reconcile_once(stack) == ()
    stack.clock.sleep(601)
    (result,) = reconcile_once(stack)
    assert (result.action.kind, result.action.endpoint) == ("delete-copy", f"{ENDPOINT}-copy-v1")
    assert set(endpoints.live) == {ENDPOINT, "bedplate-local-churn-copy-cat"}
    record = Ledger.of(stack).records()[-1]
    assert (record.kind, record.data["deleted_endpoint"]) == ("alert", f"{ENDPOINT}-copy-v1")
    assert reconcile_once(stack) == ()


def test_killed_rollback_is_finished(stack: FakeStackContext) -> None:
    for version in (1, 2):
        stack.objects.put(f"s3://artifacts/training/churn/job-{version}/output/model.tar.gz", b"x")
        deploy_version(stack, version=version)
    with pytest.raises(KeyboardInterrupt):
        rollback(prepare_rollback(stack, RollbackRequest("churn")), interrupt_at("rollout"))
    rolling_endpoints(stack).finish_update(ENDPOINT)
    stack.clock.sleep(60)
    (result,) = reconcile_once(stack)
    assert result.ok
    assert ledger_events(stack)[-1] == ("rollback", rolling_endpoints(stack).live[ENDPOINT])


def test_attempt_that_never_moved_traffic_is_closed(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1)
    stack.clock.sleep(5)
    endpoints = rolling_endpoints(stack)

    def kill(*_: Any) -> None:
        raise KeyboardInterrupt

    endpoints.update = kill  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare(stack, DeployRequest("churn", 2)), null_reporter)
    stack.clock.sleep(700)
    (result,) = reconcile_once(stack)
    assert result.action.kind == "close"
    assert reconcile_once(stack) == ()


def test_open_rollout_is_ticked(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1)
    stack.clock.sleep(60)
    start_rollout(stack, propose_rollout(stack, DeployRequest("churn", 2), "shadow"), "churn")
    for _ in range(5):
        (result,) = reconcile_once(stack)
        assert (result.action.kind, result.ok) == ("tick", True)
    records = Ledger(stack.objects, "ledger", stack.clock).records()
    assert list_rollouts(records, "churn")[-1].phase == "shadowing"


def test_failed_action_does_not_stop_the_other_actions(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1, wait=False)
    rolling_endpoints(stack).finish_update(ENDPOINT)
    stack.clock.sleep(60)
    rolling_endpoints(stack).fallbacks = {}

    def fail(*_: Any, **__: Any) -> Any:
        raise PlatformError("it is down")

    rolling_endpoints(stack).invoke = fail  # type: ignore[method-assign]
    (result, _) = reconcile(stack, ["churn", "churn"], null_reporter, every_s=5)
    assert (result.ok, result.message) == (False, "it is down")


def test_due_retraining_is_reported_once(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1)
    ledger = Ledger(stack.objects, "ledger", stack.clock)
    ledger.record("monitored", "PSI 0.4", actor="x", model="churn", version=1, data={"outcome": "DRIFT"})
    (result,) = reconcile_once(stack)
    assert (result.action.kind, result.next_step) == ("retrain", "bedplate data register churn --data FILE")
    assert reconcile_once(stack) == ()
    spec = stack.specs["churn"]
    settings = spec.retraining.model_copy(update={"on_drift": False})
    stack.specs["churn"] = spec.model_copy(update={"retraining": settings})
    ledger.record("monitored", "PSI 0.5", actor="x", model="churn", version=1, data={"outcome": "DRIFT"})
    assert reconcile_once(stack) == ()
