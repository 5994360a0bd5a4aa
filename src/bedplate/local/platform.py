"""One running platform: its lock, clock and records, what it does for the runtime, and its background loops."""

from __future__ import annotations

import copy
import io
import json
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bedplate.local.blobs import Blob, BlobStore, body_chunks, decoded_chunks
from bedplate.local.charges import Charges
from bedplate.local.hooks import Hooks, Kind, Record, Usage
from bedplate.local.lifecycle import health_card
from bedplate.local.metrics import Metric, MetricStore, Point
from bedplate.local.outbox import Outbox
from bedplate.local.persistence import Store

REGION = "us-east-1"

# Names that requests are signed for, where moto has another; and what is not worth keeping.
_MOTO_NAMES = {
    "states": "stepfunctions",
    "monitoring": "cloudwatch",
    "application-autoscaling": "applicationautoscaling",
}
_NOT_KEPT = {"sts", "sagemaker-metrics"}

_FILE_AT_LEAST = 64 * 1024

_STATE_CHANGES: dict[str, tuple[str, str]] = {
    "training-job": ("TrainingJobStatus", "SageMaker Training Job State Change"),
    "processing-job": ("ProcessingJobStatus", "SageMaker Processing Job State Change"),
    "endpoint": ("EndpointStatus", "SageMaker Endpoint State Change"),
    "model-package": ("ModelApprovalStatus", "SageMaker Model Package State Change"),
}


