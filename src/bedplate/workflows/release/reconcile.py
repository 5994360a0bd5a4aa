"""Brings what was begun to its end, for every model: looks once, decides once, and does what was decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from bedplate.domain.ledger import Record, iso_ms
from bedplate.domain.reconcile import FORSAKEN_S, Action, Look, decide
from bedplate.domain.rollout.bake import Bake, judge_bake, margin_s
from bedplate.domain.rollout.machine import open_rollout
from bedplate.domain.versions.retraining import Due, open_retraining, waits_for_a_person
from bedplate.errors import BedplateError, NotEnoughData, NotFound, RolledBack
from bedplate.ports import Say
from bedplate.workflows.endpoint.follow import LOOK_BACK_S, answers_since, bake_left
from bedplate.workflows.endpoint.observe import seen
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release import rollout
from bedplate.workflows.release.execute import undo_starved
from bedplate.workflows.release.finalize import means_of, settle
from bedplate.workflows.stack_context import Platform
from bedplate.workflows.versions.retrain import CANNOT, RetrainRequest, asked_for, begin, go_on


@dataclass(frozen=True, slots=True)
class Done:
    """An action and what came of it. `ok` is False only where the act itself failed: the next look tries again."""

    action: Action
    ok: bool
    told: str
    next_step: str | None = None


def reconcile(platform: Platform, models: Sequence[str], say: Say, *, every_s: float) -> tuple[Done, ...]:
    """Once over these models. `every_s` is when the next look is due: a bake that would end before it is judged now.

    A model that fails keeps no other one waiting. Raises NotFound only when the platform itself is not up.
    """
    ledger = Ledger.of(platform)
    records = ledger.records()
    looks = []
    for model in models:
        try:
            looks.append(look(platform, model, records, every_s=every_s))
        except NotFound as exc:
            say("step", {"number": 0, "of": 0, "message": f"{model}: {exc.message}"})
    return tuple(_do(platform, ledger, action, looks, say) for action in decide(looks))


def look(platform: Platform, model: str, records: Sequence[Record], *, every_s: float) -> Look:
    """One model as it is now."""
    now = platform.clock.now()
    state = platform.endpoints.observe(platform.names(model).endpoint)
    observed = seen(platform, model, state, records)
    under_way = open_rollout(records, model)
    attempt = observed.attempts[-1] if observed.attempts else None
    starved = None
    left_s = bake_left(state, now, attempt.bake_s) if attempt and observed.busy and not attempt.by_rollback else None
    if attempt and left_s is not None and attempt.needed_answers:
        since = attempt.at - timedelta(seconds=LOOK_BACK_S)
        answers = answers_since(platform, observed.endpoint, attempt.release, since, now)
        due = max(margin_s(attempt.bake_s, poll_s=1.0), min(every_s, attempt.bake_s / 2))
        if judge_bake(Bake(left_s, answers, attempt.needed_answers, due)) == "NO_DATA":
            starved = answers
    held = open_retraining(records, model)
    waits = held is not None or waits_for_a_person(records, model) is not None
    asks = () if waits else asked_for(platform, model, list(records))
    return Look(
        observed,
        under_way.id if under_way else None,
        starved,
        (now - state.modified_at).total_seconds(),
        (now - attempt.at).total_seconds() if attempt else 0.0,
        next((d for d in asks if d.seq or not _wished(records, model, d)), None),
        held,
        _forsaken(platform, model, now),
    )


def _forsaken(platform: Platform, model: str, now: datetime) -> tuple[str, ...]:
    """Copies that came to rest so long ago that who made them would have asked and deleted them."""
    found = []
    for name in platform.endpoints.named(platform.names(model).copy_prefix):
        with suppress(NotFound):  # gone meanwhile
            copy = platform.endpoints.observe(name)
            still = (now - copy.modified_at).total_seconds() >= FORSAKEN_S
            found += [name] if still and copy.status not in ("Creating", "Deleting") else []
    return tuple(found)


def _do(platform: Platform, ledger: Ledger, action: Action, looks: Sequence[Look], say: Say) -> Done:
    found = next(one for one in looks if one.seen.model == action.model)
    acts: dict[str, Callable[[], Done]] = {
        "tick": lambda: _tick(platform, action, say),
        "undo": lambda: _undo(platform, action, found, say),
        "finish": lambda: _finish(platform, action, found, say),
        "close": lambda: _close(platform, ledger, action),
        "retrain": lambda: _retrain(platform, ledger, action, say),
        "sweep": lambda: _sweep(platform, ledger, action),
    }
    say("step", {"number": 0, "of": 0, "message": f"{action.model}: {action.kind}, {action.why}"})
    try:
        return acts[action.kind]()
    except (RolledBack, NotEnoughData) as exc:
        return Done(action, True, exc.message, exc.next_step)
    except BedplateError as exc:
        return Done(action, False, exc.message, exc.next_step)


def _tick(platform: Platform, action: Action, say: Say) -> Done:
    ticked = rollout.tick(platform, action.model, say)
    if ticked is None:
        return Done(action, True, "it is over by now")
    next_step = f"bedplate rollout promote {action.model}" if ticked.state.phase == "passed" else None
    return Done(action, True, f"{ticked.state.phase}: {ticked.decision.told}", next_step)


def _undo(platform: Platform, action: Action, found: Look, say: Say) -> Done:
    attempt = found.attempt
    assert attempt is not None
    assert found.starved is not None
    error = undo_starved(means_of(platform, found.seen, attempt), attempt.release, found.starved, say)
    return Done(action, True, error.message, error.next_step)


def _finish(platform: Platform, action: Action, found: Look, say: Say) -> Done:
    attempt = found.attempt
    assert attempt is not None
    done = settle(platform, found.seen, attempt, say)
    return Done(action, True, f"{done.live} answers, and the ledger knows it")


def _sweep(platform: Platform, ledger: Ledger, action: Action) -> Done:
    platform.endpoints.delete_endpoint(action.endpoint)
    told = f"{action.endpoint}, left by a command that was killed, is deleted"
    ledger.record(
        "alert", told, actor=platform.identity.person, model=action.model, data={"deleted_endpoint": action.endpoint}
    )
    return Done(action, True, told)


def _close(platform: Platform, ledger: Ledger, action: Action) -> Done:
    told = f"{action.why}: closed"
    ledger.record("alert", told, actor=platform.identity.person, model=action.model, data={"refused": action.seq})
    return Done(action, True, told)


def _retrain(platform: Platform, ledger: Ledger, action: Action, say: Say) -> Done:
    """One step of a retraining; one that only a person can begin is wished for, once for each signal."""
    try:
        held = begin(platform, RetrainRequest(action.model), say)
    except CANNOT as exc:
        ledger.record(
            "alert",
            f"retraining is due: {action.why}; it cannot begin by itself: {exc.message}",
            actor=platform.identity.person,
            model=action.model,
            data={"retrain": action.seq, "why": action.why, "wished_at": iso_ms(platform.clock.now())},
        )
        return Done(action, True, f"retraining is due: {action.why}; but {exc.message}", exc.next_step)
    done = go_on(platform, action.model, held, say, wait=False)
    if done is None:
        return Done(action, True, f"retraining ({held.signal}: {held.why}): {held.job} runs")
    ref = f"{action.model}:{done.version}"
    verb = "approve" if done.verdict == "PASS" else "evaluate"
    return Done(action, True, f"{ref} of the retraining: {done.verdict}", f"bedplate {verb} {ref}")


def _wished(records: Sequence[Record], model: str, asks: Due) -> bool:
    """Whether a signal without a record of its own (age) was said already, since the last training."""
    for r in reversed(records):
        if r.model == model and r.kind == "alert" and "retrain" in r.data:
            return bool(r.data["retrain"] == asks.seq)
        if r.model == model and r.kind in ("trained", "retraining"):
            return False
    return False
