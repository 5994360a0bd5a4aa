"""What workflows need from the world, as small protocols over plain values; `bedplate.aws` implements them.

Every adapter raises `errors.PlatformError` (or a child) when the platform refuses, `errors.NotFound` when the thing
asked for does not exist. Times are aware datetimes in UTC. URIs are `s3://bucket/key`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from bedplate.domain.diagnosis import Quota, Subscription
from bedplate.domain.names import ScheduleKind
from bedplate.domain.permissions import Ask
from bedplate.settings import PlatformNetwork, Range, Strategy

# --- jobs -----------------------------------------------------------------------------------------------------------

JobStatus = Literal["InProgress", "Completed", "Failed", "Stopping", "Stopped"]


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """A script-mode training: `channels` maps a channel's name to an S3 prefix; `code` holds the model folder."""

    name: str
    image_uri: str
    role_arn: str
    entry_point: str
    channels: Mapping[str, str]
    output_uri: str
    hyperparameters: Mapping[str, str]
    environment: Mapping[str, str]
    instance_type: str
    instance_count: int
    volume_gb: int
    max_runtime_s: int
    tags: Mapping[str, str]
    kms_key_arn: str | None = None
    network: PlatformNetwork | None = None
    spot_max_wait_s: int | None = None
    """On spot instances, with so much time for waiting and running together; None: on demand."""
    checkpoint_uri: str | None = None
    """S3 prefix of what the script leaves in its checkpoint folder, and finds there when it is started again."""


@dataclass(frozen=True, slots=True)
class ProcessingRequest:
    """One run of the image: `command` None starts its default entry point (the monitor)."""

    name: str
    image_uri: str
    role_arn: str
    command: tuple[str, ...] | None
    inputs: Mapping[str, tuple[str, str]]
    """Name -> (S3 URI, local path below /opt/ml/processing/)."""
    outputs: Mapping[str, tuple[str, str]]
    """Name -> (local path below /opt/ml/processing/, S3 URI)."""
    environment: Mapping[str, str]
    instance_type: str
    max_runtime_s: int
    tags: Mapping[str, str]
    kms_key_arn: str | None = None
    network: PlatformNetwork | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A training or processing job as the platform reports it."""

    name: str
    arn: str
    status: JobStatus
    phase: str
    failure_reason: str | None
    artifact_uri: str | None
    billable_s: float | None
    started_at: datetime | None
    ended_at: datetime | None
    training_s: float | None = None
    """Of a training: how long it ran; on spot instances less of it is billable."""

    @property
    def saved_pct(self) -> float | None:
        """What spot instances saved, as SageMaker counts it: 1 - billable / training time; None where nothing was."""
        if not self.training_s or self.billable_s is None or self.billable_s >= self.training_s:
            return None
        return 100 * (1 - self.billable_s / self.training_s)


@dataclass(frozen=True, slots=True)
class TuningRequest:
    """Many trainings like `training`, with points of `ranges` over its hyper-parameters; its name is a template's."""

    name: str
    training: TrainingRequest
    ranges: Mapping[str, Range]
    objective: str
    maximize: bool
    strategy: Strategy
    trials: int
    parallel: int
    early_stopping: bool
    seed: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a tuning; `value` is the objective's last figure, None where there is none (yet)."""

    job: str
    status: JobStatus
    params: Mapping[str, str]
    value: float | None


@dataclass(frozen=True, slots=True)
class TuningJob:
    """A tuning as the platform reports it, its trials in the order of their beginning."""

    name: str
    arn: str
    status: JobStatus
    failure_reason: str | None
    best: str | None
    """Name of the best trial's training job."""
    trials: tuple[Trial, ...]


class Jobs(Protocol):
    def submit_tuning(self, request: TuningRequest) -> TuningJob: ...
    def tuning(self, name: str) -> TuningJob: ...

    def submit_training(self, request: TrainingRequest) -> Job: ...
    def training(self, name: str) -> Job: ...
    def submit_processing(self, request: ProcessingRequest) -> Job: ...
    def processing(self, name: str) -> Job: ...
    def stop(self, name: str) -> None: ...
    def log_lines(self, name: str, *, kind: Literal["training", "processing"], after: int = 0) -> Sequence[str]:
        """Lines of the job's log from line number `after` on; empty when there are none yet."""
        ...


@dataclass(frozen=True, slots=True)
class MonitoringExecution:
    """One run of a monitoring schedule. `status` is SageMaker's: `Completed`, `Failed` ..."""

    scheduled_at: datetime
    status: str
    job: str | None
    failure_reason: str | None


