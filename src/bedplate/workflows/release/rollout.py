"""Takes a rollout of two releases side by side from its beginning to its end, one resumable tick at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bedplate import ports
from bedplate.domain.names import CHALLENGER, VARIANT
from bedplate.domain.release import spoken
from bedplate.domain.rollout.machine import (
    MIRRORED,
    WATCHED,
    Event,
    RolloutState,
    RolloutTerms,
    can,
    open_rollout,
)
from bedplate.domain.rollout.ticking import (
    Act,
    CancelUpdate,
    CreateSplit,
    EndpointView,
    RestoreChampion,
    RolloutDecision,
    SetWeights,
    StrategyVerdict,
    decide,
)
from bedplate.errors import (
    BedplateError,
    Conflict,
    GateFailed,
    Locked,
    NotEnoughData,
    NotFound,
    RolledBack,
    UsageError,
)
from bedplate.ports import ReleaseDraft, Reporter, SplitDraft, TrafficRouting, VariantDraft
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.capture import capture_uri
from bedplate.workflows.endpoint.observe import observe
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import (
    DeployRequest,
    approved_package,
    champion_edges,
    deploy,
    prepare,
    release_draft,
)
from bedplate.workflows.release.execute import abort
from bedplate.workflows.release.rollout_measurements import judge
from bedplate.workflows.release.rollout_record import last_rollout, tell
from bedplate.workflows.stack_context import StackContext

ALL_AT_ONCE_PCT = 100
PAUSE_LOCAL_S = 0.5
PAUSE_AWS_S = 15.0


@dataclass(frozen=True, slots=True)
class TickResult:
    """One tick: the state behind it, and what was decided."""

    state: RolloutState
    decision: RolloutDecision
    weights: Mapping[str, float]
    status: str


def tick(stack: StackContext, model: str, reporter: Reporter) -> TickResult | None:
    """Observe, decide, record, act: once. None when no rollout is open.

    Raises Locked when somebody else ticked at the same time: theirs counts.
    """
    ledger = Ledger.of(stack)
    records = ledger.records()
    state = open_rollout(records, model)
    if state is None:
        return None
    spec = stack.model(model)
    endpoint = stack.endpoints.observe(stack.names(model).endpoint)
    world = _world(stack, spec, state, endpoint)
    judgement: StrategyVerdict | None = None
    if state.phase in WATCHED and not world.busy and world.config == state.terms.split:
        judgement = judge(stack, spec, state)
    decision = decide(state, world, judgement, stack.clock.now())
    if decision.event:
        state = tell(stack, state, decision.event, decision.told, decision.data, records[-1].seq)
    if decision.act:
        reporter("step", {"number": 0, "of": 0, "message": decision.act.message})
        state = _do(stack, spec, state, decision.act, reporter)
    return TickResult(state, decision, world.weights, endpoint.status)


def follow(stack: StackContext, model: str, reporter: Reporter) -> RolloutState:
    """Tick until a person or time has to say what is next: it passed, it was paused, or it is over.

    Says `experiment` with phase, weights, what was decided and the figures.
    """
    pause_s = PAUSE_LOCAL_S if stack.identity.local_url else PAUSE_AWS_S
    state = last_rollout(stack, model)
    while True:
        try:
            ticked = tick(stack, model, reporter)
        except Locked:
            ticked = None
        state = ticked.state if ticked else last_rollout(stack, model)
        if ticked:
            reporter("experiment", view(ticked))
        if state.over or state.phase == "paused" or (state.phase == "passed" and not state.terms.auto_promote):
            return state
        stack.clock.sleep(pause_s)


def view(ticked: TickResult) -> Mapping[str, Any]:
    """What is to be seen of a tick."""
    return {
        "phase": ticked.state.phase,
        "strategy": ticked.state.terms.strategy,
        "weights": dict(ticked.weights),
        "told": ticked.decision.told,
        "facts": dict(ticked.state.facts),
    }


def order(
    stack: StackContext,
    model: str,
    event: Literal["promote", "pause", "resume", "abort"],
    *,
    reason: str | None,
    reporter: Reporter,
) -> RolloutState:
    """What a person wants: recorded, then acted on by a tick.

    Raises NotFound when no rollout is open, UsageError when its phase does not know the order.
    """
    records = Ledger.of(stack).records()
    state = open_rollout(records, model)
    if state is None:
        raise NotFound(f"No rollout of {model} is open", next_step=f"bedplate rollout history {model}")
    meant: Event = state.terms.running if event == "resume" else event
    if not can(state.phase, meant) or (event == "resume" and state.phase != "paused"):
        raise UsageError(
            f"A rollout that is {state.phase} cannot {event}", next_step=f"bedplate rollout status {model}"
        )
    if event == "promote" and state.verdict != "PASS" and not reason:
        raise UsageError(
            f"{spoken(state.terms.challenger)} has no PASS yet ({state.verdict or 'no verdict'}): a reason is needed",
            next_step=f"bedplate rollout promote {model} --reason '...'",
        )
    data = {"reason": reason, "by": "person"} if event == "abort" else {"reason": reason}
    summary = {"promote": "is promoted", "pause": "rests", "resume": "goes on", "abort": "is given up"}[event]
    state = tell(stack, state, meant, f"{summary}{f': {reason}' if reason else ''}", data, records[-1].seq)
    ticked = tick(stack, model, reporter)
    return ticked.state if ticked else state


def state_json(state: RolloutState) -> dict[str, Any]:
    """A rollout's state as data."""
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
        "facts": dict(state.facts),
    }


