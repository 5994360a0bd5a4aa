"""A rollout's phases, row by row, and its state as the ledger tells it."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, get_args

import pytest

from bedplate.domain.ledger import Record
from bedplate.domain.rollout.history import movements
from bedplate.domain.rollout.machine import (
    OVER,
    TRANSITIONS,
    Event,
    Phase,
    RolloutState,
    RolloutTerms,
    after,
    open_rollout,
    rollouts_in,
    splits_in,
)
from bedplate.domain.rollout.ticking import (
    CancelUpdate,
    CreateSplit,
    EndpointView,
    PromoteChallenger,
    RestoreChampion,
    SetWeights,
    StrategyVerdict,
    decide,
)
from fakes import EPOCH

E = "bedplate-local-churn"
V1, V2, SPLIT = f"{E}-v1-0a1b2c3d", f"{E}-v2-0a1b2c3d", f"{E}-split-0a1b2c3d"
HALF = {"live": 0.5, "challenger": 0.5}
LATER = EPOCH + timedelta(hours=1)


def terms(**changes: Any) -> RolloutTerms:
    values: dict[str, Any] = {
        "strategy": "ab",
        "champion": V1,
        "champion_config": V1,
        "challenger": V2,
        "version": 2,
        "split": SPLIT,
        "share": 0.5,
        "max_s": 86_400,
    }
    return RolloutTerms(**{**values, **changes})


def record(seq: int, event: str, *, kind: str = "rollout", **data: Any) -> Record:
    told = {"rollout": "r1", "event": event, **data} if kind == "rollout" else data
    return Record(seq, EPOCH + timedelta(minutes=seq), kind, "churn", 2, "ada", f"it was {event}", told, "", "")  # type: ignore[arg-type]


def proposed(**changes: Any) -> Record:
    return record(1, "proposed", terms=asdict(terms(**changes)))


def state(phase: Phase, **changes: Any) -> RolloutState:
    (begun,) = rollouts_in([proposed(**changes.pop("terms", {}))], "churn")
    return replace(begun, phase=phase, **changes)


def world(**changes: Any) -> EndpointView:
    values: dict[str, Any] = {
        "config": SPLIT,
        "pending": None,
        "busy": False,
        "undoable": False,
        "weights": HALF,
        "modified_at": EPOCH,
    }
    return EndpointView(**{**values, **changes})


@pytest.mark.parametrize(("phase", "event"), TRANSITIONS, ids=lambda v: str(v))
def test_every_row_of_the_table_is_followed(phase: Phase, event: Event) -> None:
    assert after(state(phase), event, record(9, event)).phase == TRANSITIONS[phase, event]


@pytest.mark.parametrize("phase", get_args(Phase))
def test_an_event_that_a_phase_does_not_know_changes_nothing(phase: Phase) -> None:
    before = state(phase)
    for event in get_args(Event):
        if (phase, event) not in TRANSITIONS:
            assert after(before, event, record(9, event)) == before


def test_what_is_over_stays_over_and_everything_else_can_end() -> None:
    assert not any(phase in OVER for phase, _ in TRANSITIONS)
    reached: dict[str, set[str]] = {}
    for (phase, _), target in TRANSITIONS.items():
        reached.setdefault(phase, set()).add(target)
    for phase in set(get_args(Phase)) - OVER:
        seen, edge = {phase}, {phase}
        while edge:
            edge = {t for p in edge for t in reached.get(p, ())} - seen
            seen |= edge
        assert seen & OVER, phase


def test_the_state_is_folded_from_the_records() -> None:
    told = [
        proposed(),
        record(2, "asked"),
        record(3, "split"),
        record(4, "weighed", weights={"live": 0.3, "challenger": 0.7}, facts={"n": 9}),
        record(5, "passed", verdict="PASS", reason="it is better"),
    ]
    found = open_rollout(told, "churn")
    assert found is not None
    assert (found.phase, found.verdict, found.weights["challenger"], found.facts) == ("passed", "PASS", 0.7, {"n": 9})
    assert (found.since, found.asked_at) == (told[4].at, told[1].at)
    assert splits_in(told, "churn") == {SPLIT: V1}
    assert open_rollout(told, "other") is None


@pytest.mark.parametrize(
    ("kind", "live", "phase"),
    [("deployed", V2, "promoted"), ("deployed", f"{E}-v7-0a1b2c3d", "rolled-back"), ("rollback", V1, "rolled-back")],
)
def test_what_other_commands_recorded_ends_it(kind: str, live: str, phase: Phase) -> None:
    told = [proposed(), record(2, "asked"), record(3, "split"), record(4, "", kind=kind, live=live)]
    (found,) = rollouts_in(told, "churn")
    assert found.phase == phase
    assert open_rollout(told, "churn") is None


def test_history_holds_every_way_in_which_traffic_moved_and_no_promotion_twice() -> None:
    told = [
        record(1, "", kind="deploying", act="deploy", release=V1, strategy="canary", bake_s=60),
        record(2, "", kind="deployed", live=V1, release=V1, took_s=61.0),
        replace(proposed(), seq=3, at=EPOCH + timedelta(minutes=3)),
        record(4, "split"),
        record(5, "promote"),
        record(6, "", kind="deploying", act="deploy", release=V2, reason="rollout r1: PASS"),
        record(7, "", kind="deployed", live=V2, release=V2),
        record(8, "", kind="deploying", act="deploy", release=f"{E}-v3-0a1b2c3d", strategy="linear", bake_s=9),
        record(
            9, "", kind="rolled-back", live=V2, release=f"{E}-v3-0a1b2c3d", verdict="NO_DATA", reason="nobody asked"
        ),
        record(10, "", kind="deploying", act="rollback", release=V1),
    ]
    shown = [(m.strategy, m.phase, m.verdict, m.open) for m in movements(told, "churn")]
    assert shown == [
        ("canary", "promoted", "PASS", False),
        ("ab", "promoted", None, False),
        ("linear", "no-data", "NO_DATA", False),
        ("rollback", "switching", None, True),
    ]


def test_a_rollback_ends_the_deployment_that_it_cut_short() -> None:
    told = [
        record(1, "", kind="deploying", act="deploy", release=V2, strategy="canary", bake_s=60),
        record(2, "", kind="deploying", act="rollback", release=V1),
        record(3, "", kind="rollback", live=V1, release=V1, reason="stop"),
    ]
    assert [(m.strategy, m.phase, m.open) for m in movements(told, "churn")] == [
        ("canary", "rolled-back", False),
        ("rollback", "back", False),
    ]


# --- one tick -------------------------------------------------------------------------------------------------------


def test_a_proposal_asks_the_platform_once_and_waits_for_it() -> None:
    first = decide(state("proposed"), world(config=V1), None, LATER)
    assert (first.event, type(first.act)) == ("asked", CreateSplit)
    waiting = decide(state("proposed", asked_at=LATER), world(config=V1, busy=True, pending=SPLIT), None, LATER)
    assert (waiting.event, waiting.act) == (None, None)
    assert decide(state("proposed", asked_at=LATER), world(), None, LATER).event == "split"
    assert decide(state("proposed", terms={"strategy": "shadow"}), world(), None, LATER).event == "mirrored"


def test_a_proposal_whose_asking_was_lost_asks_again_and_one_that_was_undone_ends() -> None:
    lost = world(config=V1, modified_at=EPOCH, failure_reason="of last week")
    assert type(decide(state("proposed", asked_at=LATER), lost, None, LATER).act) is CreateSplit
    undone = replace(lost, modified_at=LATER, failure_reason="alarm")
    assert decide(state("proposed", asked_at=LATER), undone, None, LATER).event == "undone"


@pytest.mark.parametrize("phase", ["proposed", "shadowing", "splitting", "paused", "passed", "promoting", "undoing"])
def test_a_configuration_that_somebody_else_asked_for_ends_it_without_an_act(phase: Phase) -> None:
    decision = decide(state(phase), world(config=f"{E}-v9-0a1b2c3d"), None, LATER)
    assert (decision.event, decision.act) == ("overtaken", None)


@pytest.mark.parametrize(("verdict", "event", "act"), [("PASS", "passed", None), ("FAIL", "failed", RestoreChampion)])
def test_a_verdict_is_recorded_and_a_bad_one_gives_the_traffic_back(verdict: Any, event: str, act: Any) -> None:
    decision = decide(state("splitting"), world(), StrategyVerdict(verdict, "told", {"n": 1}), LATER)
    assert decision.event == event
    assert (type(decision.act) if decision.act else None) == act
    assert decision.data["verdict"] == verdict


def test_without_a_verdict_in_time_there_is_no_data_and_the_champion_stays() -> None:
    now = EPOCH + timedelta(seconds=60 + 86_400)
    decision = decide(state("splitting"), world(), StrategyVerdict(None, "3 of 500"), now)
    assert (decision.event, decision.data["verdict"], type(decision.act)) == ("starved", "NO_DATA", RestoreChampion)
    early = decide(state("splitting"), world(), StrategyVerdict(None, "3 of 500"), now - timedelta(seconds=1))
    assert early.event is None


def test_a_bandits_new_weights_are_recorded_before_they_are_set_and_set_again_when_they_were_not() -> None:
    weights = {"live": 0.2, "challenger": 0.8}
    decision = decide(state("splitting"), world(), StrategyVerdict(None, "better", {"n": 1}, weights), LATER)
    assert (decision.event, decision.data["weights"]) == ("weighed", weights)
    assert decision.act == SetWeights("Weights: live 20 %, challenger 80 %", weights)
    killed = decide(state("splitting", weights=weights), world(), StrategyVerdict(None, "better", {}, weights), LATER)
    assert killed.event is None
    assert isinstance(killed.act, SetWeights)


def test_a_pause_takes_the_traffic_away_and_judges_nothing() -> None:
    decision = decide(state("paused"), world(), StrategyVerdict("FAIL", "bad"), LATER)
    assert decision.event is None
    assert decision.act == SetWeights("Weights: live 100 %, challenger 0 %", {"live": 1.0, "challenger": 0.0})


def test_an_alarm_ends_it() -> None:
    decision = decide(state("splitting"), world(alarms_raised=(f"{E}-errors",)), StrategyVerdict("PASS", "fine"), LATER)
    assert (decision.event, type(decision.act)) == ("failed", RestoreChampion)


def test_what_passed_waits_for_a_person_unless_it_may_promote_itself() -> None:
    assert decide(state("passed"), world(), None, LATER).event is None
    by_itself = decide(state("passed", terms={"auto_promote": True}), world(), None, LATER)
    assert (by_itself.event, type(by_itself.act)) == ("promote", PromoteChallenger)


def test_a_promotion_is_begun_waited_for_and_recorded_to_its_end() -> None:
    assert isinstance(decide(state("promoting"), world(), None, LATER).act, PromoteChallenger)
    assert decide(state("promoting"), world(busy=True, pending=V2), None, LATER).act is None
    assert isinstance(decide(state("promoting"), world(config=V2, promoted=True), None, LATER).act, PromoteChallenger)


@pytest.mark.parametrize(
    ("why", "event"),
    [("failed", "restored-failed"), ("starved", "restored-starved"), ("aborted", "restored-aborted")],
)
def test_an_undoing_goes_on_until_the_champion_alone_answers(why: Any, event: str) -> None:
    undoing = state("undoing", why=why)
    assert isinstance(decide(undoing, world(), None, LATER).act, RestoreChampion)
    in_flight = world(config=SPLIT, busy=True, pending=V2, undoable=True)
    assert isinstance(decide(undoing, in_flight, None, LATER).act, CancelUpdate)
    assert decide(undoing, replace(in_flight, undoable=False), None, LATER).act is None
    assert decide(undoing, world(config=V1), None, LATER).event == event


def test_figures_alone_are_written_down_now_and_then() -> None:
    judged = StrategyVerdict(None, "12 of 500", {"n": 12})
    assert decide(state("splitting"), world(), judged, EPOCH + timedelta(minutes=5)).event is None
    assert decide(state("splitting"), world(), judged, EPOCH + timedelta(minutes=11)).event == "watched"
    known = state("splitting", facts={"n": 12})
    assert decide(known, world(), judged, EPOCH + timedelta(minutes=11)).event is None
