"""What a stack says of what it holds, who else may read it, and the record of who changed it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bedplate.settings.types import Edge

AccountId = Annotated[str, Field(pattern=r"^\d{12}$", description="an AWS account id, 12 digits in quotes")]
Days = Annotated[int, Field(ge=1)]


class PrivacyRetention(Edge):
    """The most days that data may stay when a column of the contract is of this privacy class; none is no limit."""

    personal: Days | None = None
    sensitive: Days | None = None


class Storage(Edge):
    """`storage:` of a stack file."""

    artifact_retention_days: Days = 365
    """The monitor's reports. Models never expire."""
    data_retention_days: Days = 730
    """Datasets and labels; a data contract may ask for less."""
    capture_retention_days: Days = 90
    """Captured requests and answers; a data contract may ask for less."""
    access_log_retention_days: Days = 90
    """S3's record of every request to every bucket."""
    privacy_retention_days: PrivacyRetention = PrivacyRetention()
    """Shortens datasets, labels and capture of every model with a column of the class."""
    force_destroy: bool = False
    """Whether `destroy` may delete buckets that still hold objects; never in prod."""


class Registry(Edge):
    """`registry:` of a stack file."""

    reader_account_ids: tuple[AccountId, ...] = ()
    """Accounts that may read model packages, their artifacts and images: dev names staging's, staging names prod's."""


class Audit(Edge):
    """`audit:` of a stack file."""

    enabled: bool = True
    """Off where the organisation has a trail of its own over this account: a second copy of events costs money."""
    retention_days: Days = 400
    """How long the trail's files stay."""
    multi_region: bool = False
    """Whether the trail records every region, or the stack's and the global services only."""
