"""What a rollback goes back to, and whether it may."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bedplate.domain.ledger import Record
from bedplate.domain.rollback import (
    HealthCheck,
    PastRelease,
    choose_target,
    plan_resume,
    plan_rollback,
    require_health,
    standings,
)
from bedplate.domain.rollout import Abort, Attempt, Follow, RecordOutcome, RecordStart, Resume, Shift, Verify
from bedplate.errors import ApprovalNeeded, NotFound, UsageError
from fakes import EPOCH

from .rollout.test_deployment import V1, V2, E, kinds, record, seen

V0, V3 = f"{E}-v0", f"{E}-v3-0a1b2c3d"


def history(*acts: tuple[str, str]) -> list[Record]:
    """(kind, live); for `rolled-back`: (kind, the release that was undone)."""
    records, live = [], V0
    for seq, (kind, release) in enumerate(acts, 1):
        if kind == "rolled-back":
            records.append(record(kind, seq, live=live, release=release, reason="alarm"))
        else:
            live = release
            records.append(record(kind, seq, live=live, release=release))
    return records


def stack(*acts: tuple[str, str]) -> list[str]:
    return [s.release for s in standings(history(*acts), "churn", E)]


def test_deployments_stand_on_each_other_above_the_fallback() -> None:
    assert stack(("deployed", V1), ("deployed", V3)) == [V0, V1, V3]


def test_a_rollback_takes_off_what_lies_above_its_target() -> None:
    assert stack(("deployed", V1), ("deployed", V3), ("rollback", V1)) == [V0, V1]


def test_what_the_platform_undid_was_never_on_the_stack() -> None:
    assert stack(("deployed", V1), ("rolled-back", V2)) == [V0, V1]


def test_a_second_rollback_goes_further_back_and_not_to_what_the_first_took_away() -> None:
    records = history(("deployed", V1), ("deployed", V3), ("rollback", V1))
    assert choose_target(seen(live=V1), records, None).release == V0


def test_the_previous_release_is_the_default_target() -> None:
    assert choose_target(seen(live=V3), history(("deployed", V1), ("deployed", V3)), None).release == V1


def test_a_release_that_the_platform_undid_later_is_passed_over() -> None:
    records = history(("deployed", V1), ("deployed", V2), ("rolled-back", V2), ("deployed", V3))
    assert choose_target(seen(live=V3), records, None).release == V1


def test_a_release_deployed_well_after_it_was_undone_is_healthy_again() -> None:
    records = history(("deployed", V1), ("rolled-back", V2), ("deployed", V2), ("deployed", V3))
    assert choose_target(seen(live=V3), records, None).release == V2


def test_the_first_release_has_nothing_below_it() -> None:
    with pytest.raises(NotFound, match="nothing to go back to"):
        choose_target(seen(live=V0), [], None)


def test_traffic_that_somebody_moved_to_the_first_release_is_told_with_the_way_back() -> None:
    with pytest.raises(NotFound, match="the ledger last heard v2, and somebody moved the traffic since") as told:
        choose_target(seen(live=V0), history(("deployed", V1), ("deployed", V2)), None)
    assert told.value.next_step == "bedplate rollback churn --to 2"


def test_a_live_release_unknown_to_the_ledger_is_replaced_by_the_last_known_one() -> None:
    assert choose_target(seen(live=f"{E}-v9-0a1b2c3d"), history(("deployed", V1)), None).release == V1


def test_while_a_rollout_is_in_flight_the_target_is_what_it_would_replace() -> None:
    at = seen(status="Updating", pending=V2)
    assert choose_target(at, history(("deployed", V1)), None).release == V1


def test_a_named_version_may_be_one_that_a_rollback_took_off_the_stack() -> None:
    records = history(("deployed", V1), ("deployed", V3), ("rollback", V1))
    assert choose_target(seen(live=V1), records, 3).release == V3


def test_a_named_version_that_the_platform_undid_says_why() -> None:
    target = choose_target(seen(live=V1), history(("deployed", V1), ("rolled-back", V2)), 2)
    assert (target.release, target.undone_because) == (V2, "alarm")


def test_a_version_that_never_was_live_is_no_target() -> None:
    with pytest.raises(NotFound, match=r"never live \(these were: v3, v1, v0\)"):
        choose_target(seen(live=V1), history(("deployed", V1), ("deployed", V3), ("rollback", V1)), 7)
    with pytest.raises(UsageError, match="live already"):
        choose_target(seen(live=V1), history(("deployed", V1)), 1)


def test_the_turn_of_a_release_ends_when_the_next_one_begins_to_take_traffic() -> None:
    records = [
        record("deployed", 1, live=V1),
        record("deploying", 2, release=V3),
        record("deployed", 9, live=V3),
    ]
    turn = standings(records, "churn", E)[1]
    assert (turn.since, turn.until) == (EPOCH + timedelta(minutes=1), EPOCH + timedelta(minutes=2))


def test_an_unhealthy_target_needs_force_and_a_reason() -> None:
    target, bad = PastRelease(V1, 1, None, None), [HealthCheck("errors", "FAIL", "9 % failed")]
    with pytest.raises(ApprovalNeeded, match="9 % failed"):
        require_health(target, bad, force=False, reason="x", model="churn")
    with pytest.raises(ApprovalNeeded):
        require_health(target, bad, force=True, reason=None, model="churn")
    require_health(target, bad, force=True, reason="worse now", model="churn")
    require_health(target, [HealthCheck("errors", "NO_DATA", "")], force=False, reason=None, model="churn")


def test_the_switch_is_all_at_once_and_no_alarm_can_undo_it() -> None:
    plan = plan_rollback(seen(live=V3), PastRelease(V1, 1, None, None), abort_alarm=None)
    assert kinds(plan.steps) == [RecordStart, Shift, Follow, Verify, RecordOutcome]
    shift = next(s for s in plan.steps if isinstance(s, Shift))
    assert (shift.config, shift.kind, shift.bake_s, shift.alarms) == (V1, "ALL_AT_ONCE", 0, ())
    assert next(s for s in plan.steps if isinstance(s, RecordOutcome)).previous == V3


def test_the_fallback_is_switched_to_by_its_own_configuration() -> None:
    at = seen(live=V1)
    plan = plan_rollback(at, PastRelease(V0, 0, None, None), abort_alarm=None)
    assert next(s for s in plan.steps if isinstance(s, Shift)).config == at.fallback_config
    assert next(s for s in plan.steps if isinstance(s, Verify)).release == V0


def test_a_rollout_in_flight_is_undone_by_its_alarm_and_needs_no_switch() -> None:
    at = seen(status="Updating", pending=V2)
    plan = plan_rollback(at, PastRelease(V1, 1, None, None), abort_alarm="a")
    assert kinds(plan.steps) == [RecordStart, Abort, Follow, Verify, RecordOutcome]
    follow = next(s for s in plan.steps if isinstance(s, Follow))
    assert (follow.config, follow.wanted) == (V2, V1)


def test_to_an_older_release_the_rollout_is_undone_first_and_the_switch_follows() -> None:
    at = seen(status="Updating", pending=V2)
    plan = plan_rollback(at, PastRelease(V0, 0, None, None), abort_alarm="a")
    assert kinds(plan.steps) == [Abort, Follow, RecordStart, Shift, Follow, Verify, RecordOutcome]


def test_a_rollback_undoing_itself_already_is_only_waited_for() -> None:
    at = seen(status="RollingBack", pending=V2)
    assert Abort not in kinds(plan_rollback(at, PastRelease(V1, 1, None, None), abort_alarm="a").steps)


def test_a_killed_rollback_is_finished_and_does_not_go_one_further() -> None:
    left = Attempt(V1, 1, EPOCH, 4, by_rollback=True, previous=V3)
    plan = plan_resume(seen(live=V1, recorded_live=V3, attempts=(left,)))
    assert plan is not None
    assert kinds(plan.steps) == [Resume, Verify, RecordOutcome]
    on_its_way = plan_resume(seen(live=V3, status="Updating", pending=V1, attempts=(left,)))
    assert on_its_way is not None
    assert kinds(on_its_way.steps) == [Resume, Follow, Verify, RecordOutcome]


def test_a_rollback_that_moved_nothing_is_planned_anew() -> None:
    left = Attempt(V1, 1, EPOCH, 4, by_rollback=True, previous=V3)
    assert plan_resume(seen(live=V3, recorded_live=V3, attempts=(left,))) is None
    assert plan_resume(seen(live=V3)) is None
