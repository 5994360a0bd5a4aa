"""Targets, health and plans of rollbacks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bedplate.domain.ledger import Record
from bedplate.domain.rollback import (
    HealthCheck,
    PastRelease,
    choose_target,
    list_past_releases,
    plan_resume,
    plan_rollback,
    require_healthy,
)
from bedplate.domain.rollout.deployment import Abort, Attempt, Follow, RecordOutcome, RecordStart, Resume, Shift, Verify
from bedplate.errors import ApprovalNeeded, NotFound, UsageError
from fakes import EPOCH
from release_builders import ENDPOINT, V0, V1, V2, V3, build_endpoint, ledger_record, step_types


def build_history(*events: tuple[str, str]) -> list[Record]:
    """(kind, live); for `deployment-rolled-back`: (kind, the release that was rolled back)."""
    records, live = [], V0
    for seq, (kind, release) in enumerate(events, 1):
        if kind == "deployment-rolled-back":
            records.append(ledger_record(kind, seq, live=live, release=release, reason="alarm"))
        else:
            live = release
            records.append(ledger_record(kind, seq, live=live, release=release))
    return records


def stack_of(*events: tuple[str, str]) -> list[str]:
    return [s.release for s in list_past_releases(build_history(*events), "churn", ENDPOINT)]


def test_deployments_are_stacked_on_the_fallback() -> None:
    assert stack_of(("deployed", V1), ("deployed", V3)) == [V0, V1, V3]


def test_rollback_pops_the_releases_above_its_target() -> None:
    assert stack_of(("deployed", V1), ("deployed", V3), ("rollback", V1)) == [V0, V1]


def test_rolled_back_deployment_is_not_on_the_stack() -> None:
    assert stack_of(("deployed", V1), ("deployment-rolled-back", V2)) == [V0, V1]


def test_second_rollback_goes_further_back_than_the_first() -> None:
    records = build_history(("deployed", V1), ("deployed", V3), ("rollback", V1))
    assert choose_target(build_endpoint(live=V1), records, None).release == V0


def test_default_target_is_the_previous_release() -> None:
    assert choose_target(build_endpoint(live=V3), build_history(("deployed", V1), ("deployed", V3)), None).release == V1


def test_default_target_is_not_a_release_that_was_rolled_back_later() -> None:
    records = build_history(("deployed", V1), ("deployed", V2), ("deployment-rolled-back", V2), ("deployed", V3))
    assert choose_target(build_endpoint(live=V3), records, None).release == V1


def test_release_deployed_successfully_after_a_roll_back_is_a_target_again() -> None:
    records = build_history(("deployed", V1), ("deployment-rolled-back", V2), ("deployed", V2), ("deployed", V3))
    assert choose_target(build_endpoint(live=V3), records, None).release == V2


def test_first_release_has_no_rollback_target() -> None:
    with pytest.raises(NotFound, match="nothing to go back to"):
        choose_target(build_endpoint(live=V0), [], None)


def test_unrecorded_move_to_the_first_release_is_reported_with_the_next_command() -> None:
    with pytest.raises(NotFound, match="last live release is v2: the traffic was moved since") as error:
        choose_target(build_endpoint(live=V0), build_history(("deployed", V1), ("deployed", V2)), None)
    assert error.value.next_step == "bedplate rollback churn --to 2"


def test_unrecorded_live_release_is_replaced_by_the_last_recorded_one() -> None:
    assert (
        choose_target(build_endpoint(live=f"{ENDPOINT}-v9-0a1b2c3d"), build_history(("deployed", V1)), None).release
        == V1
    )


def test_target_during_an_update_is_the_release_that_it_would_replace() -> None:
    observed = build_endpoint(status="Updating", pending=V2)
    assert choose_target(observed, build_history(("deployed", V1)), None).release == V1


def test_named_version_may_have_been_popped_by_a_rollback() -> None:
    records = build_history(("deployed", V1), ("deployed", V3), ("rollback", V1))
    assert choose_target(build_endpoint(live=V1), records, 3).release == V3


def test_named_version_that_was_rolled_back_has_the_reason() -> None:
    target = choose_target(build_endpoint(live=V1), build_history(("deployed", V1), ("deployment-rolled-back", V2)), 2)
    assert (target.release, target.rollback_reason) == (V2, "alarm")


def test_version_that_was_never_live_or_is_live_is_not_a_target() -> None:
    with pytest.raises(NotFound, match=r"never live \(these versions were: v3, v1, v0\)"):
        choose_target(build_endpoint(live=V1), build_history(("deployed", V1), ("deployed", V3), ("rollback", V1)), 7)
    with pytest.raises(UsageError, match="already live"):
        choose_target(build_endpoint(live=V1), build_history(("deployed", V1)), 1)


def test_live_period_ends_when_the_next_deployment_starts() -> None:
    records = [
        ledger_record("deployed", 1, live=V1),
        ledger_record("deployment-started", 2, release=V3),
        ledger_record("deployed", 9, live=V3),
    ]
    past = list_past_releases(records, "churn", ENDPOINT)[1]
    assert (past.since, past.until) == (EPOCH + timedelta(minutes=1), EPOCH + timedelta(minutes=2))


def test_unhealthy_target_needs_force_and_a_reason() -> None:
    target, failures = PastRelease(V1, 1, None, None), [HealthCheck("errors", "FAIL", "9 % failed")]
    with pytest.raises(ApprovalNeeded, match="9 % failed"):
        require_healthy(target, failures, force=False, reason="x", model="churn")
    with pytest.raises(ApprovalNeeded):
        require_healthy(target, failures, force=True, reason=None, model="churn")
    require_healthy(target, failures, force=True, reason="worse now", model="churn")
    require_healthy(target, [HealthCheck("errors", "NO_DATA", "")], force=False, reason=None, model="churn")


def test_switch_is_all_at_once_without_alarms() -> None:
    plan = plan_rollback(build_endpoint(live=V3), PastRelease(V1, 1, None, None), abort_alarm=None)
    assert step_types(plan.steps) == [RecordStart, Shift, Follow, Verify, RecordOutcome]
    shift = next(s for s in plan.steps if isinstance(s, Shift))
    assert (shift.config, shift.kind, shift.bake_s, shift.alarms) == (V1, "ALL_AT_ONCE", 0, ())
    assert next(s for s in plan.steps if isinstance(s, RecordOutcome)).previous == V3


def test_rollback_to_the_fallback_uses_its_own_config() -> None:
    observed = build_endpoint(live=V1)
    plan = plan_rollback(observed, PastRelease(V0, 0, None, None), abort_alarm=None)
    assert next(s for s in plan.steps if isinstance(s, Shift)).config == observed.fallback_config
    assert next(s for s in plan.steps if isinstance(s, Verify)).release == V0


def test_update_in_flight_is_aborted_by_its_alarm_without_a_switch() -> None:
    observed = build_endpoint(status="Updating", pending=V2)
    plan = plan_rollback(observed, PastRelease(V1, 1, None, None), abort_alarm="a")
    assert step_types(plan.steps) == [RecordStart, Abort, Follow, Verify, RecordOutcome]
    follow = next(s for s in plan.steps if isinstance(s, Follow))
    assert (follow.config, follow.expected_config) == (V2, V1)


def test_rollback_to_an_older_release_aborts_the_update_before_the_switch() -> None:
    observed = build_endpoint(status="Updating", pending=V2)
    plan = plan_rollback(observed, PastRelease(V0, 0, None, None), abort_alarm="a")
    assert step_types(plan.steps) == [Abort, Follow, RecordStart, Shift, Follow, Verify, RecordOutcome]


def test_endpoint_that_is_already_rolling_back_is_not_aborted() -> None:
    observed = build_endpoint(status="RollingBack", pending=V2)
    assert Abort not in step_types(plan_rollback(observed, PastRelease(V1, 1, None, None), abort_alarm="a").steps)


def test_killed_rollback_is_resumed_to_the_same_target() -> None:
    attempt = Attempt(V1, 1, EPOCH, 4, is_rollback=True, previous=V3)
    plan = plan_resume(build_endpoint(live=V1, recorded_live=V3, attempts=(attempt,)))
    assert plan is not None
    assert step_types(plan.steps) == [Resume, Verify, RecordOutcome]
    in_flight = plan_resume(build_endpoint(live=V3, status="Updating", pending=V1, attempts=(attempt,)))
    assert in_flight is not None
    assert step_types(in_flight.steps) == [Resume, Follow, Verify, RecordOutcome]


def test_rollback_that_moved_no_traffic_is_not_resumed() -> None:
    attempt = Attempt(V1, 1, EPOCH, 4, is_rollback=True, previous=V3)
    assert plan_resume(build_endpoint(live=V3, recorded_live=V3, attempts=(attempt,))) is None
    assert plan_resume(build_endpoint(live=V3)) is None
