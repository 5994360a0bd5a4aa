"""The AWS account: the caller's identity, quotas and permissions, CloudTrail's events, and resources by tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bedplate.domain.stacks.diagnosis import Quota, Subscription
from bedplate.domain.stacks.permissions import Permission


@dataclass(frozen=True, slots=True)
class TrailEvent:
    """One API call that changed a resource, from CloudTrail's event history; `name` is the operation."""

    time: datetime
    username: str
    name: str
    id: str


class Trail(Protocol):
    def list_events(self, resource: str, *, since: datetime | None = None) -> Sequence[TrailEvent]:
        """Returns the changes of a resource, which `resource` identifies by name or ARN, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class TaggedResource:
    arn: str
    tags: Mapping[str, str]


class Tagging(Protocol):
    def list_resources(self, tags: Mapping[str, str]) -> Sequence[TaggedResource]:
        """Returns every resource that has all of these tags, sorted by ARN."""
        ...


@dataclass(frozen=True, slots=True)
class ServerTime:
    """The clock of a server that responded: its Date header (None without one), and this machine's time then."""

    url: str
    server_time: datetime | None
    local_time: datetime


class Account(Protocol):
    """Region, quotas, permissions, keys and subscriptions of an account. No method changes anything."""

    def list_service_urls(self, services: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Returns the services by the URL of their endpoint."""
        ...

    def get_server_time(self, url: str) -> ServerTime:
        """Sends a request, through the environment's proxy; any response counts. Raises PlatformError without one."""
        ...

    def find_principal(self) -> str | None:
        """Returns the ARN of the user or role whose policies apply; None for the account's root, which has none."""
        ...

    def get_region_state(self) -> str:
        """Returns EC2's opt-in status (opt-in-not-required, opted-in, not-opted-in), or `unknown` without one."""
        ...

    def has_sagemaker(self) -> bool:
        """Returns whether botocore's table lists SageMaker in the region; True for a region that it does not list."""
        ...

    def list_quotas(self) -> Mapping[str, Quota]:
        """Returns SageMaker's quotas by their names in lower case."""
        ...

    def count_budgets(self) -> int: ...
    def simulate_permissions(self, principal: str, request: Permission) -> Mapping[str, bool]:
        """Returns for each action whether IAM's policy simulation allows it to the principal."""
        ...

    def get_key_state(self, key_arn: str) -> str:
        """Returns KMS's key state: Enabled, Disabled, PendingDeletion..."""
        ...

    def check_key(self, key_arn: str) -> None:
        """Generates a data key and decrypts it. Raises Denied or PlatformError when either call fails."""
        ...

    def list_subscriptions(self, topic_arn: str) -> Sequence[Subscription]: ...
    def pin_image(self, image_uri: str) -> str | None:
        """Returns the image's URI by digest; None on the local platform. Raises PlatformError when ECR lacks it."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """The account, region and caller of the current command. `arn` is STS's; the ledger records `actor`."""

    account_id: str
    region: str
    arn: str
    actor: str
    local_url: str | None
