"""Takes a version from one environment's registry into another's: the same bytes and the same image, never rebuilt."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bedplate import ports
from bedplate.domain import tags
from bedplate.domain.names import BucketPurpose, ModelNames
from bedplate.domain.versions.approval import EVALUATION
from bedplate.domain.versions.promotion import ARTIFACT, ORIGIN, PromotedObject, carried, promoted_metadata
from bedplate.errors import ApprovalNeeded, Conflict, NotFound, PlatformError, UsageError
from bedplate.settings import PlatformOutputs
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.versions.approvals import must_be_evidence, must_be_on_record

_BLOCK = 1 << 20


class PromotionSource(Protocol):
    """The environment that a version comes from, as far as it can be read from here."""

    @property
    def stack(self) -> str: ...
    @property
    def registry(self) -> ports.Registry: ...
    @property
    def objects(self) -> ports.Objects: ...
    @property
    def buckets(self) -> Mapping[BucketPurpose, str]: ...
    @property
    def ledger(self) -> Ledger | None:
        """None where it can be read only: another account, without credentials of its own."""

    def names(self, model: str) -> ModelNames: ...
    def pinned_image(self, image_uri: str) -> str | None:
        """The image by digest; None where no image is kept (on a laptop)."""


@dataclass(frozen=True, slots=True)
class PromoteRequest:
    """`version` None is the newest approved one."""

    model: str
    version: int | None = None
    with_data: bool = True


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """`unchanged`: it was there already, and its bytes are still the same. `left` are objects that stayed behind."""

    outcome: Literal["promoted", "unchanged"]
    package: ports.Package
    origin: ports.Package
    artifact_sha256: str
    image_uri: str
    copied: tuple[str, ...]
    left: tuple[str, ...]
    approved: bool
    recorded_at_origin: bool


def promote(
    origin: PromotionSource, stack: StackContext, request: PromoteRequest, reporter: ports.Reporter
) -> PromotionResult:
    """Copy what belongs to the version, check its bytes on both sides, register it, record it in both ledgers.

    A killed run is completed by the same command. Raises ApprovalNeeded for a version that the origin did not approve,
    UsageError when the target takes nothing from there, NotFound, Conflict when bytes differ from what was recorded.
    """
    stack.model(request.model)
    _must_be_allowed(origin, stack, request.model)
    package = _approved(origin, request)
    _must_be_vouched_for(origin, request.model, package)
    ref = f"{request.model}:{package.version}"
    there = next(
        (p for p in stack.registry.versions(stack.names(request.model).package_group) if _from(p, package)), None
    )
    goods = carried(
        package.artifact_uri,
        package.metadata,
        origin.buckets,
        _buckets(stack.outputs),
        with_data=request.with_data,
    )
    places: dict[str, str] = {}
    left: list[str] = []
    digests: dict[str, str] = {}
    for good in goods:
        reporter("step", {"text": f"Carrying {good.key.removesuffix('_uri')} of {ref}"})
        try:
            found = _carry(origin, stack, good)
        except (NotFound, PlatformError) as exc:
            if good.needed or isinstance(exc, Conflict):
                raise
            left.append(f"{good.source}: {exc.message}")
            continue
        places[good.key], digests[good.key] = good.target, found
    digest = digests.get("artifact_uri", "")
    if not digest:
        raise Conflict(
            f"The artifact of {ref}, {package.artifact_uri}, is in no bucket of {origin.stack}",
            next_step=f"bedplate models show {ref} --stack {origin.stack}",
        )
    _must_be(digest, package, there, ref)
    image = origin.pinned_image(package.image_uri) or package.image_uri
    if there is None:
        reporter("step", {"text": f"Registering it in {stack.name}"})
        made = stack.registry.register(_draft(origin, stack, request.model, package, places, digest, image))
    else:
        made = there
    made = _approval(origin, stack, request.model, made, package)
    recorded = _record(origin, stack, request.model, made, package, digests)
    return PromotionResult(
        outcome="promoted" if there is None else "unchanged",
        package=made,
        origin=package,
        artifact_sha256=digest,
        image_uri=image,
        copied=tuple(places.values()),
        left=tuple(left),
        approved=made.approval == "Approved",
        recorded_at_origin=recorded,
    )


def _must_be_allowed(origin: PromotionSource, stack: StackContext, model: str) -> None:
    if origin.stack == stack.name:
        raise UsageError(f"{origin.stack} cannot be promoted into itself")
    sources = stack.settings.promotion.sources
    if sources and origin.stack not in sources:
        raise UsageError(
            f"{stack.name} takes versions from {', '.join(sources)} only (promotion.sources), not {origin.stack}",
            next_step=f"bedplate models promote {model} --from {sources[0]} --to {stack.name}",
        )


def _approved(origin: PromotionSource, request: PromoteRequest) -> ports.Package:
    group = origin.names(request.model).package_group
    if request.version is not None:
        package = origin.registry.get(group, request.version)
    else:
        versions = origin.registry.versions(group)
        newest = next((p for p in versions if p.approval == "Approved"), None)
        if newest is None:
            raise NotFound(
                f"No version of {request.model} is approved in {origin.stack}",
                next_step=f"bedplate models list {request.model} --stack {origin.stack}",
            )
        package = newest
    if package.approval != "Approved":
        ref = f"{request.model}:{package.version}"
        raise ApprovalNeeded(
            f"{ref} is {package.approval} in {origin.stack}; only what is approved there is promoted",
            next_step=f"bedplate approve {ref} --stack {origin.stack}",
        )
    return package


def _must_be_vouched_for(origin: PromotionSource, model: str, package: ports.Package) -> None:
    """The origin's ledger holds the approval and the evidence too, where it can be read. Raises ApprovalNeeded."""
    if origin.ledger is None:
        return
    records, flags = origin.ledger.records(), f" --stack {origin.stack}"
    must_be_on_record(records, model, package, flags=flags)
    must_be_evidence(records, model, package, origin.objects, flags=flags)


