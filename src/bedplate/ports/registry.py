"""Versions of models, and their cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

Approval = Literal["PendingManualApproval", "Approved", "Rejected"]


@dataclass(frozen=True, slots=True)
class PackageDraft:
    """A model package to register; `metadata` is its CustomerMetadataProperties (to 50 keys of 256 characters)."""

    group: str
    image_uri: str
    artifact_uri: str
    description: str
    environment: Mapping[str, str]
    metadata: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Package:
    """A registered version."""

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
    def versions(self, group: str) -> Sequence[Package]:
        """Every version, newest first; empty for a group without any. A slice reads no more than it holds."""
        ...

    def get(self, group: str, version: int) -> Package: ...
    def set_approval(self, package: Package, approval: Approval, note: str) -> Package: ...
    def annotate(self, package: Package, metadata: Mapping[str, str]) -> Package: ...
    def delete(self, package: Package) -> None:
        """Delete a version; one that is gone already is no error."""
        ...


class Cards(Protocol):
    """Model cards of the platform."""

    def put(self, name: str, content: Mapping[str, Any], status: str) -> tuple[str, int]:
        """Create a card or bring it up to date; (its ARN, its version). One that says this already is left alone."""
        ...

    def delete(self, name: str) -> None: ...
