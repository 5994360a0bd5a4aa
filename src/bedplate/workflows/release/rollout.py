"""Runs a rollout of two releases side by side, one resumable tick at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bedplate import ports
from bedplate.domain.names import CHALLENGER, VARIANT
from bedplate.domain.release import display_name
from bedplate.domain.rollout.state_machine import (
    MEASURED_PHASES,
    MIRRORED,
    Event,
    RolloutState,
    RolloutTerms,
    find_open_rollout,
    is_allowed,
)
from bedplate.domain.rollout.tick import (
    CancelUpdate,
    CreateMultiVariantConfig,
    EndpointView,
    RestoreChampion,
    RolloutDecision,
    SetWeights,
    StrategyVerdict,
    TickAction,
    decide_tick,
)
from bedplate.errors import BedplateError, Conflict, GateFailed, Locked, NotEnoughData, NotFound, RolledBack, UsageError
from bedplate.ports import MultiVariantDraft, ReleaseDraft, Reporter, TrafficRouting, VariantDraft
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.capture import capture_uri
from bedplate.workflows.endpoint.observe import observe_endpoint
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import (
    DeployRequest,
    build_release_draft,
    deploy,
    find_approved_package,
    prepare,
    read_champion_edges,
)
from bedplate.workflows.release.execute import abort_update
from bedplate.workflows.release.rollout_measurements import judge
from bedplate.workflows.release.rollout_record import find_last_rollout, record_event
from bedplate.workflows.stack_context import StackContext

PAUSE_LOCAL_S = 0.5
PAUSE_AWS_S = 15.0


@dataclass(frozen=True, slots=True)
class TickResult:
    """One tick: the decision and the state after it."""

    state: RolloutState
    decision: RolloutDecision
    weights: Mapping[str, float]
    status: str


def tick(stack: StackContext, model: str, reporter: Reporter) -> TickResult | None:
    """Observes, decides, records and acts once. Returns None when no rollout is open.

    Raises Locked when another process ticked at the same time; then the other tick counts.
    """
    records = Ledger.of(stack).records()
    state = find_open_rollout(records, model)
    if state is None:
        return None
    spec = stack.model(model)
    endpoint = stack.endpoints.observe(stack.names(model).endpoint)
    view = _build_view(stack, spec, state, endpoint)
    verdict: StrategyVerdict | None = None
    if state.phase in MEASURED_PHASES and not view.is_busy and view.config == state.terms.multi_variant_config:
        verdict = judge(stack, spec, state)
    decision = decide_tick(state, view, verdict, stack.clock.now())
    if decision.event:
        state = record_event(stack, state, decision.event, decision.message, decision.data, records[-1].seq)
    if decision.action:
        reporter("step", {"number": 0, "of": 0, "message": decision.action.message})
        state = _perform(stack, spec, state, decision.action, reporter)
    return TickResult(state, decision, view.weights, endpoint.status)


def follow_rollout(stack: StackContext, model: str, reporter: Reporter) -> RolloutState:
    """Ticks until the rollout has passed, is paused or is over; a person decides what follows.

    Reports `experiment` events with the phase, weights, message and measurements of each tick.
    """
    pause_s = PAUSE_LOCAL_S if stack.identity.local_url else PAUSE_AWS_S
    while True:
        try:
            result = tick(stack, model, reporter)
        except Locked:
            result = None
        state = result.state if result else find_last_rollout(stack, model)
        if result:
            reporter("experiment", format_tick(result))
        if state.is_over or state.phase == "paused" or (state.phase == "passed" and not state.terms.auto_promote):
            return state
        stack.clock.sleep(pause_s)


def format_tick(result: TickResult) -> Mapping[str, Any]:
    """Returns the fields of a tick's `experiment` event."""
    return {
        "phase": result.state.phase,
        "strategy": result.state.terms.strategy,
        "weights": dict(result.weights),
        "message": result.decision.message,
        "measurements": dict(result.state.measurements),
    }


