"""The contract between the platform's control plane (records over moto) and its runtime (processes that do the work).

The control plane keeps records: plain dicts in the shape of AWS's Describe answers, times as epoch seconds. When one
changes it calls a hook; the runtime does the work and reports through `Services`. Hooks are called with the platform's
lock held, so they start threads and return; `invoke` alone is called without it and may take its time.

The runtime's entry point is `bedplate.local.runtime.attach(hooks, services)`, called once before the server answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

Record = dict[str, Any]
UNDER_WAY = "bedplate:UpdateRequest"
"""Key of an endpoint's record: the update that is under way, as it was asked for; no answer shows it."""
Kind = Literal[
    "training-job",
    "processing-job",
    "model",
    "endpoint-config",
    "endpoint",
    "model-package-group",
    "model-package",
    "data-quality-job-definition",
    "model-quality-job-definition",
    "model-bias-job-definition",
    "model-explainability-job-definition",
    "monitoring-schedule",
    "monitoring-execution",
    "pipeline",
    "pipeline-execution",
    "mlflow-tracking-server",
    "hyper-parameter-tuning-job",
]


class InvocationResponse(NamedTuple):
    """What an endpoint says: an HTTP status, its headers, its body."""

    status: int
    headers: dict[str, str]
    body: bytes


def _nothing(*_: Any) -> None:
    return None


def _no_runtime(endpoint_name: str, *_: Any) -> InvocationResponse:
    body = f'{{"message": "The local platform runs without its runtime: {endpoint_name} cannot answer."}}'
    return InvocationResponse(
        503, {"Content-Type": "application/json", "x-amzn-errortype": "ServiceUnavailable"}, body.encode()
    )


@dataclass
class Hooks:
    """What the runtime is told. Every record is a copy; report changes with `Services.update`.

    training_started, processing_started   a job was created, its status is InProgress
    training_stopped, processing_stopped   a stop was asked for (name), the status is Stopping
    tuning_started, tuning_stopped         likewise of a tuning job
    endpoint_created                       status Creating
    endpoint_updated                       status Updating; the request names the new configuration and DeploymentConfig
    endpoint_weights_changed               status Updating; [{VariantName, DesiredWeight, DesiredInstanceCount}]
    endpoint_deleted                       the record is gone (name)
    schedule_changed                       created, updated, started or stopped
    schedule_deleted                       the record is gone (name)
    invoke                                 name, body, request headers (lower-case names) -> Answer
    enqueue                                name, request headers -> Answer: InvokeEndpointAsync; the work is done later
    tracking_wanted                        a tracking server was created or started: status Creating or Starting
    tracking_deleted                       it was deleted or stopped (name)
    flush                                  write what waits to be written: captured requests, metrics. Call it without
                                           the lock, before a list of objects or a read of metrics; it costs nothing
                                           when nothing waits (without it, they are there within about 0.2 s)
    restore                                the server came up again with the records it held; start what should run
    shutdown                               the server is about to end; stop every process and return
    """

    training_started: Callable[[Record], None] = _nothing
    training_stopped: Callable[[str], None] = _nothing
    processing_started: Callable[[Record], None] = _nothing
    processing_stopped: Callable[[str], None] = _nothing
    tuning_started: Callable[[Record], None] = _nothing
    tuning_stopped: Callable[[str], None] = _nothing
    endpoint_created: Callable[[Record], None] = _nothing
    endpoint_updated: Callable[[Record, Record], None] = _nothing
    endpoint_weights_changed: Callable[[Record, Sequence[Record]], None] = _nothing
    endpoint_deleted: Callable[[str], None] = _nothing
    schedule_changed: Callable[[Record], None] = _nothing
    schedule_deleted: Callable[[str], None] = _nothing
    invoke: Callable[[str, bytes, Mapping[str, str]], InvocationResponse] = _no_runtime
    enqueue: Callable[[str, Mapping[str, str]], InvocationResponse] = _no_runtime
    tracking_wanted: Callable[[Record], None] = _nothing
    tracking_deleted: Callable[[str], None] = _nothing
    flush: Callable[[], None] = _nothing
    restore: Callable[[], None] = _nothing
    shutdown: Callable[[], None] = _nothing


@dataclass(frozen=True, slots=True)
class Usage:
    """Something that ran and is to be paid for.

    `seconds` is the time added since the last charge of this resource (charge a running endpoint every few seconds);
    `instance_type` is empty for storage, where `gb_month` counts instead. `tags` are the cost-allocation tags.
    """

    resource_arn: str
    usage_type: Literal["training", "processing", "endpoint", "storage"]
    started_at: float
    instance_type: str = ""
    seconds: float = 0.0
    count: int = 1
    gb_month: float = 0.0
    tags: dict[str, str] = field(default_factory=dict)


class Services(Protocol):
    """What the platform does for the runtime. Every method may be called from any thread; it takes the lock."""

    @property
    def state_dir(self) -> Path:
        """Where the platform keeps its things; the runtime owns the folder `runtime` in it."""

    @property
    def url(self) -> str:
        """The platform's own address, for AWS_ENDPOINT_URL of child processes."""

    @property
    def region(self) -> str: ...

    @property
    def account_id(self) -> str: ...

    def now(self) -> float:
        """Epoch seconds."""

    def record(self, kind: Kind, name: str) -> Record | None:
        """A copy of a record by its name (model packages: by ARN; executions: by ARN), or None."""

    def records(self, kind: Kind) -> list[Record]:
        """Copies of every record of a kind, oldest first."""

    def update(self, kind: Kind, name: str, **changes: Any) -> Record | None:
        """Merge changes into a record (a value of None removes the key), emit its state-change event, mark it dirty."""

    def add(self, kind: Kind, name: str, record: Record) -> None:
        """Add a record that the runtime makes by itself: a monitoring execution, a processing job of a schedule."""

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of a SageMaker resource."""

    def put_metric(
        self,
        namespace: str,
        name: str,
        dims: Mapping[str, str],
        value: float,
        unit: str = "None",
        timestamp: float | None = None,
    ) -> None: ...

    def put_log(self, group: str, stream: str, line: str, ts: float | None = None) -> None:
        """Append one line; group and stream come into being with their first line."""

    def publish(self, topic_arn: str, subject: str, message: str) -> None: ...

    def emit_event(self, source: str, detail_type: str, detail: Mapping[str, Any]) -> None: ...

    def charge(self, usage: Usage) -> None: ...

    def spot_reclaimed(self, job: str) -> bool:
        """Whether a training on a spot instance loses it now; asked after each checkpoint that was kept."""

    def alarm_raised(self, name: str, since: float) -> bool:
        """Whether an alarm (metric or composite) is in ALARM, or was since then (epoch seconds). False without such an
        alarm."""

    def get_object(self, bucket: str, key: str) -> bytes:
        """Raises KeyError with a sentence naming what is missing."""

    def object_path(self, bucket: str, key: str) -> Path:
        """The file that holds the object's bytes, to read without copying. Raises KeyError like `get_object`."""

    def list_objects(self, bucket: str, prefix: str) -> list[str]:
        """Keys in order. Raises KeyError when there is no such bucket."""

    def put_object(
        self, bucket: str, key: str, body: bytes | Path, content_type: str = "binary/octet-stream"
    ) -> None: ...

    def save(self) -> None:
        """Mark everything dirty: the next snapshot, within about a second, holds it."""
