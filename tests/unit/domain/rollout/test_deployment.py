"""Plans of deployments from one observation of the endpoint and the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bedplate.domain.rollout.deployment import (
    Attempt,
    CreateGuard,
    CreateRelease,
    Follow,
    RecordOutcome,
    RecordStart,
    ReleaseTarget,
    Resume,
    Shift,
    ShiftPolicy,
    Verify,
    find_recorded_live,
    list_open_attempts,
    plan_deploy,
)
from bedplate.errors import Locked, PlatformError
from fakes import EPOCH
from release_builders import ENDPOINT, V0, V1, V2, V3, build_endpoint, ledger_record, step_types

POLICY = ShiftPolicy("canary", 10, 60, (f"{ENDPOINT}-errors", f"{V2}-predictions"))
TO_V2 = ReleaseTarget(V2, 2, is_live=False, is_guarded=True)


def test_deployment_is_recorded_before_traffic_moves_and_at_the_end() -> None:
    steps = plan_deploy(build_endpoint(), TO_V2, POLICY).steps
    assert step_types(steps) == [CreateRelease, CreateGuard, RecordStart, Shift, Follow, Verify, RecordOutcome]


def test_deployment_of_the_live_release_does_nothing() -> None:
    assert plan_deploy(build_endpoint(live=V2, recorded_live=V2), replace(TO_V2, is_live=True), POLICY).steps == ()


@pytest.mark.parametrize(
    ("strategy", "kind"), [("all-at-once", "ALL_AT_ONCE"), ("canary", "CANARY"), ("linear", "LINEAR")]
)
def test_strategy_determines_the_traffic_kind(strategy: str, kind: str) -> None:
    shift = next(
        s
        for s in plan_deploy(build_endpoint(), TO_V2, replace(POLICY, strategy=strategy)).steps
        if isinstance(s, Shift)
    )
    assert (shift.kind, shift.step_pct, shift.bake_s, shift.alarms) == (kind, 10, 60, POLICY.alarms)


def test_release_without_bins_gets_no_guard() -> None:
    assert CreateGuard not in step_types(plan_deploy(build_endpoint(), replace(TO_V2, is_guarded=False), POLICY).steps)


def test_update_in_flight_to_the_same_version_is_followed() -> None:
    plan = plan_deploy(build_endpoint(status="Updating", pending=V2), TO_V2, POLICY)
    assert step_types(plan.steps) == [Follow, Verify, RecordOutcome]
    attempt = Attempt(V2, 2, EPOCH, 7)
    steps = plan_deploy(build_endpoint(status="Updating", pending=V2, attempts=(attempt,)), TO_V2, POLICY).steps
    assert step_types(steps) == [Resume, Follow, Verify, RecordOutcome]
    assert [s.seq for s in steps if isinstance(s, Resume)] == [7]


def test_rolled_back_attempt_of_another_version_is_recorded_when_the_target_is_live() -> None:
    attempt = Attempt(V3, 3, EPOCH, 7)
    observed = build_endpoint(live=V2, recorded_live=V2, attempts=(attempt,), modified_at=EPOCH + timedelta(minutes=1))
    plan = plan_deploy(observed, replace(TO_V2, is_live=True), POLICY)
    assert [(s.kind, s.version) for s in plan.steps if isinstance(s, RecordOutcome)] == [("deployment-rolled-back", 3)]
    assert plan.rolled_back is None


def test_update_in_flight_to_another_version_locks_the_endpoint() -> None:
    with pytest.raises(Locked, match="an update to v1 is in progress"):
        plan_deploy(build_endpoint(status="Updating", pending=V1, live=V2), TO_V2, POLICY)


def test_rollback_in_flight_to_the_same_version_locks_the_endpoint() -> None:
    attempt = Attempt(V2, 2, EPOCH, 7, is_rollback=True)
    with pytest.raises(Locked):
        plan_deploy(build_endpoint(status="Updating", pending=V2, attempts=(attempt,)), TO_V2, POLICY)


def test_deployment_killed_before_its_outcome_is_recorded_and_not_repeated() -> None:
    attempt = Attempt(V2, 2, EPOCH, 7, previous=V1)
    plan = plan_deploy(build_endpoint(live=V2, attempts=(attempt,)), replace(TO_V2, is_live=True), POLICY)
    assert step_types(plan.steps) == [Resume, Verify, RecordOutcome]
    assert plan.steps[-1] == RecordOutcome(plan.steps[-1].message, V2, 2, "deployed", V1)
    assert not plan.moves_traffic


def test_deployment_rolled_back_unattended_is_recorded_and_not_repeated() -> None:
    attempt = Attempt(V2, 2, EPOCH, 7)
    plan = plan_deploy(build_endpoint(attempts=(attempt,), modified_at=EPOCH + timedelta(minutes=1)), TO_V2, POLICY)
    assert plan.rolled_back == attempt
    assert [s.kind for s in plan.steps if isinstance(s, RecordOutcome)] == ["deployment-rolled-back"]
    assert not plan.moves_traffic


def test_rolled_back_deployment_of_another_version_is_recorded_before_the_new_one_starts() -> None:
    attempt = Attempt(V2, 2, EPOCH, 7)
    to_v3 = ReleaseTarget(V3, 3, is_live=False, is_guarded=False)
    steps = plan_deploy(
        build_endpoint(attempts=(attempt,), modified_at=EPOCH + timedelta(minutes=1)), to_v3, POLICY
    ).steps
    assert step_types(steps) == [
        Verify,
        RecordOutcome,
        CreateRelease,
        RecordStart,
        Shift,
        Follow,
        Verify,
        RecordOutcome,
    ]


def test_deployment_killed_before_traffic_moved_starts_again() -> None:
    attempt = Attempt(V2, 2, EPOCH + timedelta(minutes=1), 7)
    assert plan_deploy(build_endpoint(attempts=(attempt,)), TO_V2, POLICY).moves_traffic


def test_raised_alarm_prevents_a_deployment() -> None:
    with pytest.raises(PlatformError, match="is in ALARM and would"):
        plan_deploy(build_endpoint(alarms_raised=(f"{ENDPOINT}-errors",)), TO_V2, POLICY)


def test_forced_deployment_is_monitored_by_the_alarms_that_are_not_raised() -> None:
    steps = plan_deploy(build_endpoint(alarms_raised=(f"{ENDPOINT}-errors",)), TO_V2, POLICY, force=True).steps
    assert next(s for s in steps if isinstance(s, Shift)).alarms == (f"{V2}-predictions",)


def test_attempts_end_with_a_record_of_the_live_release_or_a_rejected_update() -> None:
    records = [
        ledger_record("deployment-started", 1, release=V1, action="deploy"),
        ledger_record("deployed", 2, live=V1),
        ledger_record("deployment-started", 3, release=V2, action="deploy"),
        ledger_record("deployment-started", 4, release=V1, action="rollback", previous=V2),
        ledger_record("alert", 5, rejected_update=3),
    ]
    assert [(a.seq, a.is_rollback, a.previous) for a in list_open_attempts(records, "churn")] == [(4, True, V2)]
    assert list_open_attempts(records, "other") == ()
    assert find_recorded_live(records, "churn") == V1
    assert find_recorded_live(records, "other") is None


def test_fallback_release_has_its_own_name_and_config() -> None:
    endpoint = build_endpoint()
    assert endpoint.release_of(endpoint.fallback_config) == V0
    assert endpoint.config_of(V0) == endpoint.fallback_config
    assert endpoint.config_of(V1) == endpoint.release_of(V1) == V1
