"""Keeps versions of models in SageMaker's model registry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from typing import Any, overload

from bedplate.aws.errors import translated
from bedplate.aws.sagemaker.jobs import tag_list
from bedplate.aws.sagemaker.model_cards import SageMakerCards
from bedplate.aws.session import Session
from bedplate.domain.names import model_card
from bedplate.errors import NotFound, PlatformError
from bedplate.ports import Approval, Package, PackageDraft

MAX_METADATA = 50
MAX_VALUE = 256
_READERS = 16
CONTENT_TYPES = ["application/jsonlines", "application/json", "text/csv"]


class SageMakerRegistry:
    """The `Registry` port."""

    def __init__(self, session: Session, *, account_id: str | None = None) -> None:
        """`account_id` names another account, whose group's policy lets us read there."""
        self._session = session
        self._account_id = account_id

    def register(self, draft: PackageDraft) -> Package:
        """Make a new version, waiting for approval; one training job makes one version, however often it is asked.

        Raises PlatformError when the metadata does not fit.
        """
        _must_fit(draft.metadata)
        with translated(f"Cannot register a version of {draft.group}", next_step="bedplate up"):
            made = self._sagemaker.create_model_package(
                ModelPackageGroupName=draft.group,
                ModelPackageDescription=draft.description[:1024],
                ModelApprovalStatus="PendingManualApproval",
                InferenceSpecification={
                    "Containers": [
                        {
                            "Image": draft.image_uri,
                            "ModelDataUrl": draft.artifact_uri,
                            **({"Environment": dict(draft.environment)} if draft.environment else {}),
                        }
                    ],
                    "SupportedContentTypes": CONTENT_TYPES,
                    "SupportedResponseMIMETypes": CONTENT_TYPES,
                },
                CustomerMetadataProperties=dict(draft.metadata),
                ClientToken=_token(draft),
                **self._tags(draft),
            )
        return self._describe(made["ModelPackageArn"])

    def versions(self, group: str) -> Sequence[Package]:
        """Every version, newest first, each described when it is first looked at; a hundred are listed by one call.

        Raises NotFound for a group that does not exist.
        """
        asked = group if self._account_id is None else self._arn(group, None)
        with translated(f"Cannot list the versions of {group}", next_step="bedplate up"):
            pages = self._sagemaker.get_paginator("list_model_packages").paginate(
                ModelPackageGroupName=asked, SortBy="CreationTime", SortOrder="Descending", MaxResults=100
            )
            arns = [entry["ModelPackageArn"] for page in pages for entry in page["ModelPackageSummaryList"]]
        return _Versions(sorted(arns, key=_version_of, reverse=True), self._describe)

    def get(self, group: str, version: int) -> Package:
        """Raises NotFound, naming the group, for a version that does not exist."""
        return self._describe(self._arn(group, version))

    def set_approval(self, package: Package, approval: Approval, note: str) -> Package:
        with translated(f"Cannot set {package.group} version {package.version} to {approval}"):
            self._sagemaker.update_model_package(
                ModelPackageArn=package.arn, ModelApprovalStatus=approval, ApprovalDescription=note[:1024]
            )
        return self._describe(package.arn)

    def annotate(self, package: Package, metadata: Mapping[str, str]) -> Package:
        """Add to the metadata; keys that are there already get the new value."""
        merged = {**package.metadata, **metadata}
        _must_fit(merged)
        with translated(f"Cannot annotate {package.group} version {package.version}"):
            self._sagemaker.update_model_package(ModelPackageArn=package.arn, CustomerMetadataProperties=merged)
        return self._describe(package.arn)

    def delete(self, package: Package) -> None:
        """Delete a version, and the model card that was made of it."""
        SageMakerCards(self._session).delete(model_card(package.group, package.version))
        try:
            with translated(f"Cannot delete {package.group} version {package.version}"):
                self._sagemaker.delete_model_package(ModelPackageName=package.arn)
        except NotFound:
            return

    def _tags(self, draft: PackageDraft) -> dict[str, Any]:
        return {"Tags": tag_list(draft.tags)} if draft.tags else {}

    def _arn(self, group: str, version: int | None) -> str:
        """Of a version, or of the group itself."""
        caller = self._session.caller()
        partition, account = caller["Arn"].split(":")[1], self._account_id or caller["Account"]
        at = f"arn:{partition}:sagemaker:{self._session.region}:{account}"
        return f"{at}:model-package-group/{group}" if version is None else f"{at}:model-package/{group}/{version}"

    def _describe(self, arn: str) -> Package:
        group, version = arn.split("/")[-2], _version_of(arn)
        try:
            with translated(f"Cannot read version {version} of {group}"):
                found = self._sagemaker.describe_model_package(ModelPackageName=arn)
        except NotFound as exc:
            raise NotFound(f"There is no version {version} of {group}", next_step="bedplate models list") from exc
        container = found.get("InferenceSpecification", {}).get("Containers", [{}])[0]
        return Package(
            group=group,
            version=version,
            arn=arn,
            approval=found.get("ModelApprovalStatus", "PendingManualApproval"),
            approval_note=found.get("ApprovalDescription") or None,
            image_uri=container.get("Image", ""),
            artifact_uri=container.get("ModelDataUrl", ""),
            environment=container.get("Environment", {}),
            metadata=found.get("CustomerMetadataProperties", {}),
            created_at=found["CreationTime"].astimezone(UTC),
        )

    @property
    def _sagemaker(self) -> Any:
        return self._session.client("sagemaker")


class _Versions(Sequence[Package]):
    """Packages by ARN, described in batches, in parallel, when they are asked for."""

    def __init__(self, arns: Sequence[str], describe: Callable[[str], Package]) -> None:
        self._arns = arns
        self._describe = describe
        self._known: dict[int, Package] = {}

    def __len__(self) -> int:
        return len(self._arns)

    @overload
    def __getitem__(self, at: int) -> Package: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Package]: ...
    def __getitem__(self, at: int | slice) -> Package | Sequence[Package]:
        if isinstance(at, slice):
            asked = range(*at.indices(len(self)))
            self._learn(asked)
            return tuple(self._known[i] for i in asked)
        index = range(len(self))[at]
        if index not in self._known:
            self._learn(range(index, min(index + _READERS, len(self))) if index else range(1))
        return self._known[index]

    def _learn(self, indices: range) -> None:
        lacking = [i for i in indices if i not in self._known]
        with ThreadPoolExecutor(_READERS) as pool:
            packages = pool.map(self._describe, [self._arns[i] for i in lacking])
            self._known.update(zip(lacking, packages, strict=True))


def _version_of(arn: str) -> int:
    return int(arn.rpartition("/")[2])


def _token(draft: PackageDraft) -> str:
    """What makes two requests the same one to SageMaker: the training job, or all that is to be registered."""
    said = draft.metadata.get("training_job") or json.dumps([draft.artifact_uri, dict(draft.metadata)], sort_keys=True)
    return hashlib.sha256(f"{draft.group} {said}".encode()).hexdigest()[:32]


def _must_fit(metadata: Mapping[str, str]) -> None:
    long = [key for key, value in metadata.items() if len(value) > MAX_VALUE]
    if long or len(metadata) > MAX_METADATA:
        what = f"{', '.join(long)} too long" if long else f"{len(metadata)} keys"
        raise PlatformError(
            f"SageMaker keeps at most {MAX_METADATA} keys of {MAX_VALUE} characters with a model package: {what}"
        )
