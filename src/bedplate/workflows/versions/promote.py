"""Promotes a version to another environment's registry: the same bytes and the same image, without a rebuild."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bedplate import ports
from bedplate.domain.names import BucketPurpose, ModelNames
from bedplate.domain.versions.approval import EVALUATION_SHA256
from bedplate.domain.versions.promotion import (
    ARTIFACT_SHA256,
    PROMOTED_FROM,
    PromotedObject,
    build_promoted_metadata,
    list_promoted_objects,
)
from bedplate.errors import ApprovalNeeded, Conflict, NotFound, PlatformError, UsageError
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext, model_tags
from bedplate.workflows.versions.approval_evidence import require_recorded_approval, require_recorded_evidence


class PromotionSource(Protocol):
    """The environment that a version is promoted from."""

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
        """None if the ledger can only be read: another account, without credentials for it."""

    def names(self, model: str) -> ModelNames: ...
    def pin_image(self, image_uri: str) -> str | None:
        """Returns the image by digest; None if images are not stored (local platform)."""


@dataclass(frozen=True, slots=True)
class PromoteRequest:
    """`version` None is the newest approved version."""

    model: str
    version: int | None = None
    with_data: bool = True


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """`unchanged`: it was promoted before, and its bytes are the same. `not_copied` are objects that could not be
    copied."""

    outcome: Literal["promoted", "unchanged"]
    package: ports.Package
    origin: ports.Package
    artifact_sha256: str
    image_uri: str
    copied: tuple[str, ...]
    not_copied: tuple[str, ...]
    is_approved: bool
    is_recorded_at_origin: bool


def promote(
    origin: PromotionSource, stack: StackContext, request: PromoteRequest, reporter: ports.Reporter
) -> PromotionResult:
    """Copies the version's objects, verifies their bytes on both sides, registers the version, and records it in both
    ledgers.

    The same command resumes a run that was killed. Raises ApprovalNeeded if the origin did not approve the version,
    UsageError if the target does not accept versions from there, NotFound, Conflict if bytes differ from the recorded
    ones.
    """
    stack.model(request.model)
    _require_allowed_origin(origin, stack, request.model)
    package = _find_approved(origin, request)
    _require_evidence(origin, request.model, package)
    ref = f"{request.model}:{package.version}"
    versions = stack.registry.list_versions(stack.names(request.model).package_group)
    existing = next((version for version in versions if version.metadata.get(PROMOTED_FROM) == package.arn), None)
    buckets: dict[BucketPurpose, str] = {"artifacts": stack.outputs.artifacts_bucket, "data": stack.outputs.data_bucket}
    objects = list_promoted_objects(
        package.artifact_uri, package.metadata, origin.buckets, buckets, with_data=request.with_data
    )
    uris: dict[str, str] = {}
    not_copied: list[str] = []
    digests: dict[str, str] = {}
    for promoted_object in objects:
        key = promoted_object.key
        reporter("step", {"text": f"Copying {key.removesuffix('_uri')} of {ref}"})
        try:
            digests[key] = _copy_promoted(origin, stack, promoted_object)
        except (NotFound, PlatformError) as exc:
            if promoted_object.is_required or isinstance(exc, Conflict):
                raise
            not_copied.append(f"{promoted_object.source}: {exc.message}")
        else:
            uris[key] = promoted_object.target
    digest = digests.get("artifact_uri", "")
    if not digest:
        raise Conflict(
            f"The artifact of {ref}, {package.artifact_uri}, is not in a bucket of {origin.stack}",
            next_step=f"bedplate models show {ref} --stack {origin.stack}",
        )
    _require_recorded_hash(digest, package, existing, ref)
    image = origin.pin_image(package.image_uri) or package.image_uri
    if existing is None:
        reporter("step", {"text": f"Registering it in {stack.name}"})
        promoted = stack.registry.register(_build_draft(origin, stack, request.model, package, uris, digest, image))
    else:
        promoted = existing
    promoted = _inherit_approval(origin, stack, request.model, promoted, package)
    is_recorded = _record(origin, stack, request.model, promoted, package, digests)
    return PromotionResult(
        outcome="promoted" if existing is None else "unchanged",
        package=promoted,
        origin=package,
        artifact_sha256=digest,
        image_uri=image,
        copied=tuple(uris.values()),
        not_copied=tuple(not_copied),
        is_approved=promoted.approval == "Approved",
        is_recorded_at_origin=is_recorded,
    )


def _require_allowed_origin(origin: PromotionSource, stack: StackContext, model: str) -> None:
    if origin.stack == stack.name:
        raise UsageError(f"{origin.stack} cannot be promoted to itself")
    sources = stack.settings.promotion.sources
    if sources and origin.stack not in sources:
        raise UsageError(
            f"{stack.name} accepts versions only from {', '.join(sources)} (promotion.sources), not {origin.stack}",
            next_step=f"bedplate models promote {model} --from {sources[0]} --to {stack.name}",
        )


def _find_approved(origin: PromotionSource, request: PromoteRequest) -> ports.Package:
    group = origin.names(request.model).package_group
    if request.version is not None:
        package = origin.registry.get(group, request.version)
    else:
        versions = origin.registry.list_versions(group)
        newest = next((version for version in versions if version.approval == "Approved"), None)
        if newest is None:
            raise NotFound(
                f"No version of {request.model} is approved in {origin.stack}",
                next_step=f"bedplate models list {request.model} --stack {origin.stack}",
            )
        package = newest
    if package.approval != "Approved":
        ref = f"{request.model}:{package.version}"
        raise ApprovalNeeded(
            f"{ref} is {package.approval} in {origin.stack}; only approved versions can be promoted",
            next_step=f"bedplate approve {ref} --stack {origin.stack}",
        )
    return package


def _require_evidence(origin: PromotionSource, model: str, package: ports.Package) -> None:
    """Raises ApprovalNeeded unless the origin's ledger, if it can be read, holds the approval and the evidence too."""
    if origin.ledger is None:
        return
    records, flags = origin.ledger.records(), f" --stack {origin.stack}"
    require_recorded_approval(records, model, package, flags=flags)
    require_recorded_evidence(records, model, package, origin.objects, flags=flags)


