"""Finishes interrupted and unattended operations of every model: takes snapshots, decides, and performs actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from bedplate.domain.ledger import Record, format_iso_ms
from bedplate.domain.reconcile import ORPHANED_AFTER_S, Action, ModelSnapshot, decide_actions
from bedplate.domain.rollout.bake import BakeStatus, judge_bake, margin_s
from bedplate.domain.rollout.deployment import ObservedEndpoint
from bedplate.domain.rollout.state_machine import find_open_rollout
from bedplate.domain.versions.retraining import RetrainingSignal, find_open_retraining, find_version_awaiting_decision
from bedplate.errors import BedplateError, NotEnoughData, NotFound, RolledBack
from bedplate.ports import EndpointState, Reporter
from bedplate.workflows.endpoint.follow import LOOK_BACK_S, bake_left_s, count_predictions
from bedplate.workflows.endpoint.observe import build_observation
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release import rollout
from bedplate.workflows.release.execute import roll_back_insufficient_traffic
from bedplate.workflows.release.finalize import build_tools, finalize
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.versions.retrain import (
    BLOCKING_ERRORS,
    RetrainRequest,
    begin_retraining,
    continue_retraining,
    list_signals,
)


@dataclass(frozen=True, slots=True)
class ActionResult:
    """The result of an action. `ok` is False only when the action itself failed; the next run repeats it."""

    action: Action
    ok: bool
    message: str
    next_step: str | None = None


def reconcile(
    stack: StackContext, models: Sequence[str], reporter: Reporter, *, every_s: float
) -> tuple[ActionResult, ...]:
    """Reconciles these models once.

    `every_s` is the time in seconds until the next run; a bake that ends before that run is judged in this one.

    A model that fails does not delay the others. Raises NotFound only when the platform itself does not exist.
    """
    ledger = Ledger.of(stack)
    records = ledger.records()
    snapshots = []
    for model in models:
        try:
            snapshots.append(take_snapshot(stack, model, records, every_s=every_s))
        except NotFound as exc:
            reporter("step", {"number": 0, "of": 0, "message": f"{model}: {exc.message}"})
    by_model = {snapshot.observed.model: snapshot for snapshot in snapshots}
    actions = decide_actions(snapshots)
    return tuple(_perform(stack, ledger, action, by_model[action.model], reporter) for action in actions)


def take_snapshot(stack: StackContext, model: str, records: Sequence[Record], *, every_s: float) -> ModelSnapshot:
    """Observes one model and returns everything that the decision about its actions needs; changes nothing."""
    now = stack.clock.now()
    state = stack.endpoints.observe(stack.names(model).endpoint)
    observed = build_observation(stack, model, state, records)
    rollout_state = find_open_rollout(records, model)
    attempt = observed.attempts[-1] if observed.attempts else None
    retraining = find_open_retraining(records, model)
    has_unfinished_retraining = retraining is not None or find_version_awaiting_decision(records, model) is not None
    signals = () if has_unfinished_retraining else list_signals(stack, model, list(records))
    return ModelSnapshot(
        observed=observed,
        rollout_id=rollout_state.id if rollout_state else None,
        insufficient_predictions=_insufficient_predictions(stack, observed, state, every_s),
        unchanged_s=(now - state.modified_at).total_seconds(),
        attempt_age_s=(now - attempt.started_at).total_seconds() if attempt else 0.0,
        due_signal=next((s for s in signals if s.seq or not _is_reported(records, model, s)), None),
        open_retraining=retraining,
        orphaned_copies=_orphaned_copies(stack, model, now),
    )


def _insufficient_predictions(
    stack: StackContext, observed: ObservedEndpoint, state: EndpointState, every_s: float
) -> float | None:
    """Returns the candidate's predictions when its bake is about to end with too few; None otherwise."""
    attempt, now = observed.attempts[-1] if observed.attempts else None, stack.clock.now()
    if attempt is None or not observed.is_busy or attempt.is_rollback or not attempt.min_bake_predictions:
        return None
    left_s = bake_left_s(state, now, attempt.bake_s)
    if left_s is None:
        return None
    since = attempt.started_at - timedelta(seconds=LOOK_BACK_S)
    predictions = count_predictions(stack, observed.endpoint, attempt.release, since, now)
    bake_margin_s = max(margin_s(attempt.bake_s, poll_s=1.0), min(every_s, attempt.bake_s / 2))
    bake = BakeStatus(left_s, predictions, attempt.min_bake_predictions, bake_margin_s)
    return predictions if judge_bake(bake) == "NO_DATA" else None


def _orphaned_copies(stack: StackContext, model: str, now: datetime) -> tuple[str, ...]:
    """Returns temporary endpoints that have not changed for so long that the command that created them was killed."""
    names: list[str] = []
    for name in stack.endpoints.list_endpoints(stack.names(model).copy_endpoint_prefix):
        with suppress(NotFound):  # deleted in the meantime
            copy = stack.endpoints.observe(name)
            is_old = (now - copy.modified_at).total_seconds() >= ORPHANED_AFTER_S
            names += [name] if is_old and copy.status not in ("Creating", "Deleting") else []
    return tuple(names)


