"""The account: who we are there, what it allows, who changed what, what carries our tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bedplate.domain.stacks.diagnosis import Quota, Subscription
from bedplate.domain.stacks.permissions import PermissionRequest


@dataclass(frozen=True, slots=True)
class TrailEvent:
    """A call that changed something: when, by whom, and which operation it was."""

    at: datetime
    person: str
    name: str
    id: str
    agent: str = ""


class Trail(Protocol):
    def touching(self, resource: str, *, since: datetime | None = None) -> Sequence[TrailEvent]:
        """Changes of a resource by name or ARN, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class TaggedResource:
    arn: str
    tags: Mapping[str, str]


class Tagged(Protocol):
    def carrying(self, tags: Mapping[str, str]) -> Sequence[TaggedResource]:
        """Every resource that carries all these tags, by ARN."""
        ...


@dataclass(frozen=True, slots=True)
class ServerTime:
    """A server that answered: its Date header, None without one, and this machine's time at that moment."""

    url: str
    there: datetime | None
    here: datetime


class Account(Protocol):
    """What an account allows: region, quotas, permissions, keys, subscribers. Everything only looks."""

    def addresses(self, services: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """URL -> the services that are asked there."""
        ...

    def reach(self, url: str) -> ServerTime:
        """Any answer counts, through the proxy of the environment. Raises PlatformError without one."""
        ...

    def principal(self) -> str | None:
        """The ARN of the user or role whose policies decide; None where nothing is decided: the account's root."""
        ...

    def region_state(self) -> str:
        """EC2's word: opt-in-not-required, opted-in or not-opted-in; `unknown` for a region that it does not list."""
        ...

    def has_sagemaker(self) -> bool:
        """Whether the SDK's own table lists SageMaker in the region; True where the table does not know the region."""
        ...

    def quotas(self) -> Mapping[str, Quota]:
        """SageMaker's, by their names in lower case."""
        ...

    def budget_count(self) -> int: ...
    def allowed(self, principal: str, ask: PermissionRequest) -> Mapping[str, bool]:
        """Action -> whether IAM's simulation allows it to the principal."""
        ...

    def key_state(self, key: str) -> str:
        """KMS's word: Enabled, Disabled, PendingDeletion..."""
        ...

    def try_key(self, key: str) -> None:
        """Make a data key and open it again. Raises Denied, PlatformError."""
        ...

    def subscriptions(self, topic: str) -> Sequence[Subscription]: ...
    def image_digest(self, image_uri: str) -> str | None:
        """The image by its digest; None on the local platform. Raises PlatformError where it was never pushed."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Where and as whom we are at work. `arn` is STS's; `person` is what the ledger records as the actor."""

    account_id: str
    region: str
    arn: str
    person: str
    local_url: str | None
