"""What `deploy` decides from one look at the endpoint and the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bedplate.domain.ledger import Record
from bedplate.domain.rollout import (
    Attempt,
    CreateGuard,
    CreateRelease,
    Follow,
    ObservedEndpoint,
    RecordOutcome,
    RecordStart,
    ReleaseTarget,
    Resume,
    Shift,
    ShiftPolicy,
    Verify,
    attempts_in,
    plan_deploy,
    recorded_live,
)
from bedplate.errors import Locked, PlatformError
from fakes import EPOCH

E = "bedplate-local-churn"
V1, V2 = f"{E}-v1-0a1b2c3d", f"{E}-v2-0a1b2c3d"
WAY = ShiftPolicy("canary", 10, 60, (f"{E}-errors", f"{V2}-answers"))
TO_V2 = ReleaseTarget(V2, 2, live_is_it=False, guarded=True)


def seen(**changes: Any) -> ObservedEndpoint:
    values: dict[str, Any] = {
        "model": "churn",
        "endpoint": E,
        "status": "InService",
        "live": V1,
        "pending": None,
        "failure_reason": None,
        "modified_at": EPOCH,
        "fallback_config": f"{E}-v0-1a2b3c4",
        "recorded_live": V1,
    }
    return ObservedEndpoint(**{**values, **changes})


def kinds(steps: Any) -> list[type]:
    return [type(step) for step in steps]


def record(kind: str, seq: int, **data: Any) -> Record:
    return Record(seq, EPOCH + timedelta(minutes=seq), kind, "churn", data.pop("version", 2), "ada", "", data, "", "")  # type: ignore[arg-type]


def test_a_rollout_writes_to_the_ledger_before_traffic_moves_and_last_of_all() -> None:
    steps = plan_deploy(seen(), TO_V2, WAY).steps
    assert kinds(steps) == [CreateRelease, CreateGuard, RecordStart, Shift, Follow, Verify, RecordOutcome]


def test_what_is_live_already_is_left_alone() -> None:
    assert plan_deploy(seen(live=V2, recorded_live=V2), replace(TO_V2, live_is_it=True), WAY).steps == ()


@pytest.mark.parametrize(
    ("strategy", "kind"), [("all-at-once", "ALL_AT_ONCE"), ("canary", "CANARY"), ("linear", "LINEAR")]
)
def test_the_strategy_becomes_the_kind_of_traffic(strategy: str, kind: str) -> None:
    shift = next(s for s in plan_deploy(seen(), TO_V2, replace(WAY, strategy=strategy)).steps if isinstance(s, Shift))
    assert (shift.kind, shift.step_pct, shift.bake_s, shift.alarms) == (kind, 10, 60, WAY.alarms)


def test_a_release_without_a_profile_gets_no_guard() -> None:
    assert CreateGuard not in kinds(plan_deploy(seen(), replace(TO_V2, guarded=False), WAY).steps)


def test_an_update_in_flight_to_the_same_version_is_adopted() -> None:
    plan = plan_deploy(seen(status="Updating", pending=V2), TO_V2, WAY)
    assert kinds(plan.steps) == [Follow, Verify, RecordOutcome]
    begun = Attempt(V2, 2, EPOCH, 7)
    steps = plan_deploy(seen(status="Updating", pending=V2, attempts=(begun,)), TO_V2, WAY).steps
    assert kinds(steps) == [Resume, Follow, Verify, RecordOutcome]
    assert [s.seq for s in steps if isinstance(s, Resume)] == [7]


def test_what_is_live_is_recorded_though_another_version_was_undone_behind_it() -> None:
    left = Attempt(f"{E}-v3-0a1b2c3d", 3, EPOCH, 7)
    now = seen(live=V2, recorded_live=V2, attempts=(left,), modified_at=EPOCH + timedelta(minutes=1))
    plan = plan_deploy(now, replace(TO_V2, live_is_it=True), WAY)
    assert [(s.kind, s.version) for s in plan.steps if isinstance(s, RecordOutcome)] == [("rolled-back", 3)]
    assert plan.undone is None


def test_an_update_in_flight_to_another_version_locks() -> None:
    with pytest.raises(Locked, match="v1 is on its way"):
        plan_deploy(seen(status="Updating", pending=V1, live=V2), TO_V2, WAY)


def test_a_rollback_in_flight_locks_even_when_it_goes_to_the_same_version() -> None:
    attempt = Attempt(V2, 2, EPOCH, 7, by_rollback=True)
    with pytest.raises(Locked):
        plan_deploy(seen(status="Updating", pending=V2, attempts=(attempt,)), TO_V2, WAY)


def test_a_deploy_killed_before_its_end_was_recorded_is_recorded_and_not_made_again() -> None:
    left = Attempt(V2, 2, EPOCH, 7, previous=V1)
    plan = plan_deploy(seen(live=V2, attempts=(left,)), replace(TO_V2, live_is_it=True), WAY)
    assert kinds(plan.steps) == [Resume, Verify, RecordOutcome]
    assert plan.steps[-1] == RecordOutcome(plan.steps[-1].message, V2, 2, "deployed", V1)
    assert not plan.moves_traffic


def test_a_deploy_undone_while_nobody_watched_is_recorded_as_such_and_goes_no_further() -> None:
    left = Attempt(V2, 2, EPOCH, 7)
    plan = plan_deploy(seen(attempts=(left,), modified_at=EPOCH + timedelta(minutes=1)), TO_V2, WAY)
    assert plan.undone == left
    assert [s.kind for s in plan.steps if isinstance(s, RecordOutcome)] == ["rolled-back"]
    assert not plan.moves_traffic


def test_an_undone_deploy_of_another_version_is_recorded_before_the_new_one_begins() -> None:
    left = Attempt(V2, 2, EPOCH, 7)
    to_v3 = ReleaseTarget(f"{E}-v3-0a1b2c3d", 3, live_is_it=False, guarded=False)
    steps = plan_deploy(seen(attempts=(left,), modified_at=EPOCH + timedelta(minutes=1)), to_v3, WAY).steps
    assert kinds(steps) == [Verify, RecordOutcome, CreateRelease, RecordStart, Shift, Follow, Verify, RecordOutcome]


def test_a_deploy_killed_before_anything_moved_starts_over() -> None:
    left = Attempt(V2, 2, EPOCH + timedelta(minutes=1), 7)
    assert plan_deploy(seen(attempts=(left,)), TO_V2, WAY).moves_traffic


def test_an_alarm_that_is_raised_stops_a_rollout_before_it_starts() -> None:
    with pytest.raises(PlatformError, match="is in ALARM now"):
        plan_deploy(seen(alarms_raised=(f"{E}-errors",)), TO_V2, WAY)


def test_forced_past_a_raised_alarm_the_rollout_is_watched_by_the_others() -> None:
    steps = plan_deploy(seen(alarms_raised=(f"{E}-errors",)), TO_V2, WAY, force=True).steps
    assert next(s for s in steps if isinstance(s, Shift)).alarms == (f"{V2}-answers",)


def test_attempts_end_with_a_record_of_who_is_live_and_refused_ones_do_not_count() -> None:
    records = [
        record("deploying", 1, release=V1, act="deploy"),
        record("deployed", 2, live=V1),
        record("deploying", 3, release=V2, act="deploy"),
        record("deploying", 4, release=V1, act="rollback", **{"from": V2}),
        record("alert", 5, refused=3),
    ]
    assert [(a.seq, a.by_rollback, a.previous) for a in attempts_in(records, "churn")] == [(4, True, V2)]
    assert attempts_in(records, "other") == ()
    assert recorded_live(records, "churn") == V1
    assert recorded_live(records, "other") is None


def test_the_fallback_goes_by_what_it_calls_itself() -> None:
    at = seen()
    assert at.release_of(at.fallback_config) == f"{E}-v0"
    assert at.config_of(f"{E}-v0") == at.fallback_config
    assert at.config_of(V1) == at.release_of(V1) == V1
