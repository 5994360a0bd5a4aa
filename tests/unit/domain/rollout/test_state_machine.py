"""The transitions of a rollout, its state from the ledger, and the decisions of a tick."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, get_args

import pytest

from bedplate.domain.ledger import Record
from bedplate.domain.rollout.history import list_history
from bedplate.domain.rollout.state_machine import (
    FINAL_PHASES,
    TRANSITIONS,
    Event,
    Phase,
    RolloutState,
    RolloutTerms,
    apply_event,
    champions_by_config,
    find_open_rollout,
    list_rollouts,
)
from bedplate.domain.rollout.tick import (
    CancelUpdate,
    CreateMultiVariantConfig,
    EndpointView,
    PromoteChallenger,
    RestoreChampion,
    SetWeights,
    StrategyVerdict,
    decide_tick,
)
from fakes import EPOCH
from release_builders import ENDPOINT, V1, V2, V3, ledger_record

BOTH = f"{ENDPOINT}-split-0a1b2c3d"
"""The multi-variant EndpointConfig of champion and challenger."""
HALF = {"live": 0.5, "challenger": 0.5}
LATER = EPOCH + timedelta(hours=1)


def build_terms(**changes: Any) -> RolloutTerms:
    values: dict[str, Any] = {
        "strategy": "ab",
        "champion": V1,
        "champion_config": V1,
        "challenger": V2,
        "version": 2,
        "multi_variant_config": BOTH,
        "share": 0.5,
        "max_s": 86_400,
    }
    return RolloutTerms(**{**values, **changes})


def rollout_record(seq: int, event: str, *, kind: str = "rollout", **data: Any) -> Record:
    values = {"rollout": "r1", "event": event, **data} if kind == "rollout" else data
    return ledger_record(kind, seq, summary=event, **values)


def proposed_record(**changes: Any) -> Record:
    return rollout_record(1, "proposed", terms=asdict(build_terms(**changes)))


def build_state(phase: Phase, **changes: Any) -> RolloutState:
    (proposed,) = list_rollouts([proposed_record(**changes.pop("terms", {}))], "churn")
    return replace(proposed, phase=phase, **changes)


def build_view(**changes: Any) -> EndpointView:
    values: dict[str, Any] = {
        "config": BOTH,
        "pending": None,
        "is_busy": False,
        "can_roll_back": False,
        "weights": HALF,
        "modified_at": EPOCH,
    }
    return EndpointView(**{**values, **changes})


@pytest.mark.parametrize(("phase", "event"), TRANSITIONS, ids=lambda v: str(v))
def test_every_transition_leads_to_its_phase(phase: Phase, event: Event) -> None:
    assert apply_event(build_state(phase), event, rollout_record(9, event)).phase == TRANSITIONS[phase, event]


@pytest.mark.parametrize("phase", get_args(Phase))
def test_event_that_a_phase_does_not_allow_changes_nothing(phase: Phase) -> None:
    before = build_state(phase)
    for event in get_args(Event):
        if (phase, event) not in TRANSITIONS:
            assert apply_event(before, event, rollout_record(9, event)) == before


def test_final_phases_have_no_transition_and_every_other_phase_reaches_one() -> None:
    assert not any(phase in FINAL_PHASES for phase, _ in TRANSITIONS)
    reached: dict[str, set[str]] = {}
    for (phase, _), target in TRANSITIONS.items():
        reached.setdefault(phase, set()).add(target)
    for phase in set(get_args(Phase)) - FINAL_PHASES:
        visited, frontier = {phase}, {phase}
        while frontier:
            frontier = {t for p in frontier for t in reached.get(p, ())} - visited
            visited |= frontier
        assert visited & FINAL_PHASES, phase


def test_state_is_read_from_the_records() -> None:
    records = [
        proposed_record(),
        rollout_record(2, "update-requested"),
        rollout_record(3, "split-started"),
        rollout_record(4, "weights-set", weights={"live": 0.3, "challenger": 0.7}, measurements={"n": 9}),
        rollout_record(5, "passed", verdict="PASS", reason="it is better"),
    ]
    rollout = find_open_rollout(records, "churn")
    assert rollout is not None
    assert (rollout.phase, rollout.verdict, rollout.weights["challenger"], rollout.measurements) == (
        "passed",
        "PASS",
        0.7,
        {"n": 9},
    )
    assert (rollout.phase_since, rollout.update_requested_at) == (records[4].at, records[1].at)
    assert champions_by_config(records, "churn") == {BOTH: V1}
    assert find_open_rollout(records, "other") is None


@pytest.mark.parametrize(
    ("kind", "live", "phase"),
    [
        ("deployed", V2, "promoted"),
        ("deployed", f"{ENDPOINT}-v7-0a1b2c3d", "rolled-back"),
        ("rollback", V1, "rolled-back"),
    ],
)
def test_deployment_or_rollback_ends_an_open_rollout(kind: str, live: str, phase: Phase) -> None:
    records = [
        proposed_record(),
        rollout_record(2, "update-requested"),
        rollout_record(3, "split-started"),
        rollout_record(4, "", kind=kind, live=live),
    ]
    (rollout,) = list_rollouts(records, "churn")
    assert rollout.phase == phase
    assert find_open_rollout(records, "churn") is None


def test_history_lists_every_movement_and_no_promotion_twice() -> None:
    records = [
        rollout_record(1, "", kind="deployment-started", action="deploy", release=V1, strategy="canary", bake_s=60),
        rollout_record(2, "", kind="deployed", live=V1, release=V1, switch_s=61.0),
        replace(proposed_record(), seq=3, at=EPOCH + timedelta(minutes=3)),
        rollout_record(4, "split-started"),
        rollout_record(5, "promote"),
        rollout_record(6, "", kind="deployment-started", action="deploy", release=V2, reason="rollout r1: PASS"),
        rollout_record(7, "", kind="deployed", live=V2, release=V2),
        rollout_record(8, "", kind="deployment-started", action="deploy", release=V3, strategy="linear", bake_s=9),
        rollout_record(
            9,
            "",
            kind="deployment-rolled-back",
            live=V2,
            release=V3,
            verdict="NO_DATA",
            reason="nobody asked",
        ),
        rollout_record(10, "", kind="deployment-started", action="rollback", release=V1),
    ]
    shown = [(m.strategy, m.phase, m.verdict, m.is_open) for m in list_history(records, "churn")]
    assert shown == [
        ("canary", "promoted", "PASS", False),
        ("ab", "promoted", None, False),
        ("linear", "no-data", "NO_DATA", False),
        ("rollback", "switching", None, True),
    ]


def test_rollback_ends_the_open_deployment() -> None:
    records = [
        rollout_record(1, "", kind="deployment-started", action="deploy", release=V2, strategy="canary", bake_s=60),
        rollout_record(2, "", kind="deployment-started", action="rollback", release=V1),
        rollout_record(3, "", kind="rollback", live=V1, release=V1, reason="stop"),
    ]
    assert [(m.strategy, m.phase, m.is_open) for m in list_history(records, "churn")] == [
        ("canary", "rolled-back", False),
        ("rollback", "completed", False),
    ]


# --- one tick -------------------------------------------------------------------------------------------------------


def test_proposed_rollout_requests_the_update_once_and_waits() -> None:
    first = decide_tick(build_state("proposed"), build_view(config=V1), None, LATER)
    assert (first.event, type(first.action)) == ("update-requested", CreateMultiVariantConfig)
    waiting = decide_tick(
        build_state("proposed", update_requested_at=LATER),
        build_view(config=V1, is_busy=True, pending=BOTH),
        None,
        LATER,
    )
    assert (waiting.event, waiting.action) == (None, None)
    assert (
        decide_tick(build_state("proposed", update_requested_at=LATER), build_view(), None, LATER).event
        == "split-started"
    )
    assert (
        decide_tick(build_state("proposed", terms={"strategy": "shadow"}), build_view(), None, LATER).event
        == "shadow-started"
    )


def test_lost_update_request_is_repeated_and_a_rolled_back_one_ends_the_rollout() -> None:
    lost = build_view(config=V1, modified_at=EPOCH, failure_reason="of last week")
    assert (
        type(decide_tick(build_state("proposed", update_requested_at=LATER), lost, None, LATER).action)
        is CreateMultiVariantConfig
    )
    failed = replace(lost, modified_at=LATER, failure_reason="alarm")
    assert decide_tick(build_state("proposed", update_requested_at=LATER), failed, None, LATER).event == "rolled-back"


@pytest.mark.parametrize(
    "phase", ["proposed", "shadowing", "splitting", "paused", "passed", "promoting", "rolling-back"]
)
def test_foreign_config_ends_the_rollout_without_an_action(phase: Phase) -> None:
    decision = decide_tick(build_state(phase), build_view(config=f"{ENDPOINT}-v9-0a1b2c3d"), None, LATER)
    assert (decision.event, decision.action) == ("superseded", None)


@pytest.mark.parametrize(("verdict", "event", "act"), [("PASS", "passed", None), ("FAIL", "failed", RestoreChampion)])
def test_verdict_is_recorded_and_a_fail_restores_the_champion(verdict: Any, event: str, act: Any) -> None:
    decision = decide_tick(build_state("splitting"), build_view(), StrategyVerdict(verdict, "message", {"n": 1}), LATER)
    assert decision.event == event
    assert (type(decision.action) if decision.action else None) == act
    assert decision.data["verdict"] == verdict


def test_no_verdict_in_time_is_no_data_and_restores_the_champion() -> None:
    now = EPOCH + timedelta(seconds=60 + 86_400)
    decision = decide_tick(build_state("splitting"), build_view(), StrategyVerdict(None, "3 of 500"), now)
    assert (decision.event, decision.data["verdict"], type(decision.action)) == (
        "insufficient-traffic",
        "NO_DATA",
        RestoreChampion,
    )
    early = decide_tick(
        build_state("splitting"), build_view(), StrategyVerdict(None, "3 of 500"), now - timedelta(seconds=1)
    )
    assert early.event is None


def test_bandit_weights_are_recorded_first_and_set_again_after_a_kill() -> None:
    weights = {"live": 0.2, "challenger": 0.8}
    decision = decide_tick(
        build_state("splitting"), build_view(), StrategyVerdict(None, "better", {"n": 1}, weights), LATER
    )
    assert (decision.event, decision.data["weights"]) == ("weights-set", weights)
    assert decision.action == SetWeights("Set the weights: live 20 %, challenger 80 %", weights)
    killed = decide_tick(
        build_state("splitting", weights=weights), build_view(), StrategyVerdict(None, "better", {}, weights), LATER
    )
    assert killed.event is None
    assert isinstance(killed.action, SetWeights)


def test_paused_rollout_gets_no_traffic_and_no_verdict() -> None:
    decision = decide_tick(build_state("paused"), build_view(), StrategyVerdict("FAIL", "bad"), LATER)
    assert decision.event is None
    assert decision.action == SetWeights(
        "Set the weights: live 100 %, challenger 0 %", {"live": 1.0, "challenger": 0.0}
    )


def test_alarm_ends_the_rollout() -> None:
    decision = decide_tick(
        build_state("splitting"),
        build_view(alarms_raised=(f"{ENDPOINT}-errors",)),
        StrategyVerdict("PASS", "fine"),
        LATER,
    )
    assert (decision.event, type(decision.action)) == ("failed", RestoreChampion)


def test_passed_rollout_waits_for_a_person_unless_auto_promote_is_set() -> None:
    assert decide_tick(build_state("passed"), build_view(), None, LATER).event is None
    automatic = decide_tick(build_state("passed", terms={"auto_promote": True}), build_view(), None, LATER)
    assert (automatic.event, type(automatic.action)) == ("promote", PromoteChallenger)


def test_promotion_is_started_followed_and_recorded() -> None:
    assert isinstance(decide_tick(build_state("promoting"), build_view(), None, LATER).action, PromoteChallenger)
    assert decide_tick(build_state("promoting"), build_view(is_busy=True, pending=V2), None, LATER).action is None
    assert isinstance(
        decide_tick(build_state("promoting"), build_view(config=V2, is_promoted=True), None, LATER).action,
        PromoteChallenger,
    )


@pytest.mark.parametrize(
    ("cause", "event"),
    [
        ("failed", "restored-failed"),
        ("insufficient-traffic", "restored-insufficient-traffic"),
        ("aborted", "restored-aborted"),
    ],
)
def test_roll_back_continues_until_only_the_champion_is_live(cause: Any, event: str) -> None:
    rolling_back = build_state("rolling-back", rollback_cause=cause)
    assert isinstance(decide_tick(rolling_back, build_view(), None, LATER).action, RestoreChampion)
    in_flight = build_view(config=BOTH, is_busy=True, pending=V2, can_roll_back=True)
    assert isinstance(decide_tick(rolling_back, in_flight, None, LATER).action, CancelUpdate)
    assert decide_tick(rolling_back, replace(in_flight, can_roll_back=False), None, LATER).action is None
    assert decide_tick(rolling_back, build_view(config=V1), None, LATER).event == event


def test_measurements_without_a_verdict_are_recorded_at_intervals() -> None:
    verdict = StrategyVerdict(None, "12 of 500", {"n": 12})
    assert decide_tick(build_state("splitting"), build_view(), verdict, EPOCH + timedelta(minutes=5)).event is None
    assert (
        decide_tick(build_state("splitting"), build_view(), verdict, EPOCH + timedelta(minutes=11)).event == "measured"
    )
    measured = build_state("splitting", measurements={"n": 12})
    assert decide_tick(measured, build_view(), verdict, EPOCH + timedelta(minutes=11)).event is None
