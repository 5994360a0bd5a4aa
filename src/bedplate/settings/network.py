"""`network:` of the stack file: the private subnets that jobs and endpoints run in."""

from __future__ import annotations

import ipaddress

from pydantic import Field, field_validator, model_validator

from bedplate.settings.types import StrictModel


class Network(StrictModel):
    """Either a VPC that `up` creates from `cidr`, or existing subnets and security groups."""

    enabled: bool = False
    """Whether jobs and endpoints run in private subnets without a route to the internet."""
    cidr: str = "10.42.0.0/16"
    """Address block of the VPC, from /16 to /24; each availability zone gets a quarter of it."""
    availability_zones: tuple[str, ...] = Field(default=(), max_length=4)
    """At least two. Empty takes the region's zones `a` and `b`, which not every account has."""
    subnet_ids: tuple[str, ...] = ()
    """Existing subnets in at least two availability zones; with them `up` creates no VPC."""
    security_group_ids: tuple[str, ...] = ()
    """Existing security groups of jobs and endpoints; required together with `subnet_ids`."""

    @field_validator("cidr")
    @classmethod
    def block_is_private(cls, value: str) -> str:
        block = ipaddress.ip_network(value)
        if block.version != 4 or not block.is_private or not 16 <= block.prefixlen <= 24:
            raise ValueError(f"expected a private IPv4 block from /16 to /24, found {value}")
        return value

    @model_validator(mode="after")
    def existing_subnets_are_complete(self) -> Network:
        if bool(self.subnet_ids) != bool(self.security_group_ids):
            raise ValueError("subnet_ids and security_group_ids go together: set both, or neither to create them")
        for key, ids in (("subnet_ids", self.subnet_ids), ("availability_zones", self.availability_zones)):
            if len(ids) == 1:
                raise ValueError(f"{key} needs at least two: an endpoint in one zone goes down with that zone")
        return self
