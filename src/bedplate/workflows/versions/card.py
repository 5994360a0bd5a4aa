"""Collects everything that registry, ledger, evaluation, contract and endpoint record about a version."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bedplate.domain.evidence.evaluation import Evaluation
from bedplate.domain.ledger import LIVE_KINDS, Record, sha256
from bedplate.domain.names import model_card
from bedplate.domain.release import version_of
from bedplate.domain.rollback import choose_target
from bedplate.domain.rollout.state_machine import find_open_rollout
from bedplate.domain.versions.approval import list_version_records
from bedplate.domain.versions.card import LINEAGE, LivePeriod, VersionCard, VersionRole, sagemaker_status, to_sagemaker
from bedplate.domain.versions.retirement import find_retirement
from bedplate.errors import BedplateError, Conflict, NotFound, PlatformError
from bedplate.ports import ModelCards, Package
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.observe import observe_endpoint
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.lineage import read_code, read_hyperparameters
from bedplate.workflows.versions.models import find_version

DETAILS = "details.json"
"""The file beside an evaluation with the card's permanent part; its hash is in the package's metadata."""


def load_card(stack: StackContext, model: str, version: int | None) -> VersionCard:
    """Returns the card of a version, by default the newest; changes nothing. Raises NotFound."""
    package = find_version(stack, model, version)
    return build_card(stack, model, package, Ledger.of(stack).records())


def build_card(stack: StackContext, model: str, package: Package, records: Sequence[Record]) -> VersionCard:
    """Returns the card of a package."""
    spec, contract = stack.model(model), _read_contract(stack, package)
    metadata, own_records = package.metadata, list_version_records(records, model, package.version)
    evaluation, evaluated = _read_evaluation(stack, package), _find_last(own_records, "evaluated")
    deployments, target = find_deployments(stack, model, package.version, records)
    retirement = find_retirement(records, model, package.version, spec.retire_on)
    card_spec = contract or spec
    notes = [str(record.data["notes"]) for record in own_records if record.data.get("notes")]
    return VersionCard(
        model=model,
        version=package.version,
        arn=package.arn,
        status=package.approval,
        stack=stack.name,
        created_at=stack.clock.now(),
        description=card_spec.description,
        owner=card_spec.owner,
        on_call=card_spec.on_call,
        intended_use=card_spec.intended_use,
        excluded_use=card_spec.excluded_use,
        risk=card_spec.risk,
        limits=card_spec.limits,
        task=card_spec.task,
        algorithm=metadata.get("algorithm"),
        fallback=card_spec.fallback,
        notes=notes[-1] if notes else metadata.get("notes"),
        artifact_uri=package.artifact_uri,
        image_uri=package.image_uri,
        lineage={key: metadata[key] for key in LINEAGE if metadata.get(key)},
        hyperparameters=_read_hyperparameters(package, records),
        features=card_spec.data.features,
        verdict=metadata.get("verdict"),
        evaluation_uri=metadata.get("evaluation_uri"),
        rows=evaluation.rows if evaluation else None,
        metrics=evaluation.candidate if evaluation else {},
        difference=(evaluation.difference or {}) if evaluation else {},
        champion=str(evaluated.data.get("champion")) if evaluated and evaluated.data.get("champion") else None,
        segments=evaluation.segments if evaluation else {},
        gates=tuple(evaluated.data.get("gates") or ()) if evaluated else (),
        approved_by=metadata.get("approved_by"),
        approval_reason=metadata.get("approval_reason"),
        forced_by=metadata.get("forced_by"),
        deployments=deployments,
        live_periods=list_live_periods(records, model, package.version),
        rollback_candidate=target,
        retire_on=retirement.on.isoformat() if retirement else None,
        sbom_uri=metadata.get("sbom_uri"),
    )


def store_details(stack: StackContext, card: VersionCard) -> str:
    """Stores the card's permanent part beside the evaluation; returns its SHA-256 for the package's metadata."""
    body = json.dumps(card.details(), sort_keys=True, indent=1).encode()
    stack.objects.put(details_uri(card.evaluation_uri or ""), body, content_type="application/json")
    return sha256(body)


def details_uri(evaluation_uri: str) -> str:
    """Returns the URI of the details beside an evaluation.

    >>> details_uri("s3://artifacts/evaluations/churn/v1/0a1b/evaluation.json")
    's3://artifacts/evaluations/churn/v1/0a1b/details.json'
    """
    return f"{evaluation_uri.rpartition('/')[0]}/{DETAILS}"


def find_tampering(stack: StackContext, package: Package) -> str | None:
    """Returns how the stored details differ from the hash in the package's metadata; None if they match or do not exist
    yet."""
    expected, evaluation_uri = package.metadata.get("details_sha256"), package.metadata.get("evaluation_uri")
    if not expected or not evaluation_uri:
        return None
    uri = details_uri(evaluation_uri)
    try:
        actual = sha256(stack.objects.get(uri))
    except NotFound:
        return f"{uri} is gone"
    return None if actual == expected else f"{uri} was changed: {actual[:12]} instead of {expected[:12]}"


def publish_card(stack: StackContext, cards: ModelCards, card: VersionCard) -> tuple[str, int]:
    """Creates or updates the version's model card in SageMaker; returns its ARN and its version there."""
    from datetime import date

    retired = card.retire_on is not None and date.fromisoformat(card.retire_on) <= card.created_at.date()
    name = model_card(stack.names(card.model).package_group, card.version)
    return cards.put(name, to_sagemaker(card), sagemaker_status(card.status, retired=retired))