@dataclass(frozen=True, slots=True)
class ScheduleDraft:
    """A monitoring schedule of one of the three kinds, with its job definition.

    A run looks at requests from the run before minus `start_offset_h` to its own time minus `end_offset_h`, hours.
    `features` are the names in a request; explainability has no `ground_truth_uri`, model quality no `config_uri`;
    `isolated` jobs reach no network, also not AWS's.
    """

    kind: ScheduleKind
    name: str
    cron: str
    endpoint: str
    binary: bool
    features: tuple[str, ...]
    image_uri: str
    environment: Mapping[str, str]
    constraints_uri: str
    config_uri: str | None
    ground_truth_uri: str | None
    output_uri: str
    start_offset_h: int
    end_offset_h: int
    role_arn: str
    instance_type: str
    max_runtime_s: int
    isolated: bool
    tags: Mapping[str, str]
    kms_key_arn: str | None = None
    network: PlatformNetwork | None = None


@dataclass(frozen=True, slots=True)
class StandingSchedule:
    """What SageMaker holds: `status` is `Scheduled`, `Stopped`, `Failed` or `Pending`."""

    kind: ScheduleKind
    name: str
    status: str
    cron: str
    definition: str
    failure_reason: str | None = None


class Schedules(Protocol):
    def executions(self, schedule: str, *, limit: int = 20) -> Sequence[MonitoringExecution]:
        """Runs of a schedule, newest first."""
        ...

    def definition(self, draft: ScheduleDraft) -> str:
        """The name of the job definition that a draft would have: it follows from its content."""
        ...

    def put(self, draft: ScheduleDraft) -> None:
        """Make the schedule what the draft says, under a new job definition where its content is another; the one
        before it goes."""
        ...

    def standing(self, kind: ScheduleKind, name: str) -> StandingSchedule | None: ...
    def remove(self, kind: ScheduleKind, name: str) -> bool:
        """The schedule and its job definition; False when there was none."""
        ...

    def explainer_image(self) -> str:
        """Amazon's own image for explainability, in the session's region."""
        ...


# --- registry -------------------------------------------------------------------------------------------------------

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


# --- endpoints ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OnDemand:
    """A serverless variant."""

    memory_mb: int
    max_concurrency: int
    provisioned_concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Queued:
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
    on_demand: OnDemand | None = None
    """Serverless: then instances and their number say nothing."""
    queued: Queued | None = None
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
class Traffic:
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
class Answer:
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

    def update(self, endpoint: str, release: str, traffic: Traffic) -> None:
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
    ) -> Answer: ...


# --- objects, metrics, money ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    uri: str
    size: int
    modified_at: datetime
    etag: str = ""
    """Changes whenever the object is written anew."""


class Objects(Protocol):
    def get(self, uri: str) -> bytes: ...
    def put(self, uri: str, body: bytes, *, content_type: str = "application/octet-stream") -> None: ...
    def put_if_absent(self, uri: str, body: bytes) -> bool:
        """Conditional put: False, and nothing written, when the key exists."""
        ...

    def exists(self, uri: str) -> bool: ...
    def list(self, prefix_uri: str, *, after: str | None = None) -> Iterator[ObjectInfo]:
        """Objects below the prefix in key order; `after` is a URI to start behind."""
        ...

    def empty(self, bucket: str) -> int:
        """Delete every version of every object; how many could not be."""
        ...

    def upload(self, path: Path, uri: str, *, progress: Callable[[int], None] | None = None) -> None: ...
    def download(self, uri: str, path: Path) -> None: ...


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
class AlarmState:
    name: str
    state: Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
    reason: str
    updated_at: datetime
    arn: str
    metric: str | None = None
    threshold: float | None = None
    figure: float | None = None
    """The datapoint that the state rests on, in the metric's unit."""


@dataclass(frozen=True, slots=True)
class GuardAlarm:
    """An alarm on how far `candidate`'s answers are from `champion`'s in the same period, in the champion's `bins`.

    The figure is `domain.guard.expressions`'; `period_s` of 10 or 30 is high resolution.
    """

    name: str
    endpoint: str
    candidate: str
    champion: str
    bins: int
    min_answers: int
    threshold: float
    period_s: int
    topic_arn: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BoundAlarm:
    """An alarm on one metric above `threshold` within `period_s`; without data it says INSUFFICIENT_DATA, never OK."""

    name: str
    description: str
    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    threshold: float
    period_s: int
    topic_arn: str | None
    tags: Mapping[str, str]


