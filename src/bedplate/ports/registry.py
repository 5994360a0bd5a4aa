"""SageMaker's model registry and model cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

Approval = Literal["PendingManualApproval", "Approved", "Rejected"]


@dataclass(frozen=True, slots=True)
class PackageDraft:
    """A model package to register; `metadata` is its CustomerMetadataProperties: at most 50 keys of 256 characters."""

    group: str
    image_uri: str
    artifact_uri: str
    description: str
    environment: Mapping[str, str]
    metadata: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Package:
    """A registered version of a model: a model package."""

    group: str
    version: int
    arn: str
    approval: Approval
    approval_note: str | None
    image_uri: str
    artifact_uri: str
    environment: Mapping[str, str]
    metadata: Mapping[str, str]
    created_at: datetime


class Registry(Protocol):
    def register(self, draft: PackageDraft) -> Package: ...
    def list_versions(self, group: str) -> Sequence[Package]:
        """Returns every version, newest first; empty for a group without versions. A slice reads only its versions."""
        ...

    def get(self, group: str, version: int) -> Package: ...
    def set_approval(self, package: Package, approval: Approval, note: str) -> Package: ...
    def update_metadata(self, package: Package, metadata: Mapping[str, str]) -> Package: ...
    def delete(self, package: Package) -> None:
        """Deletes a version; does nothing when it does not exist."""
        ...


class ModelCards(Protocol):
    """SageMaker's model cards."""

    def put(self, name: str, content: Mapping[str, Any], status: str) -> tuple[str, int]:
        """Creates or updates a card, unless it already has this content; returns its ARN and its version."""
        ...

    def delete(self, name: str) -> None: ...