def list_live_periods(records: Sequence[Record], model: str, version: int) -> tuple[LivePeriod, ...]:
    """Returns when a version was live, by the order of the ledger's records, whatever their clocks show."""
    periods: list[LivePeriod] = []
    for record in records:
        if record.model != model or record.kind not in LIVE_KINDS or not record.data.get("live"):
            continue
        is_version = version_of(str(record.data["live"])) == version
        if periods and periods[-1].until is None and not is_version:
            periods[-1] = LivePeriod(periods[-1].since, record.at)
        elif is_version and (not periods or periods[-1].until is not None):
            periods.append(LivePeriod(record.at, None))
    return tuple(periods)


def _read_contract(stack: StackContext, package: Package) -> ModelSpec | None:
    try:
        return read_code(stack, package).spec
    except (NotFound, PlatformError):
        return None


def _read_hyperparameters(package: Package, records: Sequence[Record]) -> dict[str, str]:
    try:
        return read_hyperparameters(package, records)
    except NotFound:
        return {}


def _read_evaluation(stack: StackContext, package: Package) -> Evaluation | None:
    uri = package.metadata.get("evaluation_uri")
    if not uri:
        return None
    try:
        return Evaluation.from_json(json.loads(stack.objects.get(uri)))
    except NotFound:
        return None
    except (KeyError, TypeError, ValueError) as exc:
        raise Conflict(
            f"{uri} is not a valid evaluation: {exc}",
            next_step=f"bedplate evaluate {package.metadata.get('model', package.group)}:{package.version} --again",
        ) from exc


def find_deployments(
    stack: StackContext, model: str, version: int, records: Sequence[Record]
) -> tuple[tuple[VersionRole, ...], str | None]:
    """Returns the version's current roles, and, if it is live, the release that a rollback returns to."""
    try:
        view = observe_endpoint(stack, model, records)
    except NotFound:
        return (), None
    roles = []
    if version_of(view.live) == version:
        roles.append(VersionRole(view.endpoint, "live", view.live))
    pending = view.release_of(view.pending) if view.pending else None
    if pending and version_of(pending) == version:
        roles.append(VersionRole(view.endpoint, "pending", pending))
    rollout = find_open_rollout(records, model)
    if rollout and rollout.terms.version == version:
        roles.append(VersionRole(view.endpoint, f"challenger, {rollout.phase}", rollout.terms.challenger))
    try:
        target: str | None = choose_target(view, records, None).release
    except BedplateError:
        target = None
    if target and version_of(target) == version:
        roles.append(VersionRole(view.endpoint, "rollback candidate", target))
    return tuple(roles), target if version_of(view.live) == version else None


def _find_last(records: Sequence[Record], kind: str) -> Record | None:
    return next((record for record in reversed(records) if record.kind == kind), None)