class Platform:
    """Fulfils `hooks.Services`; what else it offers is for the gateway, the mends and the loops."""

    def __init__(self, state_dir: Path, *, port: int, since: str, clock: Callable[[], float] = time.time) -> None:
        self.state_dir = state_dir
        self.port = port
        self.region = REGION
        self.hooks = Hooks()
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self.loops: list[tuple[str, Callable[[], None], float]] = []
        self._clock = clock
        self._since = since
        self.store = Store(state_dir / "state.db", self.lock, backends_of, self.log)
        self.charges = Charges(state_dir / "charges.db")
        self.outbox = Outbox(state_dir / "outbox")
        self.metrics = MetricStore(state_dir / "metrics.db", self.now())
        self.loops += [("charges", self.charges.commit, 0.5), ("metrics", self.metrics.commit, 0.5)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def account_id(self) -> str:
        return "123456789012"

    def now(self) -> float:
        return self._clock()

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than the platform lives."""
        self.closing.wait(seconds)

    def health(self) -> dict[str, Any]:
        return health_card(self.state_dir, self.port, self._since)

    def log(self, line: str) -> None:
        """One line of the server's log."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self.now()))
        sys.stderr.write(f"{moment}Z  {line}\n")

    # --- life ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start saving, the background loops, and through the runtime whatever ran before."""
        threading.Thread(target=self.store.run, name="store", daemon=True).start()
        for name, step, interval_s in self.loops:
            threading.Thread(target=self._loop, args=(name, step, interval_s), name=name, daemon=True).start()
        self.hooks.restore()

    def end(self) -> None:
        """Stop the loops and every process of the runtime. The store is closed after the last request."""
        self.closing.set()
        self.hooks.shutdown()

    def close(self) -> None:
        """Write and close every file, when nothing asks any more."""
        self.store.close()
        self.charges.close()
        self.metrics.close()

    def _loop(self, name: str, step: Callable[[], None], interval_s: float) -> None:
        while not self.closing.wait(interval_s):
            try:
                step()
            except Exception:  # a loop that dies silently would stop every alarm
                self.log(f"loop {name} failed\n{traceback.format_exc().rstrip()}")

    # --- what the gateway needs ------------------------------------------------------------------------------------

    def receive_body(self, environ: dict[str, Any], service: str) -> None:
        """Take the request's body off the network, so that a slow sender never holds the lock."""
        stream = environ["wsgi.input"]
        chunked = environ.pop("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
        length = None if chunked else int(environ.get("CONTENT_LENGTH") or 0)
        if service == "s3" and _is_object_upload(environ) and (length is None or length >= _FILE_AT_LEAST):
            algorithm = environ.get("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", "")
            if environ.get("HTTP_X_AMZ_CONTENT_SHA256", "").startswith("STREAMING-"):
                chunks = decoded_chunks(stream.read, stream.readline)
                environ["HTTP_X_AMZ_CONTENT_SHA256"] = "UNSIGNED-PAYLOAD"
            else:
                chunks = body_chunks(stream.read, length)
            environ["bedplate.body"] = BlobStore.current.receive(chunks, algorithm)
            body = b""
        else:
            body = b"".join(body_chunks(stream.read, length))
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)

    def release_body(self, environ: dict[str, Any]) -> None:
        """Let go of what `receive_body` put on disk and nobody took."""
        received = environ.get("bedplate.body")
        if received is not None:
            received.path.unlink(missing_ok=True)

    # --- records ---------------------------------------------------------------------------------------------------

    def record(self, kind: Kind, name: str) -> Record | None:
        with self.lock:
            found: Record | None = self._records[kind].get(name)
            return copy.deepcopy(found)

    def records(self, kind: Kind) -> list[Record]:
        with self.lock:
            return copy.deepcopy(list(self._records[kind].values()))

    def update(self, kind: Kind, name: str, **changes: Any) -> Record | None:
        with self.lock:
            before = self._records[kind].get(name)
            if before is None:
                return None
            status = _STATE_CHANGES.get(kind, ("", ""))[0]
            was = before.get(status)
            record: Record = self._records.update(kind, name, changes)
            self.store.mark("sagemaker")
            if status and record.get(status) != was:
                self.announce(kind, record)
            return copy.deepcopy(record)

    def add(self, kind: Kind, name: str, record: Record) -> None:
        with self.lock:
            self._records.add(kind, name, record)
            self.store.mark("sagemaker")

    def tags(self, arn: str) -> dict[str, str]:
        with self.lock:
            return dict(self._records.tags.get(arn, {}))

    def announce(self, kind: Kind, record: Record) -> None:
        """Send the state-change event that SageMaker sends to EventBridge."""
        if kind in _STATE_CHANGES:
            self.emit_event("aws.sagemaker", _STATE_CHANGES[kind][1], record)

    @property
    def _records(self) -> Any:
        return self.backend("sagemaker").records

    def backend(self, service: str, region: str | None = None) -> Any:
        """moto's backend of a service in this account. Hold the lock while using it."""
        backends = backends_of(service)
        assert backends is not None, service
        return backends[self.account_id][region or self.region]

    # --- telling others --------------------------------------------------------------------------------------------

    def publish(self, topic_arn: str, subject: str, message: str) -> None:
        with self.lock:
            self.backend("sns", topic_arn.split(":")[3]).publish(message=message, arn=topic_arn, subject=subject)
            self.store.mark("sns", "sqs")

    def emit_event(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()
    ) -> None:
        text = json.dumps(dict(detail), default=str)
        event = {"Source": source, "DetailType": detail_type, "Detail": text, "Resources": list(resources)}
        with self.lock:
            self.backend("events").put_events([event])
            self.store.mark("events", "sns", "sqs", "logs")

    def put_log(self, group: str, stream: str, line: str, ts: float | None = None) -> None:
        with self.lock:
            logs = self.backend("logs")
            if group not in logs.groups:
                logs.create_log_group(group, {})
            if stream not in logs.groups[group].streams:
                logs.create_log_stream(group, stream)
            event = {"timestamp": int((ts or self.now()) * 1000), "message": line}
            logs.put_log_events(group, stream, [event])
            self.store.mark("logs")

    def put_metric(
        self,
        namespace: str,
        name: str,
        dims: Mapping[str, str],
        value: float,
        unit: str = "None",
        timestamp: float | None = None,
    ) -> None:
        at = self.now() if timestamp is None else timestamp
        metric = Metric(namespace, name, tuple(sorted(dims.items())))
        self.metrics.put(metric, [Point(at, 1.0, value, value, value, unit)])

    def alarm_state(self, name: str) -> str | None:
        with self.lock:
            alarm = self.backend("cloudwatch").watched.get(name.rsplit(":alarm:", 1)[-1])
            return str(alarm["StateValue"]) if alarm else None

    def charge(self, usage: Usage) -> None:
        self.charges.add(usage, self.now())

    def save(self) -> None:
        self.store.mark_all()

    # --- objects ---------------------------------------------------------------------------------------------------

    def get_object(self, bucket: str, key: str) -> bytes:
        with self.lock:
            return bytes(self._object(bucket, key).value)

    def object_path(self, bucket: str, key: str) -> Path:
        with self.lock:
            return Path(self._object(bucket, key).blob.path)

    def list_objects(self, bucket: str, prefix: str) -> list[str]:
        with self.lock:
            keys = self._bucket(bucket).keys
            return sorted(name for name in list(keys.keys()) if name.startswith(prefix) and key_of(keys[name]))

    def put_object(self, bucket: str, key: str, body: bytes | Path, content_type: str = "binary/octet-stream") -> None:
        data: bytes | Blob = body if isinstance(body, bytes) else _received(body)
        with self.lock:
            self._bucket(bucket)
            stored = self.backend("s3", "aws").put_object(bucket, key, data)
            stored.set_metadata({"Content-Type": content_type})
            self.store.mark("s3", "sqs", "sns", "events")

    def _bucket(self, bucket: str) -> Any:
        buckets = self.backend("s3", "aws").buckets
        if bucket not in buckets:
            raise KeyError(f"there is no bucket {bucket}")
        return buckets[bucket]

    def _object(self, bucket: str, key: str) -> Any:
        found = key_of(self._bucket(bucket).keys.get(key))
        if found is None:
            raise KeyError(f"there is no object s3://{bucket}/{key}")
        return found


def _received(path: Path) -> Blob:
    with path.open("rb") as file:
        return BlobStore.current.receive(body_chunks(file.read, None))


def _is_object_upload(environ: Mapping[str, Any]) -> bool:
    """Whether a request to S3 carries an object's bytes, or a part's, in its body."""
    names = {pair.split("=", 1)[0] for pair in environ.get("QUERY_STRING", "").split("&") if pair}
    return (
        environ["REQUEST_METHOD"] == "PUT"
        and "/" in environ.get("PATH_INFO", "/").strip("/")
        and names <= {"uploadId", "partNumber", "x-id"}
        and "HTTP_X_AMZ_COPY_SOURCE" not in environ
    )


def key_of(found: Any) -> Any | None:
    """The object of an entry of moto's key store; None for nothing, and for a delete marker."""
    from moto.s3.models import FakeKey

    return found if isinstance(found, FakeKey) else None


def backends_of(service: str) -> Any | None:
    """moto's backends of a service, by the name that requests are signed for; None for what is not kept or unknown."""
    from moto.backends import get_backend

    if service in _NOT_KEPT:
        return None
    try:
        return get_backend(_MOTO_NAMES.get(service, service))
    except (ImportError, AttributeError, KeyError):
        return None