class Metrics(Protocol):
    def alarms(self, names: Sequence[str]) -> Mapping[str, AlarmState]: ...
    def put_alarm(self, alarm: GuardAlarm) -> None: ...
    def put_bound(self, alarm: BoundAlarm) -> None: ...
    def delete_alarm(self, name: str) -> None: ...
    def raise_alarm(self, name: str, reason: str) -> None:
        """Put an alarm into ALARM by hand, until its metric is looked at next; what it watches is undone by that."""
        ...

    def figures(self, alarm: str, *, start: datetime, end: datetime) -> Sequence[tuple[datetime, float]]:
        """What an alarm looked at in that time, in its own period, oldest first; empty when there is no such alarm."""
        ...

    def series(
        self,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, str],
        *,
        start: datetime,
        end: datetime,
        period_s: int,
        stat: str,
    ) -> Sequence[tuple[datetime, float]]: ...


@dataclass(frozen=True, slots=True)
class Spend:
    """Cost of one group in one period."""

    start: datetime
    end: datetime
    group: str
    usd: float


@dataclass(frozen=True, slots=True)
class BudgetState:
    name: str
    limit_usd: float
    actual_usd: float
    forecast_usd: float | None
    thresholds: tuple[tuple[Literal["ACTUAL", "FORECASTED"], float, Literal["OK", "ALARM"]], ...]
    """(kind, percent of the limit, state)."""
    stopped: bool = False
    """Whether an action of this budget has been executed: new trainings are denied until it is undone."""


class Costs(Protocol):
    def spend(
        self,
        *,
        start: datetime,
        end: datetime,
        group_by: Literal["Model", "UsageType", "Owner"],
        model: str | None,
        within: Mapping[str, str] = ...,
    ) -> Sequence[Spend]:
        """Daily spend by group, of `model` alone when one is named, of what carries every tag of `within`."""
        ...

    def budgets(self) -> Sequence[BudgetState]: ...
    def resume(self, budget: str) -> int:
        """Undo every executed action of a budget; returns how many there were."""
        ...


# --- experiments ----------------------------------------------------------------------------------------------------

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True, slots=True)
class RunDraft:
    """One training as it is kept for comparison. `job` is its identity: a second draft of it replaces the first."""

    experiment: str
    job: str
    name: str
    status: RunStatus
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Run:
    """A training that was kept; `id` is the tracking server's."""

    id: str
    job: str
    name: str
    status: RunStatus
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    started_at: datetime | None
    ended_at: datetime | None


class Experiments(Protocol):
    """Where trainings are kept side by side: MLflow. Everything raises PlatformError when it does not answer."""

    @property
    def where(self) -> str:
        """For people: the server's address, or the file. Empty when nothing is kept."""
        ...

    def warm(self) -> None:
        """Begin, in the background, what makes the first `log` slow; returns at once and never raises."""
        ...

    def log(self, draft: RunDraft) -> str:
        """Keep it; the run's id."""
        ...

    def add_metrics(self, experiment: str, job: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> bool:
        """Add figures that became known later to the run of a job; False when there is no such run."""
        ...

    def runs(self, experiment: str) -> Sequence[Run]:
        """Every run, newest first; empty for an experiment that does not exist."""
        ...


# --- the rest -------------------------------------------------------------------------------------------------------


class Cards(Protocol):
    """Model cards of the platform."""

    def put(self, name: str, content: Mapping[str, Any], status: str) -> tuple[str, int]:
        """Create a card or bring it up to date; (its ARN, its version). One that says this already is left alone."""
        ...

    def delete(self, name: str) -> None: ...


class Signer(Protocol):
    """Signs with a key that nobody can copy, and says later whether a signature is the key's."""

    def sign(self, key: str, digest: bytes) -> bytes:
        """Signature of a SHA-256 digest (32 bytes) by the key with this ARN."""
        ...

    def verify(self, key: str, digest: bytes, signature: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class Reached:
    """A server that answered: its Date header, None without one, and this machine's time at that moment."""

    url: str
    there: datetime | None
    here: datetime


class Account(Protocol):
    """What an account allows: region, quotas, permissions, keys, subscribers. Everything only looks."""

    def addresses(self, services: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """URL -> the services that are asked there."""
        ...

    def reach(self, url: str) -> Reached:
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
    def allowed(self, principal: str, ask: Ask) -> Mapping[str, bool]:
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


class Clock(Protocol):
    def now(self) -> datetime: ...
    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Where and as whom we are at work. `arn` is STS's; `person` is what the ledger records as the actor."""

    account_id: str
    region: str
    arn: str
    person: str
    local_url: str | None


Say = Callable[[str, Mapping[str, Any]], None]
"""How workflows report progress: an event's name (`step`, `log`, `status`, `progress`) and its fields."""
