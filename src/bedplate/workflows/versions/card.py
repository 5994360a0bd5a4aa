"""Gathers all that registry, ledger, evaluation, contract and endpoint know of one version."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bedplate.domain.evidence.evaluation import Evaluation
from bedplate.domain.ledger import LIVE_KINDS, Record, sha256
from bedplate.domain.names import model_card
from bedplate.domain.release import version_told
from bedplate.domain.rollback import choose_target
from bedplate.domain.rollout.machine import open_rollout
from bedplate.domain.versions.card import LINEAGE, LivePeriod, VersionCard, VersionRole, card_status, to_sagemaker
from bedplate.domain.versions.retirement import retirement_of
from bedplate.errors import BedplateError, Conflict, NotFound, PlatformError
from bedplate.ports import Cards, Package
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.observe import observe
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.lineage import code_of, hyperparameters_of
from bedplate.workflows.versions.models import find_version

DETAILS = "details.json"
"""Beside an evaluation: the part of the card that does not change any more; its hash is in the package."""


def gather(stack: StackContext, model: str, version: int | None) -> VersionCard:
    """Everything about a version (the newest without one); nothing is changed. Raises NotFound."""
    package = find_version(stack, model, version)
    return card_of(stack, model, package, Ledger.of(stack).records())


def card_of(stack: StackContext, model: str, package: Package, records: Sequence[Record]) -> VersionCard:
    """The card of a package that was found already."""
    spec, contract = stack.model(model), _contract(stack, package)
    told, mine = package.metadata, [r for r in records if r.model == model and r.version == package.version]
    evaluation, judged = _evaluation(stack, package), _last(mine, "evaluated")
    deployments, target = deployments_of(stack, model, package.version, records)
    retirement = retirement_of(records, model, package.version, spec.retire_on)
    of = contract or spec
    notes = next((str(r.data["notes"]) for r in reversed(mine) if r.data.get("notes")), told.get("notes"))
    return VersionCard(
        model=model,
        version=package.version,
        arn=package.arn,
        status=package.approval,
        stack=stack.name,
        made_at=stack.clock.now(),
        description=of.description,
        owner=of.owner,
        on_call=of.on_call,
        intended_use=of.intended_use,
        excluded_use=of.excluded_use,
        risk=of.risk,
        limits=of.limits,
        task=of.task,
        algorithm=told.get("algorithm"),
        fallback=of.fallback,
        notes=notes,
        artifact_uri=package.artifact_uri,
        image_uri=package.image_uri,
        lineage={key: told[key] for key in LINEAGE if told.get(key)},
        hyperparameters=_hyperparameters(package, records),
        features=of.data.features,
        verdict=told.get("verdict"),
        evaluation_uri=told.get("evaluation_uri"),
        rows=evaluation.rows if evaluation else None,
        metrics=evaluation.candidate if evaluation else {},
        difference=(evaluation.difference or {}) if evaluation else {},
        champion=str(judged.data.get("champion")) if judged and judged.data.get("champion") else None,
        segments=evaluation.segments if evaluation else {},
        gates=tuple(judged.data.get("gates") or ()) if judged else (),
        approved_by=told.get("approved_by"),
        approval_reason=told.get("approval_reason"),
        forced_by=told.get("forced_by"),
        deployments=deployments,
        stays=stays(records, model, package.version),
        rollback_candidate=target,
        retire_on=retirement.on.isoformat() if retirement else None,
        sbom_uri=told.get("sbom_uri"),
    )


def keep_details(stack: StackContext, card: VersionCard) -> str:
    """Put what does not change any more beside the evaluation; returns its SHA-256, for the package."""
    body = json.dumps(card.lasting(), sort_keys=True, indent=1).encode()
    stack.objects.put(details_uri(card.evaluation_uri or ""), body, content_type="application/json")
    return sha256(body)


def details_uri(evaluation_uri: str) -> str:
    """
    >>> details_uri("s3://artifacts/evaluations/churn/v1/0a1b/evaluation.json")
    's3://artifacts/evaluations/churn/v1/0a1b/details.json'
    """
    return f"{evaluation_uri.rpartition('/')[0]}/{DETAILS}"


def tampered(stack: StackContext, package: Package) -> str | None:
    """What is wrong with the details that a package vouches for by hash; None when they are as they were, or not there
    yet."""
    wanted, uri = package.metadata.get("details_sha256"), package.metadata.get("evaluation_uri")
    if not wanted or not uri:
        return None
    try:
        found = sha256(stack.objects.get(details_uri(uri)))
    except NotFound:
        return f"{details_uri(uri)} is gone"
    return None if found == wanted else f"{details_uri(uri)} was changed: {found[:12]} instead of {wanted[:12]}"


def publish(stack: StackContext, cards: Cards, card: VersionCard) -> tuple[str, int]:
    """Create or update the version's card in SageMaker; (its ARN, its version there)."""
    from datetime import date

    retired = card.retire_on is not None and date.fromisoformat(card.retire_on) <= card.made_at.date()
    name = model_card(stack.names(card.model).package_group, card.version)
    return cards.put(name, to_sagemaker(card), card_status(card.status, retired=retired))