def _copy_promoted(origin: PromotionSource, stack: StackContext, promoted: PromotedObject) -> str:
    """Copies one object, and with an evaluation all files beside it; returns the SHA-256 of both sides. Raises
    Conflict."""
    if promoted.key == "evaluation_uri":
        source_folder, target_folder = (
            promoted.source.rpartition("/")[0] + "/",
            promoted.target.rpartition("/")[0] + "/",
        )
        for item in origin.objects.list(source_folder):
            if item.uri != promoted.source:
                _copy_object(
                    origin.objects, stack.objects, item.uri, target_folder + item.uri.removeprefix(source_folder)
                )
    return _copy_object(origin.objects, stack.objects, promoted.source, promoted.target)


def _copy_object(origin: ports.Objects, target: ports.Objects, source_uri: str, target_uri: str) -> str:
    with tempfile.TemporaryDirectory(prefix="bedplate-promote-") as folder:
        original, copy = Path(folder) / "here", Path(folder) / "back"
        origin.download(source_uri, original)
        before = _sha256(original)
        if not target.exists(target_uri):
            target.upload(original, target_uri)
        target.download(target_uri, copy)
        after = _sha256(copy)
    if after != before:
        bucket, _, key = target_uri.removeprefix("s3://").partition("/")
        raise Conflict(
            f"{target_uri} differs ({after[:12]}) from {source_uri} ({before[:12]}); nothing was registered",
            next_step=f"aws s3api list-object-versions --bucket {bucket} --prefix {key}",
        )
    return before


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_recorded_hash(digest: str, package: ports.Package, existing: ports.Package | None, ref: str) -> None:
    """Raises Conflict if the hash differs from what an earlier promotion of either package recorded."""
    for source_package in (package, existing):
        recorded = source_package.metadata.get(ARTIFACT_SHA256) if source_package else None
        if recorded and recorded != digest:
            raise Conflict(
                f"The artifact of {ref} hashes to {digest[:12]}, and its promotion recorded {recorded[:12]}",
                next_step="bedplate ledger show",
            )


