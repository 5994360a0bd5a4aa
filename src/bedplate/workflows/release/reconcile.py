"""Brings what was begun to its end, for every model: looks once, decides once, and does what was decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from bedplate.domain.ledger import Record, iso_ms
from bedplate.domain.reconcile import FORSAKEN_S, Action, ModelSnapshot, decide
from bedplate.domain.rollout.bake import BakeStatus, judge_bake, margin_s
from bedplate.domain.rollout.machine import open_rollout
from bedplate.domain.versions.retraining import RetrainingSignal, open_retraining, waits_for_a_person
from bedplate.errors import BedplateError, NotEnoughData, NotFound, RolledBack
from bedplate.ports import Reporter
from bedplate.workflows.endpoint.follow import LOOK_BACK_S, answers_since, bake_left
from bedplate.workflows.endpoint.observe import seen
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release import rollout
from bedplate.workflows.release.execute import undo_starved
from bedplate.workflows.release.finalize import means_of, settle
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.versions.retrain import CANNOT, RetrainRequest, asked_for, begin, go_on


@dataclass(frozen=True, slots=True)
class ActionResult:
    """An action and what came of it. `ok` is False only where the act itself failed: the next look tries again."""

    action: Action
    ok: bool
    told: str
    next_step: str | None = None


def reconcile(
    stack: StackContext, models: Sequence[str], reporter: Reporter, *, every_s: float
) -> tuple[ActionResult, ...]:
    """Once over these models. `every_s` is when the next look is due: a bake that would end before it is judged now.

    A model that fails keeps no other one waiting. Raises NotFound only when the platform itself is not up.
    """
    ledger = Ledger.of(stack)
    records = ledger.records()
    looks = []
    for model in models:
        try:
            looks.append(look(stack, model, records, every_s=every_s))
        except NotFound as exc:
            reporter("step", {"number": 0, "of": 0, "message": f"{model}: {exc.message}"})
    return tuple(_do(stack, ledger, action, looks, reporter) for action in decide(looks))


def look(stack: StackContext, model: str, records: Sequence[Record], *, every_s: float) -> ModelSnapshot:
    """One model as it is now."""
    now = stack.clock.now()
    state = stack.endpoints.observe(stack.names(model).endpoint)
    observed = seen(stack, model, state, records)
    under_way = open_rollout(records, model)
    attempt = observed.attempts[-1] if observed.attempts else None
    starved = None
    left_s = bake_left(state, now, attempt.bake_s) if attempt and observed.busy and not attempt.by_rollback else None
    if attempt and left_s is not None and attempt.needed_answers:
        since = attempt.at - timedelta(seconds=LOOK_BACK_S)
        answers = answers_since(stack, observed.endpoint, attempt.release, since, now)
        due = max(margin_s(attempt.bake_s, poll_s=1.0), min(every_s, attempt.bake_s / 2))
        if judge_bake(BakeStatus(left_s, answers, attempt.needed_answers, due)) == "NO_DATA":
            starved = answers
    held = open_retraining(records, model)
    waits = held is not None or waits_for_a_person(records, model) is not None
    asks = () if waits else asked_for(stack, model, list(records))
    return ModelSnapshot(
        observed,
        under_way.id if under_way else None,
        starved,
        (now - state.modified_at).total_seconds(),
        (now - attempt.at).total_seconds() if attempt else 0.0,
        next((d for d in asks if d.seq or not _wished(records, model, d)), None),
        held,
        _forsaken(stack, model, now),
    )


def _forsaken(stack: StackContext, model: str, now: datetime) -> tuple[str, ...]:
    """Copies that came to rest so long ago that who made them would have asked and deleted them."""
    found = []
    for name in stack.endpoints.named(stack.names(model).copy_prefix):
        with suppress(NotFound):  # gone meanwhile
            copy = stack.endpoints.observe(name)
            still = (now - copy.modified_at).total_seconds() >= FORSAKEN_S
            found += [name] if still and copy.status not in ("Creating", "Deleting") else []
    return tuple(found)


def _do(
    stack: StackContext, ledger: Ledger, action: Action, looks: Sequence[ModelSnapshot], reporter: Reporter
) -> ActionResult:
    found = next(one for one in looks if one.seen.model == action.model)
    acts: dict[str, Callable[[], ActionResult]] = {
        "tick": lambda: _tick(stack, action, reporter),
        "undo": lambda: _undo(stack, action, found, reporter),
        "finish": lambda: _finish(stack, action, found, reporter),
        "close": lambda: _close(stack, ledger, action),
        "retrain": lambda: _retrain(stack, ledger, action, reporter),
        "sweep": lambda: _sweep(stack, ledger, action),
    }
    reporter("step", {"number": 0, "of": 0, "message": f"{action.model}: {action.kind}, {action.why}"})
    try:
        return acts[action.kind]()
    except (RolledBack, NotEnoughData) as exc:
        return ActionResult(action, True, exc.message, exc.next_step)
    except BedplateError as exc:
        return ActionResult(action, False, exc.message, exc.next_step)


def _tick(stack: StackContext, action: Action, reporter: Reporter) -> ActionResult:
    ticked = rollout.tick(stack, action.model, reporter)
    if ticked is None:
        return ActionResult(action, True, "it is over by now")
    next_step = f"bedplate rollout promote {action.model}" if ticked.state.phase == "passed" else None
    return ActionResult(action, True, f"{ticked.state.phase}: {ticked.decision.told}", next_step)


def _undo(stack: StackContext, action: Action, found: ModelSnapshot, reporter: Reporter) -> ActionResult:
    attempt = found.attempt
    assert attempt is not None
    assert found.starved is not None
    error = undo_starved(means_of(stack, found.seen, attempt), attempt.release, found.starved, reporter)
    return ActionResult(action, True, error.message, error.next_step)


def _finish(stack: StackContext, action: Action, found: ModelSnapshot, reporter: Reporter) -> ActionResult:
    attempt = found.attempt
    assert attempt is not None
    done = settle(stack, found.seen, attempt, reporter)
    return ActionResult(action, True, f"{done.live} answers, and the ledger knows it")


def _sweep(stack: StackContext, ledger: Ledger, action: Action) -> ActionResult:
    stack.endpoints.delete_endpoint(action.endpoint)
    told = f"{action.endpoint}, left by a command that was killed, is deleted"
    ledger.record(
        "alert", told, actor=stack.identity.person, model=action.model, data={"deleted_endpoint": action.endpoint}
    )
    return ActionResult(action, True, told)


def _close(stack: StackContext, ledger: Ledger, action: Action) -> ActionResult:
    told = f"{action.why}: closed"
    ledger.record("alert", told, actor=stack.identity.person, model=action.model, data={"refused": action.seq})
    return ActionResult(action, True, told)


def _retrain(stack: StackContext, ledger: Ledger, action: Action, reporter: Reporter) -> ActionResult:
    """One step of a retraining; one that only a person can begin is wished for, once for each signal."""
    try:
        held = begin(stack, RetrainRequest(action.model), reporter)
    except CANNOT as exc:
        ledger.record(
            "alert",
            f"retraining is due: {action.why}; it cannot begin by itself: {exc.message}",
            actor=stack.identity.person,
            model=action.model,
            data={"retrain": action.seq, "why": action.why, "wished_at": iso_ms(stack.clock.now())},
        )
        return ActionResult(action, True, f"retraining is due: {action.why}; but {exc.message}", exc.next_step)
    done = go_on(stack, action.model, held, reporter, wait=False)
    if done is None:
        return ActionResult(action, True, f"retraining ({held.signal}: {held.why}): {held.job} runs")
    ref = f"{action.model}:{done.version}"
    verb = "approve" if done.verdict == "PASS" else "evaluate"
    return ActionResult(action, True, f"{ref} of the retraining: {done.verdict}", f"bedplate {verb} {ref}")


def _wished(records: Sequence[Record], model: str, asks: RetrainingSignal) -> bool:
    """Whether a signal without a record of its own (age) was said already, since the last training."""
    for r in reversed(records):
        if r.model == model and r.kind == "alert" and "retrain" in r.data:
            return bool(r.data["retrain"] == asks.seq)
        if r.model == model and r.kind in ("trained", "retraining"):
            return False
    return False
