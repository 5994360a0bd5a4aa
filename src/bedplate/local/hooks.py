"""The interface between the platform's control plane (records over moto) and its runtime (processes that run jobs).

The control plane has records: plain dicts with the fields of AWS's Describe responses, times in epoch seconds. It calls
a hook when a record changes; the runtime does the work and reports through `Services`. Hooks are called with the
platform's lock held, so they start threads and return; only `invoke` is called without the lock and may block.

The runtime's entry point is `bedplate.local.runtime.attach(hooks, services)`, called once before the first request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

Record = dict[str, Any]
PENDING_UPDATE = "bedplate:UpdateRequest"
"""Key of an endpoint's record: the request of the update in progress; no response contains it."""
KindName = Literal[
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
    """The response of an endpoint: HTTP status, headers, body."""

    status: int
    headers: dict[str, str]
    body: bytes


def _do_nothing(*_: Any) -> None:
    return None


def _no_runtime(endpoint_name: str, *_: Any) -> InvocationResponse:
    body = f'{{"message": "The local platform runs without its runtime: {endpoint_name} cannot be invoked."}}'
    return InvocationResponse(
        503, {"Content-Type": "application/json", "x-amzn-errortype": "ServiceUnavailable"}, body.encode()
    )


@dataclass
class Hooks:
    """The runtime's callbacks. Every record is a copy; the runtime reports changes with `Services.update`.

    training_started, processing_started   a job was created; its status is InProgress
    training_stopped, processing_stopped   a stop was requested (name); the status is Stopping
    tuning_started, tuning_stopped         the same for a tuning job
    endpoint_created                       status Creating
    endpoint_updated                       status Updating; the request has the new configuration and DeploymentConfig
    endpoint_weights_changed               status Updating; [{VariantName, DesiredWeight, DesiredInstanceCount}]
    endpoint_deleted                       the record was deleted (name)
    schedule_changed                       created, updated, started or stopped
    schedule_deleted                       the record was deleted (name)
    invoke                                 name, body, request headers (lower-case names) -> InvocationResponse
    invoke_async                           name, request headers -> InvocationResponse; the inference runs later
    tracking_started                       a tracking server was created or started: status Creating or Starting
    tracking_deleted                       a tracking server was deleted or stopped (name)
    flush                                  write buffered captured requests and metrics. Call it without the lock,
                                           before objects are listed or metrics read; it is fast when nothing is
                                           buffered (without the call, they are written within about 0.2 s)
    restore                                the server was restarted with its records; start what should be running
    shutdown                               the server is about to exit; stop every process and return
    """

    training_started: Callable[[Record], None] = _do_nothing
    training_stopped: Callable[[str], None] = _do_nothing
    processing_started: Callable[[Record], None] = _do_nothing
    processing_stopped: Callable[[str], None] = _do_nothing
    tuning_started: Callable[[Record], None] = _do_nothing
    tuning_stopped: Callable[[str], None] = _do_nothing
    endpoint_created: Callable[[Record], None] = _do_nothing
    endpoint_updated: Callable[[Record, Record], None] = _do_nothing
    endpoint_weights_changed: Callable[[Record, Sequence[Record]], None] = _do_nothing
    endpoint_deleted: Callable[[str], None] = _do_nothing
    schedule_changed: Callable[[Record], None] = _do_nothing
    schedule_deleted: Callable[[str], None] = _do_nothing
    invoke: Callable[[str, bytes, Mapping[str, str]], InvocationResponse] = _no_runtime
    invoke_async: Callable[[str, Mapping[str, str]], InvocationResponse] = _no_runtime
    tracking_started: Callable[[Record], None] = _do_nothing
    tracking_deleted: Callable[[str], None] = _do_nothing
    flush: Callable[[], None] = _do_nothing
    restore: Callable[[], None] = _do_nothing
    shutdown: Callable[[], None] = _do_nothing


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage to charge for.

    `seconds` is the time since the last charge of this resource (charge a running endpoint every few seconds). Storage
    has `gb_month` and an empty `instance_type`. `tags` are the cost-allocation tags.
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
    """The platform's methods for the runtime. They may be called from any thread, and take the lock."""

    @property
    def state_dir(self) -> Path:
        """The platform's state directory; the runtime owns the folder `runtime` in it."""

    @property
    def url(self) -> str:
        """The platform's URL, for AWS_ENDPOINT_URL of child processes."""

    @property
    def region(self) -> str: ...

    @property
    def account_id(self) -> str: ...

    def now(self) -> float:
        """Returns the time in epoch seconds."""

    def record(self, kind: KindName, name: str) -> Record | None:
        """Returns a copy of a record, or None; `name` is the ARN for model packages and executions."""

    def records(self, kind: KindName) -> list[Record]:
        """Returns copies of every record of a kind, oldest first."""

    def update(self, kind: KindName, name: str, **changes: Any) -> Record | None:
        """Merges changes into a record (None removes a key), and emits the event of a changed status."""

    def add(self, kind: KindName, name: str, record: Record) -> None:
        """Adds a record that the runtime creates: a monitoring execution, or a schedule's processing job."""

    def tags(self, arn: str) -> dict[str, str]:
        """Returns the tags of a SageMaker resource."""

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
        """Appends a line; the first line creates group and stream."""

    def publish(self, topic_arn: str, subject: str, message: str) -> None: ...

    def emit_event(self, source: str, detail_type: str, detail: Mapping[str, Any]) -> None: ...

    def charge(self, usage: Usage) -> None: ...

    def is_spot_reclaimed(self, job: str) -> bool:
        """Returns whether a training loses its spot instance now; called after each saved checkpoint."""

    def has_alarm_fired(self, name: str, since: float) -> bool:
        """Returns whether an alarm (metric or composite) is in ALARM, or was after `since`, in epoch seconds.

        Returns False when the alarm does not exist.
        """

    def get_object(self, bucket: str, key: str) -> bytes:
        """Raises KeyError, with a message, when the bucket or the object does not exist."""

    def object_path(self, bucket: str, key: str) -> Path:
        """Returns the file with the object's bytes, which is read without a copy. Raises KeyError like `get_object`."""

    def list_objects(self, bucket: str, prefix: str) -> list[str]:
        """Returns the keys in order. Raises KeyError when the bucket does not exist."""

    def put_object(
        self, bucket: str, key: str, body: bytes | Path, content_type: str = "binary/octet-stream"
    ) -> None: ...

    def save(self) -> None:
        """Marks every service as changed, so that the next snapshot, within about a second, saves all of them."""