def _build_draft(
    origin: PromotionSource,
    stack: StackContext,
    model: str,
    package: ports.Package,
    uris: Mapping[str, str],
    digest: str,
    image: str,
) -> ports.PackageDraft:
    evidence_uris = {key: uri for key, uri in uris.items() if key != "artifact_uri"}
    spec = stack.model(model)
    return ports.PackageDraft(
        group=stack.names(model).package_group,
        image_uri=image,
        artifact_uri=uris["artifact_uri"],
        description=f"{model} version {package.version} of {origin.stack}, promoted by {stack.identity.actor}",
        environment=package.environment,
        metadata=build_promoted_metadata(
            package.metadata,
            evidence_uris,
            origin_arn=package.arn,
            origin=f"{origin.stack}:{package.version}",
            artifact_sha256=digest,
            image_uri=image,
            person=stack.identity.actor,
        ),
        tags=model_tags(stack, spec, None),
    )


def _inherit_approval(
    origin: PromotionSource, stack: StackContext, model: str, promoted: ports.Package, package: ports.Package
) -> ports.Package:
    """Writes the origin's approval, with its approver, as this environment's if the target inherits approvals."""
    if stack.settings.promotion.approval != "inherited" or promoted.approval != "PendingManualApproval":
        return promoted
    approver = package.metadata.get("approved_by", "unknown")
    note = f"approved in {origin.stack} by {approver}"
    stack.registry.update_metadata(promoted, {"approved_by": approver, "approval_reason": note[:256]})
    promoted = stack.registry.set_approval(promoted, "Approved", note)
    Ledger.of(stack).record(
        "approved",
        f"{model} version {promoted.version} counts as approved: {note}",
        actor=stack.identity.actor,
        model=model,
        version=promoted.version,
        data={
            "evaluation_uri": promoted.metadata.get("evaluation_uri"),
            "verdict": promoted.metadata.get("verdict"),
            "people": [approver],
            "final": True,
            "inherited_from": package.arn,
            "package_arn": promoted.arn,
        },
    )
    return promoted


def _record(
    origin: PromotionSource,
    stack: StackContext,
    model: str,
    promoted: ports.Package,
    package: ports.Package,
    digests: Mapping[str, str],
) -> bool:
    """Writes one record to each ledger, once; returns False if the origin's ledger cannot be written from here. The
    records contain the copied evidence, on which an approval can rest."""
    data = {
        "from": package.arn,
        "to": promoted.arn,
        ARTIFACT_SHA256: digests["artifact_uri"],
        "image_uri": promoted.image_uri,
        "verdict": promoted.metadata.get("verdict"),
        "evaluation_uri": promoted.metadata.get("evaluation_uri"),
        EVALUATION_SHA256: digests.get("evaluation_uri"),
    }
    person = stack.identity.actor
    entries = (
        (Ledger.of(stack), promoted.version, f"came from {origin.stack} version {package.version}"),
        (origin.ledger, package.version, f"went to {stack.name} as version {promoted.version}"),
    )
    for ledger, version, direction in entries:
        if ledger is None:
            continue
        if any(record.kind == "promoted" and record.data.get("to") == promoted.arn for record in ledger.records()):
            continue
        summary = f"{person} promoted {model} version {version}: it {direction}"
        ledger.record("promoted", summary, actor=person, model=model, version=version, data=data)
    return origin.ledger is not None