def outcome_error(state: RolloutState) -> BedplateError | None:
    """What the command line says of a rollout's end; None for a good one."""
    terms, why = state.terms, state.reason or "no reason was given"
    told = f"{spoken(terms.challenger)} was not promoted: {why}. {spoken(terms.champion)} answers."
    history = f"bedplate rollout history {state.model}"
    if state.phase == "no-data":
        return NotEnoughData(
            told, next_step=f"bedplate invoke {state.model}, bedplate labels add {state.model}; {history}"
        )
    if state.phase == "rolled-back" and state.by == "figures":
        return GateFailed(told, next_step=history)
    if state.phase in ("rolled-back", "aborted"):
        return RolledBack(told, next_step=history)
    return None


# --- acts -----------------------------------------------------------------------------------------------------------


def _do(stack: StackContext, spec: ModelSpec, state: RolloutState, act: Act, reporter: Reporter) -> RolloutState:
    endpoint, terms = stack.names(state.model).endpoint, state.terms
    try:
        if isinstance(act, CreateSplit):
            _install(stack, spec, state)
        elif isinstance(act, SetWeights):
            stack.endpoints.set_weights(endpoint, act.weights)
        elif isinstance(act, RestoreChampion):
            stack.endpoints.update(
                endpoint, terms.champion_config, TrafficRouting("ALL_AT_ONCE", ALL_AT_ONCE_PCT, 0, ())
            )
        elif isinstance(act, CancelUpdate):
            alarm = next(iter(stack.metrics.alarms(stack.names(state.model).rollback_alarms)), None)
            if alarm:
                abort(stack, endpoint, alarm, f"rollout {state.id}: {state.reason or state.why}")
        else:
            return _promote(stack, state, reporter)
    except Conflict:
        pass  # an update came first: the next tick looks again
    return state


def _install(stack: StackContext, spec: ModelSpec, state: RolloutState) -> None:
    terms, names = state.terms, stack.names(state.model)
    draft = _challenger(stack, spec, state)
    stack.endpoints.create_release(draft)
    stack.endpoints.create_split(_split(stack, spec, terms, draft))
    alarms = tuple(stack.metrics.alarms(names.rollback_alarms))
    stack.endpoints.update(names.endpoint, terms.split, TrafficRouting("ALL_AT_ONCE", ALL_AT_ONCE_PCT, 0, alarms))


def _challenger(stack: StackContext, spec: ModelSpec, state: RolloutState) -> ReleaseDraft:
    terms = state.terms
    records = Ledger.of(stack).records()
    package = approved_package(stack, state.model, terms.version, records)
    seen = observe(stack, state.model, records)
    edges, _ = champion_edges(stack, spec, stack.names(state.model), seen)
    draft = release_draft(stack, spec, package, terms.champion, edges)
    if draft.name != terms.challenger:
        raise UsageError(
            f"model.yaml or the version changed since the rollout began: {draft.name} would be made, and "
            f"{terms.challenger} was meant",
            next_step=f"bedplate rollout abort {state.model} --reason '...'",
        )
    return draft


def _split(stack: StackContext, spec: ModelSpec, terms: RolloutTerms, draft: ReleaseDraft) -> SplitDraft:
    def variant(name: str, release: str, weight: float) -> VariantDraft:
        return VariantDraft(name, release, draft.instance_type, draft.instance_count, weight)

    mirrored = terms.strategy in MIRRORED
    champion = variant(VARIANT, terms.champion, terms.weights[VARIANT])
    challenger = variant(CHALLENGER, terms.challenger, terms.share)
    return SplitDraft(
        name=terms.split,
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
        strategy=terms.promote_by,
        reason=f"rollout {state.id}: {state.verdict or 'forced'}",
        wait=False,
        within=state.id,
    )
    try:
        prepared = prepare(stack, request)
        if prepared.release != terms.challenger and prepared.plan.moves_traffic:
            raise UsageError(
                f"model.yaml or the version changed since the rollout began: {prepared.release} would go live",
                next_step=f"bedplate rollout abort {state.model} --reason '...'",
            )
        deploy(prepared, reporter)
    except RolledBack as exc:
        records = Ledger.of(stack).records()
        data = {"verdict": "FAIL", "reason": exc.message, "by": "alarm"}
        return tell(stack, state, "undone", exc.message, data, records[-1].seq)
    return last_rollout(stack, state.model)


# --- looking and telling --------------------------------------------------------------------------------------------


def _world(stack: StackContext, spec: ModelSpec, state: RolloutState, endpoint: ports.EndpointState) -> EndpointView:
    alarms = stack.metrics.alarms(stack.names(spec.name).rollback_alarms)
    return EndpointView(
        config=endpoint.config,
        pending=endpoint.pending_config,
        busy=endpoint.status in ("Creating", "Updating", "SystemUpdating", "RollingBack"),
        undoable=endpoint.status == "Updating" and endpoint.pending_config is not None,
        weights=endpoint.variants,
        modified_at=endpoint.modified_at,
        failure_reason=endpoint.failure_reason,
        alarms_raised=tuple(name for name, alarm in alarms.items() if alarm.state == "ALARM"),
        promoted=endpoint.config == state.terms.challenger,
    )