def apply_command(
    stack: StackContext,
    model: str,
    command: Literal["promote", "pause", "resume", "abort"],
    *,
    reason: str | None,
    reporter: Reporter,
) -> RolloutState:
    """Records a person's command and acts on it with a tick.

    Raises NotFound when no rollout is open, UsageError when its phase does not allow the command.
    """
    records = Ledger.of(stack).records()
    state = find_open_rollout(records, model)
    if state is None:
        raise NotFound(f"No rollout of {model} is open", next_step=f"bedplate rollout history {model}")
    event: Event = state.terms.start_event if command == "resume" else command
    if not is_allowed(state.phase, event) or (command == "resume" and state.phase != "paused"):
        next_step = f"bedplate rollout status {model}"
        raise UsageError(f"Cannot {command} a rollout in phase {state.phase!r}", next_step=next_step)
    if command == "promote" and state.verdict != "PASS" and not reason:
        raise UsageError(
            f"{display_name(state.terms.challenger)} has no PASS ({state.verdict or 'no verdict'}): give a reason",
            next_step=f"bedplate rollout promote {model} --reason '...'",
        )
    data = {"reason": reason, "decided_by": "person"} if command == "abort" else {"reason": reason}
    message = {"promote": "promoted", "pause": "paused", "resume": "resumed", "abort": "aborted"}[command]
    message += f": {reason}" if reason else ""
    state = record_event(stack, state, event, message, data, records[-1].seq)
    result = tick(stack, model, reporter)
    return result.state if result else state


def format_state(state: RolloutState) -> dict[str, Any]:
    """Returns a rollout's state as JSON values."""
    terms = state.terms
    return {
        "rollout": state.id,
        "model": state.model,
        "strategy": terms.strategy,
        "phase": state.phase,
        "verdict": state.verdict,
        "reason": state.reason,
        "champion": terms.champion,
        "challenger": terms.challenger,
        "weights": dict(state.weights),
        "measurements": dict(state.measurements),
    }


def outcome_error(state: RolloutState) -> BedplateError | None:
    """Returns the error that the CLI raises for a rollout's end; None when it succeeded or is open."""
    terms, reason = state.terms, state.reason or "no reason given"
    champion, history = display_name(terms.champion), f"bedplate rollout history {state.model}"
    message = f"{display_name(terms.challenger)} was not promoted: {reason}. {champion} is live."
    if state.phase == "no-data":
        next_step = f"bedplate invoke {state.model}, bedplate labels add {state.model}; {history}"
        return NotEnoughData(message, next_step=next_step)
    if state.phase == "rolled-back" and state.decided_by == "metrics":
        return GateFailed(message, next_step=history)
    if state.phase in ("rolled-back", "aborted"):
        return RolledBack(message, next_step=history)
    return None


# --- actions --------------------------------------------------------------------------------------------------------


def _perform(
    stack: StackContext, spec: ModelSpec, state: RolloutState, action: TickAction, reporter: Reporter
) -> RolloutState:
    endpoint, terms = stack.names(state.model).endpoint, state.terms
    try:
        if isinstance(action, CreateMultiVariantConfig):
            _install_both(stack, spec, state)
        elif isinstance(action, SetWeights):
            stack.endpoints.set_weights(endpoint, action.weights)
        elif isinstance(action, RestoreChampion):
            stack.endpoints.update(endpoint, terms.champion_config, TrafficRouting("ALL_AT_ONCE", 100, 0, ()))
        elif isinstance(action, CancelUpdate):
            alarm = next(iter(stack.metrics.get_alarms(stack.names(state.model).rollback_alarms)), None)
            if alarm:
                abort_update(stack, endpoint, alarm, f"rollout {state.id}: {state.reason or state.rollback_cause}")
        else:
            return _promote(stack, state, reporter)
    except Conflict:
        pass  # another update was started first: the next tick observes the endpoint again
    return state