def _from(package: ports.Package, origin: ports.Package) -> bool:
    return package.metadata.get(ORIGIN) == origin.arn


def _buckets(outputs: PlatformOutputs) -> dict[BucketPurpose, str]:
    return {"artifacts": outputs.artifacts_bucket, "data": outputs.data_bucket}


def _carry(origin: PromotionSource, stack: StackContext, good: PromotedObject) -> str:
    """Copy one object, with what lies beside an evaluation; the SHA-256 that both sides have. Raises Conflict."""
    if good.key == "evaluation_uri":
        folder, goal = good.source.rpartition("/")[0] + "/", good.target.rpartition("/")[0] + "/"
        for info in origin.objects.list(folder):
            if info.uri != good.source:
                _copy(origin.objects, stack.objects, info.uri, goal + info.uri.removeprefix(folder))
    return _copy(origin.objects, stack.objects, good.source, good.target)


def _copy(origin: ports.Objects, target: ports.Objects, source: str, goal: str) -> str:
    with tempfile.TemporaryDirectory(prefix="bedplate-promote-") as folder:
        here, back = Path(folder) / "here", Path(folder) / "back"
        origin.download(source, here)
        before = _sha256(here)
        if not target.exists(goal):
            target.upload(here, goal)
        target.download(goal, back)
        after = _sha256(back)
    if after != before:
        raise Conflict(
            f"{goal} holds other bytes ({after[:12]}) than {source} ({before[:12]}); nothing was registered",
            next_step=f"aws s3api list-object-versions --bucket {goal.split('/')[2]} --prefix {goal.split('/', 3)[3]}",
        )
    return before


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _must_be(digest: str, package: ports.Package, there: ports.Package | None, ref: str) -> None:
    """What an earlier promotion recorded still holds: of this version, or of the one that it came from itself."""
    for told in (package, there):
        recorded = told.metadata.get(ARTIFACT) if told else None
        if recorded and recorded != digest:
            raise Conflict(
                f"The artifact of {ref} hashes to {digest[:12]}, and its promotion recorded {recorded[:12]}",
                next_step="bedplate ledger show",
            )


def _draft(
    origin: PromotionSource,
    stack: StackContext,
    model: str,
    package: ports.Package,
    places: Mapping[str, str],
    digest: str,
    image: str,
) -> ports.PackageDraft:
    told = {key: uri for key, uri in places.items() if key != "artifact_uri"}
    spec = stack.model(model)
    return ports.PackageDraft(
        group=stack.names(model).package_group,
        image_uri=image,
        artifact_uri=places["artifact_uri"],
        description=f"{model} version {package.version} of {origin.stack}, promoted by {stack.identity.person}",
        environment=package.environment,
        metadata=promoted_metadata(
            package.metadata,
            told,
            origin_arn=package.arn,
            origin=f"{origin.stack}:{package.version}",
            artifact_sha256=digest,
            image_uri=image,
            person=stack.identity.person,
        ),
        tags=tags.for_model(
            project=stack.project,
            stack=stack.name,
            model=model,
            version=None,
            owner=spec.owner,
            cost_center=stack.settings.cost_center,
        ),
    )


def _approval(
    origin: PromotionSource, stack: StackContext, model: str, made: ports.Package, package: ports.Package
) -> ports.Package:
    """Where the target lets the origin's approval count, it is written as this environment's, with whose it was."""
    if stack.settings.promotion.approval != "carried" or made.approval != "PendingManualApproval":
        return made
    by = package.metadata.get("approved_by", "unknown")
    note = f"approved in {origin.stack} by {by}"
    stack.registry.annotate(made, {"approved_by": by, "approval_reason": note[:256]})
    made = stack.registry.set_approval(made, "Approved", note)
    Ledger.of(stack).record(
        "approved",
        f"{model} version {made.version} counts as approved: {note}",
        actor=stack.identity.person,
        model=model,
        version=made.version,
        data={
            "evaluation_uri": made.metadata.get("evaluation_uri"),
            "verdict": made.metadata.get("verdict"),
            "people": [by],
            "final": True,
            "carried_from": package.arn,
            "package_arn": made.arn,
        },
    )
    return made


def _record(
    origin: PromotionSource,
    stack: StackContext,
    model: str,
    made: ports.Package,
    package: ports.Package,
    digests: Mapping[str, str],
) -> bool:
    """One record in each ledger, once; False when the origin's cannot be written from here. The evidence that came
    along is in it, for an approval to rest on."""
    data = {
        "from": package.arn,
        "to": made.arn,
        ARTIFACT: digests["artifact_uri"],
        "image_uri": made.image_uri,
        "verdict": made.metadata.get("verdict"),
        "evaluation_uri": made.metadata.get("evaluation_uri"),
        EVALUATION: digests.get("evaluation_uri"),
    }
    person = stack.identity.person
    sides = (
        (Ledger.of(stack), made.version, f"came from {origin.stack} version {package.version}"),
        (origin.ledger, package.version, f"went to {stack.name} as version {made.version}"),
    )
    for ledger, version, what in sides:
        if ledger is None:
            continue
        if any(r.kind == "promoted" and r.data.get("to") == made.arn for r in ledger.records()):
            continue
        summary = f"{person} promoted {model} version {version}: it {what}"
        ledger.record("promoted", summary, actor=person, model=model, version=version, data=data)
    return origin.ledger is not None
