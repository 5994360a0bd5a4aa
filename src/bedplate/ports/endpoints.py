"""Endpoints, releases, and the traffic between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from bedplate.settings import PlatformNetwork


@dataclass(frozen=True, slots=True)
class ServerlessVariant:
    """A serverless variant."""

    memory_mb: int
    max_concurrency: int
    provisioned_concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class AsyncOutput:
    """Where an asynchronous endpoint puts its answers, and whom it tells."""

    output_uri: str
    failure_uri: str
    max_concurrent_per_instance: int
    success_topic_arn: str | None = None
    error_topic_arn: str | None = None


@dataclass(frozen=True, slots=True)
class ReleaseDraft:
    """Model and EndpointConfig of one release, both called `name`; creating an existing one again is no error."""

    name: str
    image_uri: str
    artifact_uri: str | None
    environment: Mapping[str, str]
    role_arn: str
    variant: str
    instance_type: str
    instance_count: int
    capture_uri: str
    capture_pct: float
    tags: Mapping[str, str]
    kms_key_arn: str | None = None
    network: PlatformNetwork | None = None
    """Instances run there; a serverless release cannot."""
    on_demand: ServerlessVariant | None = None
    """Serverless: then instances and their number say nothing."""
    queued: AsyncOutput | None = None
    """Asynchronous."""


@dataclass(frozen=True, slots=True)
class Release:
    """One release as it exists on the platform."""

    name: str
    artifact_uri: str | None
    environment: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class VariantDraft:
    """One variant of a split: the Model of `release`, which exists. `weight` is relative to the other variants'; a
    shadow's is relative to the sum of the production variants', 1:1 being a copy of every request."""

    name: str
    release: str
    instance_type: str
    instance_count: int
    weight: float


@dataclass(frozen=True, slots=True)
class SplitDraft:
    """One EndpointConfig over several releases; the first variant is the champion's. With a shadow there is exactly one
    variant and one shadow, as SageMaker has it."""

    name: str
    variants: tuple[VariantDraft, ...]
    shadows: tuple[VariantDraft, ...]
    capture_uri: str
    capture_pct: float
    tags: Mapping[str, str]
    kms_key_arn: str | None = None


@dataclass(frozen=True, slots=True)
class TrafficRouting:
    """How a deployment moves traffic: `step_pct` of capacity a step, watched `bake_s` seconds, undone by any alarm."""

    kind: Literal["ALL_AT_ONCE", "CANARY", "LINEAR"]
    step_pct: int
    bake_s: int
    rollback_alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EndpointState:
    """An endpoint, observed once. `config` is the release that is live, or was before an update in flight."""

    name: str
    arn: str
    status: str
    config: str
    variants: Mapping[str, float]
    """Variant -> its current share of traffic, 0 to 1."""
    pending_config: str | None
    failure_reason: str | None
    modified_at: datetime
    pending_share: float | None = None
    """Share of traffic, 0 to 1, that an update in flight has given its release, where the platform tells."""
    pending_phase: str | None = None
    """`Creating`, `ActivatingTraffic`, `Baking` ... of the new fleet, and `pending_since` when that began."""
    pending_since: datetime | None = None
    shadows: Mapping[str, float] = field(default_factory=dict)
    """Shadow variant -> the share of requests, 0 to 1, that it gets a copy of."""


@dataclass(frozen=True, slots=True)
class Prediction:
    body: bytes
    content_type: str
    variant: str | None
    release: str | None
    """What the container says of itself in X-Amzn-SageMaker-Custom-Attributes."""
    attributes: Mapping[str, str] = field(default_factory=dict)


class Endpoints(Protocol):
    def observe(self, endpoint: str) -> EndpointState: ...
    def create_release(self, draft: ReleaseDraft) -> Release: ...
    def release(self, name: str) -> Release: ...
    def releases(self, endpoint: str) -> Sequence[Release]:
        """Releases of this endpoint that still exist, newest first."""
        ...

    def delete_release(self, name: str) -> None: ...
    def create_endpoint(self, name: str, release: str, tags: Mapping[str, str]) -> None:
        """A further endpoint on an EndpointConfig that exists. Raises Conflict when there is one of that name."""
        ...

    def named(self, prefix: str) -> Sequence[str]:
        """Names of the endpoints that begin so."""
        ...

    def delete_endpoint(self, name: str) -> None:
        """Delete an endpoint; one that is gone already is no error."""
        ...

    def create_split(self, draft: SplitDraft) -> None:
        """Create the EndpointConfig; one of that name that exists is left as it is. `update` makes it live,
        `delete_release` deletes it (its Models stay, they are their releases')."""
        ...

    def set_weights(self, endpoint: str, weights: Mapping[str, float]) -> None:
        """Change the weights of live production variants, without a deployment. Variants not named keep theirs."""
        ...

    def update(self, endpoint: str, release: str, traffic: TrafficRouting) -> None:
        """Make a release or a split live. Between configurations of other production variants only ALL_AT_ONCE is
        possible, and its alarms are not watched by the platform; a shadow does not matter for that."""
        ...

    def invoke(
        self,
        endpoint: str,
        body: bytes,
        *,
        content_type: str = "application/jsonlines",
        inference_id: str | None = None,
        variant: str | None = None,
    ) -> Prediction: ...
