"""SageMaker endpoints, the releases that they serve, and the traffic between releases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from bedplate.settings import PlatformNetwork


@dataclass(frozen=True, slots=True)
class ServerlessVariant:
    """Size and concurrency of a serverless variant."""

    memory_mb: int
    max_concurrency: int
    provisioned_concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class AsyncOutput:
    """Where an asynchronous endpoint writes its predictions, and the SNS topics that it notifies."""

    output_uri: str
    failure_uri: str
    max_concurrent_per_instance: int
    success_topic_arn: str | None = None
    error_topic_arn: str | None = None


@dataclass(frozen=True, slots=True)
class ReleaseDraft:
    """The Model and EndpointConfig of one release, both called `name`; creating an existing one again is no error."""

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
    """The VPC of the instances; ignored for a serverless release, which cannot have one."""
    serverless: ServerlessVariant | None = None
    """Set for a serverless release; `instance_type` and `instance_count` are then ignored."""
    async_output: AsyncOutput | None = None
    """Set for an asynchronous release."""


@dataclass(frozen=True, slots=True)
class Release:
    """One release that exists in SageMaker."""

    name: str
    artifact_uri: str | None
    environment: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class VariantDraft:
    """One variant of a multi-variant configuration; it serves the existing Model of `release`.

    `weight` is relative to the other variants' weights. A shadow's weight is relative to the sum of the production
    variants' weights: 1:1 copies every request.
    """

    name: str
    release: str
    instance_type: str
    instance_count: int
    weight: float


@dataclass(frozen=True, slots=True)
class MultiVariantDraft:
    """One EndpointConfig over several releases; the first variant is the champion's.

    SageMaker allows exactly one production variant and one shadow when there is a shadow.
    """

    name: str
    variants: tuple[VariantDraft, ...]
    shadows: tuple[VariantDraft, ...]
    capture_uri: str
    capture_pct: float
    tags: Mapping[str, str]
    kms_key_arn: str | None = None


@dataclass(frozen=True, slots=True)
class TrafficRouting:
    """How a deployment moves traffic: steps of `step_pct` of capacity, `bake_s` seconds of baking after each.

    Any of `rollback_alarms` in state ALARM rolls the deployment back.
    """

    kind: Literal["ALL_AT_ONCE", "CANARY", "LINEAR"]
    step_pct: int
    bake_s: int
    rollback_alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EndpointState:
    """An endpoint, observed once. `config` is the live release; during an update it is the one before the update."""

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
    """Share of traffic, 0 to 1, of the release that an update is rolling out; None when SageMaker reports none."""
    pending_phase: str | None = None
    """Status of the update's new fleet: `Creating`, `ActivatingTraffic`, `Baking`..."""
    pending_since: datetime | None = None
    """When `pending_phase` began."""
    shadows: Mapping[str, float] = field(default_factory=dict)
    """Shadow variant -> the share of requests, 0 to 1, that is copied to it."""


@dataclass(frozen=True, slots=True)
class Prediction:
    body: bytes
    content_type: str
    variant: str | None
    release: str | None
    attributes: Mapping[str, str] = field(default_factory=dict)
    """The container's X-Amzn-SageMaker-Custom-Attributes; `release` is one of them."""


class Endpoints(Protocol):
    def observe(self, endpoint: str) -> EndpointState: ...
    def create_release(self, draft: ReleaseDraft) -> Release: ...
    def get_release(self, name: str) -> Release: ...
    def list_releases(self, endpoint: str) -> Sequence[Release]:
        """Returns the releases of this endpoint that still exist, newest first."""
        ...

    def delete_release(self, name: str) -> None: ...
    def create_endpoint(self, name: str, release: str, tags: Mapping[str, str]) -> None:
        """Creates an endpoint on an existing EndpointConfig. Raises Conflict when the endpoint already exists."""
        ...

    def list_endpoints(self, prefix: str) -> Sequence[str]:
        """Returns the names of the endpoints whose names start with `prefix`."""
        ...

    def delete_endpoint(self, name: str) -> None:
        """Deletes an endpoint; does nothing when it does not exist."""
        ...

    def create_multi_variant(self, draft: MultiVariantDraft) -> None:
        """Creates the EndpointConfig, unless one of that name exists.

        `update` makes it live. `delete_release` deletes it and keeps its Models, which belong to their releases.
        """
        ...

    def set_weights(self, endpoint: str, weights: Mapping[str, float]) -> None:
        """Changes the weights of live production variants without a deployment. Other variants keep theirs."""
        ...

    def update(self, endpoint: str, release: str, traffic: TrafficRouting) -> None:
        """Makes a release or a multi-variant configuration live.

        Between configurations with different production variants only ALL_AT_ONCE is possible, and SageMaker does not
        evaluate the alarms. A shadow makes no difference.
        """
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