def _install_both(stack: StackContext, spec: ModelSpec, state: RolloutState) -> None:
    terms, names = state.terms, stack.names(state.model)
    draft = _challenger_draft(stack, spec, state)
    stack.endpoints.create_release(draft)
    stack.endpoints.create_multi_variant(_multi_variant_draft(stack, spec, terms, draft))
    alarms = tuple(stack.metrics.get_alarms(names.rollback_alarms))
    stack.endpoints.update(names.endpoint, terms.multi_variant_config, TrafficRouting("ALL_AT_ONCE", 100, 0, alarms))


def _challenger_draft(stack: StackContext, spec: ModelSpec, state: RolloutState) -> ReleaseDraft:
    terms = state.terms
    records = Ledger.of(stack).records()
    package = find_approved_package(stack, state.model, terms.version, records)
    observed = observe_endpoint(stack, state.model, records)
    edges, _ = read_champion_edges(stack, spec, stack.names(state.model), observed)
    draft = build_release_draft(stack, spec, package, terms.champion, edges)
    if draft.name != terms.challenger:
        raise UsageError(
            "model.yaml or the version changed since the rollout started: the release would be "
            f"{draft.name} instead of {terms.challenger}",
            next_step=f"bedplate rollout abort {state.model} --reason '...'",
        )
    return draft


def _multi_variant_draft(
    stack: StackContext, spec: ModelSpec, terms: RolloutTerms, draft: ReleaseDraft
) -> MultiVariantDraft:
    def variant(name: str, release: str, weight: float) -> VariantDraft:
        return VariantDraft(name, release, draft.instance_type, draft.instance_count, weight)

    mirrored = terms.strategy in MIRRORED
    champion = variant(VARIANT, terms.champion, terms.weights[VARIANT])
    challenger = variant(CHALLENGER, terms.challenger, terms.share)
    return MultiVariantDraft(
        name=terms.multi_variant_config,
        variants=(champion,) if mirrored else (champion, challenger),
        shadows=(challenger,) if mirrored else (),
        capture_uri=capture_uri(stack, spec.name),
        capture_pct=spec.serving.capture_pct,
        tags=draft.tags,
        kms_key_arn=draft.kms_key_arn,
    )


def _promote(stack: StackContext, state: RolloutState, reporter: Reporter) -> RolloutState:
    terms = state.terms
    request = DeployRequest(
        state.model,
        terms.version,
        strategy=terms.promotion_strategy,
        reason=f"rollout {state.id}: {state.verdict or 'forced'}",
        wait=False,
        rollout_id=state.id,
    )
    try:
        prepared = prepare(stack, request)
        if prepared.release != terms.challenger and prepared.plan.moves_traffic:
            raise UsageError(
                f"model.yaml or the version changed since the rollout started: {prepared.release} would go live",
                next_step=f"bedplate rollout abort {state.model} --reason '...'",
            )
        deploy(prepared, reporter)
    except RolledBack as exc:
        records = Ledger.of(stack).records()
        data = {"verdict": "FAIL", "reason": exc.message, "decided_by": "alarm"}
        return record_event(stack, state, "rolled-back", exc.message, data, records[-1].seq)
    return find_last_rollout(stack, state.model)


# --- observation -----------------------------------------------------------------------------------------------------


def _build_view(
    stack: StackContext, spec: ModelSpec, state: RolloutState, endpoint: ports.EndpointState
) -> EndpointView:
    alarms = stack.metrics.get_alarms(stack.names(spec.name).rollback_alarms)
    return EndpointView(
        config=endpoint.config,
        pending=endpoint.pending_config,
        is_busy=endpoint.status in ("Creating", "Updating", "SystemUpdating", "RollingBack"),
        can_roll_back=endpoint.status == "Updating" and endpoint.pending_config is not None,
        weights=endpoint.variants,
        modified_at=endpoint.modified_at,
        failure_reason=endpoint.failure_reason,
        alarms_raised=tuple(name for name, alarm in alarms.items() if alarm.state == "ALARM"),
        is_promoted=endpoint.config == state.terms.challenger,
    )
