"""Rollbacks and drills from end to end, with ports in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bedplate import ports
from bedplate.errors import ApprovalNeeded, NotFound, PlatformError, UsageError
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import DeployRequest, deploy
from bedplate.workflows.release.deploy import prepare as prepare_deploy
from bedplate.workflows.release.drill import drill
from bedplate.workflows.release.rollback import PreparedRollback, RollbackRequest, prepare, rollback
from bedplate.workflows.stack_context import null_reporter
from fakes import EPOCH, FakeStackContext, RollingEndpoints
from release_builders import ENDPOINT, FALLBACK_CONFIG
from release_stack import capture_predictions, deploy_version, interrupt_at, ledger_events, rolling_endpoints


def roll_back(stack: FakeStackContext, **options: Any) -> Any:
    return rollback(prepare(stack, RollbackRequest("churn", **options)), null_reporter)


@pytest.fixture
def two_live(stack: FakeStackContext) -> tuple[str, str]:
    """v1 and then v2 were deployed; their artifacts exist."""
    for version in (1, 2):
        stack.objects.put(f"s3://artifacts/training/churn/job-{version}/output/model.tar.gz", b"x")
    first = deploy_version(stack, version=1).live
    stack.clock.sleep(600)
    second = deploy_version(stack, version=2).live
    stack.clock.sleep(600)
    return first, second


def test_previous_release_gets_all_traffic_at_once(stack: FakeStackContext, two_live: tuple[str, str]) -> None:
    result = roll_back(stack, reason="complaints")
    assert result.live == two_live[0] == rolling_endpoints(stack).live[ENDPOINT]
    traffic = rolling_endpoints(stack).updates[-1][2]
    assert (traffic.kind, traffic.bake_s, traffic.rollback_alarms) == ("ALL_AT_ONCE", 0, ())
    record = Ledger(stack.objects, "ledger", stack.clock).records()[-1]
    assert (record.kind, record.version, record.data["previous"], record.data["reason"]) == (
        "rollback",
        1,
        two_live[1],
        "complaints",
    )


def test_second_rollback_goes_to_the_fallback(stack: FakeStackContext, two_live: tuple[str, str]) -> None:
    roll_back(stack)
    assert roll_back(stack).live == f"{ENDPOINT}-v0"
    assert rolling_endpoints(stack).live[ENDPOINT] == FALLBACK_CONFIG
    with pytest.raises(NotFound, match="nothing to go back to"):
        roll_back(stack)


def test_killed_rollback_is_resumed_to_the_same_target(stack: FakeStackContext, two_live: tuple[str, str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        rollback(prepare(stack, RollbackRequest("churn")), interrupt_at("rollout"))
    rolling_endpoints(stack).finish_update(ENDPOINT)
    assert roll_back(stack).live == two_live[0]
    assert [kind for kind, _ in ledger_events(stack)][-3:] == ["deployment-started", "resumed", "rollback"]


def test_deployment_in_flight_is_aborted_by_its_alarm(stack: FakeStackContext, two_live: tuple[str, str]) -> None:
    stack.objects.put("s3://artifacts/training/churn/job-1/output/model.tar.gz", b"x")
    roll_back(stack)  # v1 is live again
    rolling_endpoints(stack).observations_needed = 1000
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare_deploy(stack, DeployRequest("churn", 2)), interrupt_at("rollout"))
    stack.metrics.alarms[f"{ENDPOINT}-errors"] = build_alarm(f"{ENDPOINT}-errors", "OK")

    def evaluate_alarms(endpoints: RollingEndpoints) -> None:
        if stack.metrics.alarms[f"{ENDPOINT}-errors"].state == "ALARM" and endpoints.pending:
            endpoints.rollback_reason = "alarm"
            endpoints.finish_update(ENDPOINT)

    rolling_endpoints(stack).on_observe = evaluate_alarms
    assert roll_back(stack, reason="stop it").live == two_live[0]
    assert "stop it" in stack.metrics.alarms[f"{ENDPOINT}-errors"].reason
    assert ledger_events(stack)[-1] == ("rollback", two_live[0])


def test_update_without_an_alarm_cannot_be_aborted(stack: FakeStackContext, two_live: tuple[str, str]) -> None:
    rolling_endpoints(stack).pending = two_live[0]
    rolling_endpoints(stack).observations_needed = 1000
    with pytest.raises(PlatformError, match="No alarm monitors"):
        roll_back(stack)


def test_target_without_its_artifact_gets_no_traffic(stack: FakeStackContext, two_live: tuple[str, str]) -> None:
    del stack.objects.contents["s3://artifacts/training/churn/job-1/output/model.tar.gz"]
    with pytest.raises(ApprovalNeeded, match="does not exist"):
        roll_back(stack)
    assert rolling_endpoints(stack).live[ENDPOINT] == two_live[1]


def test_target_whose_release_was_deleted_gets_no_traffic(stack: FakeStackContext, two_live: tuple[str, str]) -> None:
    rolling_endpoints(stack).delete_release(two_live[0])
    with pytest.raises(ApprovalNeeded, match="was deleted"):
        roll_back(stack)


def test_target_with_failed_requests_in_its_last_live_period_needs_force(
    stack: FakeStackContext, two_live: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        stack.metrics,
        "list_datapoints",
        build_datapoints(Invocations=100.0, Invocation5XXErrors=9.0, ModelLatency=8000),
    )
    with pytest.raises(ApprovalNeeded, match="9 of 100 requests failed"):
        roll_back(stack)
    with pytest.raises(UsageError, match="needs a reason"):
        roll_back(stack, force=True)
    assert roll_back(stack, force=True, reason="the other one is worse").live == two_live[0]


def test_now_skips_the_checks_of_the_last_live_period(
    stack: FakeStackContext, two_live: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        stack.metrics,
        "list_datapoints",
        build_datapoints(Invocations=100.0, Invocation5XXErrors=9.0, ModelLatency=8000),
    )
    assert roll_back(stack, now=True).live == two_live[0]


def test_checks_cover_errors_latency_and_predictions_of_the_last_live_period(
    stack: FakeStackContext, two_live: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    capture_predictions(stack, two_live[0], [0.25, 0.75], minutes_ago=12)
    rolling_endpoints(stack).predict = lambda release, row: 0.25 if row["id"] == "0" else 0.75
    monkeypatch.setattr(
        stack.metrics,
        "list_datapoints",
        build_datapoints(Invocations=100.0, Invocation5XXErrors=0.0, ModelLatency=8000),
    )
    checks = {c.name: (c.verdict, c.detail) for c in prepare_rollback(stack).checks}
    assert checks["errors"][0] == "PASS"
    assert checks["latency"] == ("PASS", "p99 8.0 ms (at most 500 ms)")
    assert checks["predictions"] == ("PASS", "2 last predictions, mean 0.500")


def test_predictions_that_are_not_probabilities_fail_the_target(
    stack: FakeStackContext, two_live: tuple[str, str]
) -> None:
    capture_predictions(stack, two_live[0], [0.25, 1.75], minutes_ago=12)
    with pytest.raises(ApprovalNeeded, match="not a probability"):
        roll_back(stack)


def test_missing_data_does_not_block_a_rollback(stack: FakeStackContext, two_live: tuple[str, str]) -> None:
    assert {c.name: c.verdict for c in prepare_rollback(stack).checks}["errors"] == "NO_DATA"
    assert roll_back(stack).live == two_live[0]


def prepare_rollback(stack: FakeStackContext) -> PreparedRollback:
    return prepare(stack, RollbackRequest("churn"))


def build_alarm(name: str, state: Any) -> ports.AlarmState:
    return ports.AlarmState(name, state, "", EPOCH, f"arn:{name}")


def build_datapoints(**values: float) -> Any:
    def list_datapoints(namespace: str, metric: str, dimensions: Any, **_: Any) -> Any:
        return ((EPOCH + timedelta(minutes=1), values[metric]),) if metric in values else ()

    return list_datapoints


def test_target_is_scored_on_a_copy_before_traffic_moves(stack: FakeStackContext, two_live: tuple[str, str]) -> None:
    capture_predictions(stack, two_live[0], [0.25, 0.5])
    rolling_endpoints(stack).predict = lambda release, row: 0.25 if row["id"] == "0" else 0.5
    checks = {c.name: c for c in prepare_rollback(stack).checks}
    assert checks["re-score"].verdict == "PASS"
    assert "all 2 rows, mean 0.375" in checks["re-score"].detail
    assert rolling_endpoints(stack).created_endpoints == [f"{ENDPOINT}-copy-v1"]
    assert set(rolling_endpoints(stack).live) == {ENDPOINT}  # the copy was deleted
    assert rolling_endpoints(stack).live[ENDPOINT] == two_live[1]


def test_target_with_changed_predictions_gets_no_traffic(stack: FakeStackContext, two_live: tuple[str, str]) -> None:
    capture_predictions(stack, two_live[0], [0.5, 0.9])
    with pytest.raises(ApprovalNeeded, match="1 of 2 rows that it scored before get another prediction now"):
        roll_back(stack)
    assert set(rolling_endpoints(stack).live) == {ENDPOINT}


def test_target_that_fails_on_a_captured_row_gets_no_traffic(
    stack: FakeStackContext, two_live: tuple[str, str]
) -> None:
    capture_predictions(stack, two_live[1], [0.25] * 8)

    def fail_on_one_row(release: str, row: Any) -> float:
        if row["id"] == "3":
            raise PlatformError("no column 'age'")
        return 0.25

    rolling_endpoints(stack).predict = fail_on_one_row
    with pytest.raises(ApprovalNeeded, match="7 of 8 rows got a valid prediction"):
        roll_back(stack)
    rolling_endpoints(stack).predict = lambda release, row: 0.25
    assert roll_back(stack, now=True).live == two_live[0]


def test_target_that_disagrees_with_the_live_release_is_a_warning(
    stack: FakeStackContext, two_live: tuple[str, str]
) -> None:
    capture_predictions(stack, two_live[1], [i / 40 for i in range(40)])
    rolling_endpoints(stack).predict = lambda release, row: 0.9
    checks = {c.name: c for c in prepare_rollback(stack).checks}
    assert (checks["agreement"].verdict, checks["distribution"].verdict) == ("WARN", "WARN")
    assert "50.0 % of its decisions" in checks["agreement"].detail
    assert roll_back(stack).live == two_live[0]


def test_copy_of_a_killed_command_is_reused_and_deleted(stack: FakeStackContext, two_live: tuple[str, str]) -> None:
    capture_predictions(stack, two_live[1], [0.5])
    rolling_endpoints(stack).create_endpoint(f"{ENDPOINT}-copy-v1", two_live[0], {})
    assert roll_back(stack).live == two_live[0]
    assert set(rolling_endpoints(stack).live) == {ENDPOINT}


def test_drill_on_a_copy_is_timed_and_recorded_and_moves_no_traffic(
    stack: FakeStackContext, two_live: tuple[str, str]
) -> None:
    capture_predictions(stack, two_live[1], [0.5] * 3)
    result = drill(stack, "churn", None, null_reporter, live=False, reason=None)
    assert (result.ok, result.target, rolling_endpoints(stack).live) == (True, two_live[0], {ENDPOINT: two_live[1]})
    assert {"create the copy", "first prediction", "re-score"} <= set(result.durations_s)
    record = Ledger(stack.objects, "ledger", stack.clock).records()[-1]
    assert (record.kind, record.version, record.data["mode"]) == ("drill", 1, "copy")


def test_drill_on_the_live_endpoint_goes_there_and_back(stack: FakeStackContext, two_live: tuple[str, str]) -> None:
    result = drill(stack, "churn", None, null_reporter, live=True, reason="quarterly")
    assert rolling_endpoints(stack).live[ENDPOINT] == two_live[1]
    assert [kind for kind, _ in ledger_events(stack)][-5:] == [
        "deployment-started",
        "rollback",
        "deployment-started",
        "rollback",
        "drill",
    ]
    assert {"switch, first prediction", "switch back"} <= set(result.durations_s)
    assert roll_back(stack).live == two_live[0]  # a drill does not change the target of the next rollback


def test_drill_fails_for_an_unhealthy_target(stack: FakeStackContext, two_live: tuple[str, str]) -> None:
    capture_predictions(stack, two_live[0], [0.9])
    assert not drill(stack, "churn", None, null_reporter, live=False, reason=None).ok


def test_rollback_starts_from_the_live_release_not_from_the_ledger(
    stack: FakeStackContext, two_live: tuple[str, str]
) -> None:
    """The ledger records v2, but the endpoint was moved to v1 without a record."""
    rolling_endpoints(stack).live[ENDPOINT] = two_live[0]
    assert roll_back(stack).live == f"{ENDPOINT}-v0"


def test_unrecorded_live_release_is_replaced_by_the_last_recorded_one(
    stack: FakeStackContext, two_live: tuple[str, str]
) -> None:
    """A release was deployed without a record."""
    unrecorded = f"{ENDPOINT}-v9-0a1b2c3d"
    rolling_endpoints(stack).releases[unrecorded] = replace(
        rolling_endpoints(stack).releases[two_live[1]], name=unrecorded
    )
    rolling_endpoints(stack).live[ENDPOINT] = unrecorded
    assert roll_back(stack).live == two_live[1]
