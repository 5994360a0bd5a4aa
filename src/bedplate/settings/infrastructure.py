"""What a stack says of what it holds, where it runs, who else may read it, and the record of who changed it."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from bedplate.settings.types import StrictModel

AccountId = Annotated[str, Field(pattern=r"^\d{12}$", description="an AWS account id, 12 digits in quotes")]
Days = Annotated[int, Field(ge=1)]


class PrivacyRetention(StrictModel):
    """The most days that data may stay when a column of the contract is of this privacy class; none is no limit."""

    personal: Days | None = None
    sensitive: Days | None = None


class Storage(StrictModel):
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


class RegistrySettings(StrictModel):
    """`registry:` of a stack file."""

    reader_account_ids: tuple[AccountId, ...] = ()
    """Accounts that may read model packages, their artifacts and images: dev names staging's, staging names prod's."""


class Audit(StrictModel):
    """`audit:` of a stack file."""

    enabled: bool = True
    """Off where the organisation has a trail of its own over this account: a second copy of events costs money."""
    retention_days: Days = 400
    """How long the trail's files stay."""
    multi_region: bool = False
    """Whether the trail records every region, or the stack's and the global services only."""


class Network(StrictModel):
    """`network:` of a stack file."""

    enabled: bool = False
    """Whether jobs and endpoints run in private subnets without a way to the internet."""
    cidr: str = "10.42.0.0/16"
    """Addresses of the VPC, from /16 to /24; each availability zone gets a quarter."""
    availability_zones: tuple[str, ...] = Field(default=(), max_length=4)
    """At least two; none named is the region's `a` and `b`, which not every account has."""
    subnet_ids: tuple[str, ...] = ()
    """Subnets that exist already, in at least two availability zones: then nothing is made."""
    security_group_ids: tuple[str, ...] = ()
    """With `subnet_ids`: what jobs and endpoints are put into."""

    @field_validator("cidr")
    @classmethod
    def a_private_block(cls, value: str) -> str:
        block = ipaddress.ip_network(value)
        if block.version != 4 or not block.is_private or not 16 <= block.prefixlen <= 24:
            raise ValueError(f"a private IPv4 block from /16 to /24 expected, not {value}")
        return value

    @model_validator(mode="after")
    def existing_parts_come_together(self) -> Network:
        if bool(self.subnet_ids) != bool(self.security_group_ids):
            raise ValueError("subnet_ids and security_group_ids go together: name both, or neither to have them made")
        for what, held in (("subnet_ids", self.subnet_ids), ("availability_zones", self.availability_zones)):
            if len(held) == 1:
                raise ValueError(f"{what} needs two at least: an endpoint of one zone goes down with it")
        return self
