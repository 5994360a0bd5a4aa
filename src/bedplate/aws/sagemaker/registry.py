"""Registers, lists, approves and deletes versions of models in SageMaker's model registry."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from typing import Any, overload

from bedplate.aws.errors import map_client_errors
from bedplate.aws.sagemaker.model_cards import SageMakerCards
from bedplate.aws.session import Session
from bedplate.aws.tags import tag_list
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
        """`account_id` is another account to read from, whose model package groups' policies must allow it."""
        self._session = session
        self._account_id = account_id

    def register(self, draft: PackageDraft) -> Package:
        """Creates a version that is pending approval. A repeated call for the same training job creates no second one.

        Raises PlatformError when the metadata exceeds SageMaker's limits.
        """
        _check_metadata(draft.metadata)
        with map_client_errors(f"Cannot register a version of {draft.group}", next_step="bedplate up"):
            response = self._sagemaker.create_model_package(
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
                ClientToken=_client_token(draft),
                **self._tags(draft),
            )
        return self._describe(response["ModelPackageArn"])

    def list_versions(self, group: str) -> Sequence[Package]:
        """Returns every version, newest first. One call lists a hundred; a version is described on first access.

        Raises NotFound for a group that does not exist.
        """
        group_name = group if self._account_id is None else self._arn(group, None)
        with map_client_errors(f"Cannot list the versions of {group}", next_step="bedplate up"):
            pages = self._sagemaker.get_paginator("list_model_packages").paginate(
                ModelPackageGroupName=group_name, SortBy="CreationTime", SortOrder="Descending", MaxResults=100
            )
            arns = [entry["ModelPackageArn"] for page in pages for entry in page["ModelPackageSummaryList"]]
        return _LazyVersions(sorted(arns, key=_version_of, reverse=True), self._describe)

    def get(self, group: str, version: int) -> Package:
        """Raises NotFound for a version that does not exist."""
        return self._describe(self._arn(group, version))

    def set_approval(self, package: Package, approval: Approval, note: str) -> Package:
        with map_client_errors(f"Cannot set {package.group} version {package.version} to {approval}"):
            self._sagemaker.update_model_package(
                ModelPackageArn=package.arn, ModelApprovalStatus=approval, ApprovalDescription=note[:1024]
            )
        return self._describe(package.arn)

    def update_metadata(self, package: Package, metadata: Mapping[str, str]) -> Package:
        """Adds to the metadata, and overwrites the values of existing keys."""
        merged = {**package.metadata, **metadata}
        _check_metadata(merged)
        with map_client_errors(f"Cannot update the metadata of {package.group} version {package.version}"):
            self._sagemaker.update_model_package(ModelPackageArn=package.arn, CustomerMetadataProperties=merged)
        return self._describe(package.arn)

    def delete(self, package: Package) -> None:
        """Deletes a version and its model card."""
        SageMakerCards(self._session).delete(model_card(package.group, package.version))
        label = f"{package.group} version {package.version}"
        with contextlib.suppress(NotFound), map_client_errors(f"Cannot delete {label}"):
            self._sagemaker.delete_model_package(ModelPackageName=package.arn)

    def _tags(self, draft: PackageDraft) -> dict[str, Any]:
        return {"Tags": tag_list(draft.tags)} if draft.tags else {}

    def _arn(self, group: str, version: int | None) -> str:
        """Returns the ARN of a version, or of the group when `version` is None."""
        caller = self._session.caller_identity()
        partition, account = caller["Arn"].split(":")[1], self._account_id or caller["Account"]
        prefix = f"arn:{partition}:sagemaker:{self._session.region}:{account}:model-package"
        return f"{prefix}-group/{group}" if version is None else f"{prefix}/{group}/{version}"

    def _describe(self, arn: str) -> Package:
        group, version = arn.split("/")[-2], _version_of(arn)
        try:
            with map_client_errors(f"Cannot read version {version} of {group}"):
                response = self._sagemaker.describe_model_package(ModelPackageName=arn)
        except NotFound as exc:
            raise NotFound(f"There is no version {version} of {group}", next_step="bedplate models list") from exc
        container = response.get("InferenceSpecification", {}).get("Containers", [{}])[0]
        return Package(
            group=group,
            version=version,
            arn=arn,
            approval=response.get("ModelApprovalStatus", "PendingManualApproval"),
            approval_note=response.get("ApprovalDescription") or None,
            image_uri=container.get("Image", ""),
            artifact_uri=container.get("ModelDataUrl", ""),
            environment=container.get("Environment", {}),
            metadata=response.get("CustomerMetadataProperties", {}),
            created_at=response["CreationTime"].astimezone(UTC),
        )

    @property
    def _sagemaker(self) -> Any:
        return self._session.client("sagemaker")


class _LazyVersions(Sequence[Package]):
    """A sequence of packages that describes them on first access, in parallel batches."""

    def __init__(self, arns: Sequence[str], describe: Callable[[str], Package]) -> None:
        self._arns = arns
        self._describe = describe
        self._packages: dict[int, Package] = {}

    def __len__(self) -> int:
        return len(self._arns)

    @overload
    def __getitem__(self, index: int) -> Package: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Package]: ...
    def __getitem__(self, index: int | slice) -> Package | Sequence[Package]:
        if isinstance(index, slice):
            indices = range(*index.indices(len(self)))
            self._describe_missing(indices)
            return tuple(self._packages[i] for i in indices)
        position = range(len(self))[index]
        if position not in self._packages:  # many callers read only the newest version
            self._describe_missing(range(position, min(position + _READERS, len(self))) if position else range(1))
        return self._packages[position]

    def _describe_missing(self, indices: range) -> None:
        missing = [i for i in indices if i not in self._packages]
        with ThreadPoolExecutor(_READERS) as pool:
            packages = pool.map(self._describe, [self._arns[i] for i in missing])
            self._packages.update(zip(missing, packages, strict=True))


def _version_of(arn: str) -> int:
    return int(arn.rpartition("/")[2])


def _client_token(draft: PackageDraft) -> str:
    """Returns SageMaker's idempotency token: a hash of the training job, or without one of artifact and metadata."""
    content = [draft.artifact_uri, dict(draft.metadata)]
    identity = draft.metadata.get("training_job") or json.dumps(content, sort_keys=True)
    return hashlib.sha256(f"{draft.group} {identity}".encode()).hexdigest()[:32]


def _check_metadata(metadata: Mapping[str, str]) -> None:
    long = [key for key, value in metadata.items() if len(value) > MAX_VALUE]
    if long or len(metadata) > MAX_METADATA:
        excess = f"{', '.join(long)} too long" if long else f"{len(metadata)} keys"
        raise PlatformError(
            f"The metadata of a model package has at most {MAX_METADATA} keys of {MAX_VALUE} characters: {excess}"
        )