def stays(records: Sequence[Record], model: str, version: int) -> tuple[LivePeriod, ...]:
    """When a version answered, as the ledger has it: by the order of its records, whatever their clocks said."""
    found: list[LivePeriod] = []
    for r in records:
        if r.model != model or r.kind not in LIVE_KINDS or not r.data.get("live"):
            continue
        mine = version_told(str(r.data["live"])) == version
        if found and found[-1].until is None and not mine:
            found[-1] = LivePeriod(found[-1].since, r.at)
        elif mine and (not found or found[-1].until is not None):
            found.append(LivePeriod(r.at, None))
    return tuple(found)


def _contract(stack: StackContext, package: Package) -> ModelSpec | None:
    try:
        return code_of(stack, package).spec
    except (NotFound, PlatformError):
        return None


def _hyperparameters(package: Package, records: Sequence[Record]) -> dict[str, str]:
    try:
        return hyperparameters_of(package, records)
    except NotFound:
        return {}


def _evaluation(stack: StackContext, package: Package) -> Evaluation | None:
    uri = package.metadata.get("evaluation_uri")
    if not uri:
        return None
    try:
        return Evaluation.from_json(json.loads(stack.objects.get(uri)))
    except NotFound:
        return None
    except (KeyError, TypeError, ValueError) as exc:
        raise Conflict(
            f"{uri} is not what an evaluation left there: {exc}",
            next_step=f"bedplate evaluate {package.metadata.get('model', package.group)}:{package.version} --again",
        ) from exc


def deployments_of(
    stack: StackContext, model: str, version: int, records: Sequence[Record]
) -> tuple[tuple[VersionRole, ...], str | None]:
    """Where the version is now, and, when it is live, the release that a rollback goes to."""
    try:
        seen = observe(stack, model, records)
    except NotFound:
        return (), None
    found = []
    if version_told(seen.live) == version:
        found.append(VersionRole(seen.endpoint, "live", seen.live))
    pending = seen.release_of(seen.pending) if seen.pending else None
    if pending and version_told(pending) == version:
        found.append(VersionRole(seen.endpoint, "pending", pending))
    rollout = open_rollout(records, model)
    if rollout and rollout.terms.version == version:
        found.append(VersionRole(seen.endpoint, f"challenger, {rollout.phase}", rollout.terms.challenger))
    try:
        target: str | None = choose_target(seen, records, None).release
    except BedplateError:
        target = None
    if target and version_told(target) == version:
        found.append(VersionRole(seen.endpoint, "rollback candidate", target))
    live = version_told(seen.live) == version
    return tuple(found), target if live else None


def _last(records: Sequence[Record], kind: str) -> Record | None:
    return next((r for r in reversed(records) if r.kind == kind), None)


def to_json(card: VersionCard, **more: Any) -> dict[str, Any]:
    return {**card.to_json(), **more}