def _perform(
    stack: StackContext, ledger: Ledger, action: Action, snapshot: ModelSnapshot, reporter: Reporter
) -> ActionResult:
    """Performs an action; an automatic rollback is a successful result, any other BedplateError a failed one."""
    functions: dict[str, Callable[[], ActionResult]] = {
        "tick": lambda: _tick(stack, action, reporter),
        "roll-back": lambda: _roll_back(stack, action, snapshot, reporter),
        "finish": lambda: _finish(stack, action, snapshot, reporter),
        "close": lambda: _close(stack, ledger, action),
        "retrain": lambda: _retrain(stack, ledger, action, reporter),
        "delete-copy": lambda: _delete_copy(stack, ledger, action),
    }
    reporter("step", {"number": 0, "of": 0, "message": f"{action.model}: {action.kind}, {action.reason}"})
    try:
        return functions[action.kind]()
    except (RolledBack, NotEnoughData) as exc:
        return ActionResult(action, True, exc.message, exc.next_step)
    except BedplateError as exc:
        return ActionResult(action, False, exc.message, exc.next_step)


def _tick(stack: StackContext, action: Action, reporter: Reporter) -> ActionResult:
    result = rollout.tick(stack, action.model, reporter)
    if result is None:
        return ActionResult(action, True, "the rollout is over")
    next_step = f"bedplate rollout promote {action.model}" if result.state.phase == "passed" else None
    return ActionResult(action, True, f"{result.state.phase}: {result.decision.message}", next_step)


def _roll_back(stack: StackContext, action: Action, snapshot: ModelSnapshot, reporter: Reporter) -> ActionResult:
    attempt, predictions = snapshot.attempt, snapshot.insufficient_predictions
    assert attempt is not None
    assert predictions is not None
    tools = build_tools(stack, snapshot.observed, attempt)
    error = roll_back_insufficient_traffic(tools, attempt.release, predictions, reporter)
    return ActionResult(action, True, error.message, error.next_step)


def _finish(stack: StackContext, action: Action, snapshot: ModelSnapshot, reporter: Reporter) -> ActionResult:
    attempt = snapshot.attempt
    assert attempt is not None
    result = finalize(stack, snapshot.observed, attempt, reporter)
    return ActionResult(action, True, f"{result.live} is live, and its outcome is recorded")


def _delete_copy(stack: StackContext, ledger: Ledger, action: Action) -> ActionResult:
    stack.endpoints.delete_endpoint(action.endpoint)
    message, data = f"{action.endpoint}, left by a killed command, was deleted", {"deleted_endpoint": action.endpoint}
    ledger.record("alert", message, actor=stack.identity.actor, model=action.model, data=data)
    return ActionResult(action, True, message)


def _close(stack: StackContext, ledger: Ledger, action: Action) -> ActionResult:
    """Records that the attempt `action.seq` never updated the endpoint, which ends it."""
    message, data = f"{action.reason}: closed", {"rejected_update": action.seq}
    ledger.record("alert", message, actor=stack.identity.actor, model=action.model, data=data)
    return ActionResult(action, True, message)


def _retrain(stack: StackContext, ledger: Ledger, action: Action, reporter: Reporter) -> ActionResult:
    """Starts or continues a retraining; one that cannot start without a person is recorded once for each signal."""
    try:
        retraining = begin_retraining(stack, RetrainRequest(action.model), reporter)
    except BLOCKING_ERRORS as exc:
        message = f"retraining is due: {action.reason}; it cannot start automatically: {exc.message}"
        data = {"retraining_due": action.seq, "reason": action.reason, "requested_at": format_iso_ms(stack.clock.now())}
        ledger.record("alert", message, actor=stack.identity.actor, model=action.model, data=data)
        return ActionResult(action, True, message, exc.next_step)
    result = continue_retraining(stack, action.model, retraining, reporter, wait=False)
    if result is None:
        job = f"{retraining.job} is running"
        return ActionResult(action, True, f"retraining ({retraining.signal}: {retraining.reason}): {job}")
    ref = f"{action.model}:{result.version}"
    verb = "approve" if result.verdict == "PASS" else "evaluate"
    return ActionResult(action, True, f"{ref} of the retraining: {result.verdict}", f"bedplate {verb} {ref}")


def _is_reported(records: Sequence[Record], model: str, signal: RetrainingSignal) -> bool:
    """Returns whether a signal was recorded as due since the last training.

    Needed for signals that are not ledger records themselves, such as the model's age; their `seq` is 0.
    """
    for record in reversed(records):
        if record.model == model and record.kind == "alert" and "retraining_due" in record.data:
            return bool(record.data["retraining_due"] == signal.seq)
        if record.model == model and record.kind in ("trained", "retraining"):
            return False
    return False
