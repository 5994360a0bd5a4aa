"""The running local platform: lock, clock, records, background loops, and the services for the runtime."""

from __future__ import annotations

import copy
import json
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bedplate.local.billing.charges import Charges
from bedplate.local.bucket_access import BucketAccess
from bedplate.local.faults import SPOT_OPERATION, Faults
from bedplate.local.hooks import Hooks, KindName, Record, Usage
from bedplate.local.lifecycle import build_health
from bedplate.local.metrics.alarms import RAISED_AT
from bedplate.local.metrics.store import Metric, MetricStore, Point
from bedplate.local.storage.blobs import Blob
from bedplate.local.storage.mailbox import Mailbox
from bedplate.local.storage.persistence import SnapshotStore
from bedplate.local.trail import delivery
from bedplate.local.trail.access_log import AccessLog
from bedplate.local.trail.event_history import EventHistory

# Service names in signatures -> moto's names, where they differ.
_MOTO_NAMES = {
    "states": "stepfunctions",
    "monitoring": "cloudwatch",
    "application-autoscaling": "applicationautoscaling",
}
_NOT_SAVED = {"sts", "sagemaker-metrics"}
"""Services whose state is not worth a snapshot."""

_STATE_CHANGES: dict[str, tuple[str, str]] = {
    "training-job": ("TrainingJobStatus", "SageMaker Training Job State Change"),
    "processing-job": ("ProcessingJobStatus", "SageMaker Processing Job State Change"),
    "endpoint": ("EndpointStatus", "SageMaker Endpoint State Change"),
    "model-package": ("ModelApprovalStatus", "SageMaker Model Package State Change"),
}


class LocalPlatform:
    """Implements `hooks.Services`; its other members are for the gateway, the service patches and the loops."""

    def __init__(
        self, state_dir: Path, *, region: str, port: int, since: str, clock: Callable[[], float] = time.time
    ) -> None:
        self.state_dir = state_dir
        self.port = port
        self.region = region
        self.hooks = Hooks()
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self.faults: Faults | None = None
        """The faults to inject; None when the platform was started without `--faults`."""
        self.loops: list[tuple[str, Callable[[], None], float]] = []
        self._objects = BucketAccess(self)
        self._clock = clock
        self._since = since
        self.install_service: Callable[[str], None] = lambda _: None
        self.read_object_fast: Callable[[Mapping[str, Any]], tuple[dict[str, str], Blob] | None] = lambda _: None
        """Returns headers and bytes for a plain GetObject; None for requests that moto must handle. Hold the lock."""
        self.find_blocking_budget: Callable[[str, str, Mapping[str, str]], str | None] = lambda *_: None
        """(action, ARN, request's tags) -> the budget whose executed action denies the call. Hold the lock."""
        self.store = SnapshotStore(state_dir / "state.db", self.lock, self.find_backends, self.log)
        self.charges = Charges(state_dir / "charges.db")
        self.outbox = Mailbox(state_dir / "outbox")
        self.metrics = MetricStore(state_dir / "metrics.db", self.now())
        self.trail = EventHistory(state_dir / "trail.db", self.account_id, self.now)
        self.trail_delivery = delivery.TrailDelivery(self)
        self.trail.is_recorded = self.trail_delivery.is_recorded
        self.access_log = AccessLog(self)
        self.loops += [("trail", self.trail.write_pending, 0.5)]
        self.loops += [("trails", self.trail_delivery.deliver, delivery.INTERVAL_S)]
        self.loops += [("charges", self.charges.commit, 0.5), ("metrics", self.metrics.commit, 0.5)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def account_id(self) -> str:
        return "123456789012"

    def now(self) -> float:
        return self._clock()

    def wait(self, seconds: float) -> None:
        """Waits, at most until the platform stops."""
        self.closing.wait(seconds)

    def health(self) -> dict[str, Any]:
        faults = self.faults is not None
        return build_health(self.state_dir, self.region, self.port, self._since, self.store.generation, faults)

    def log(self, line: str) -> None:
        """Writes a line to the server's log."""
        timestamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now()))
        sys.stderr.write(f"{timestamp}  {line}\n")

    # --- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the snapshots, the background loops, and what the runtime has to restore."""
        threading.Thread(target=self.store.run, name="store", daemon=True).start()
        for name, step, interval_s in self.loops:
            threading.Thread(target=self._run_loop, args=(name, step, interval_s), name=name, daemon=True).start()
        self.hooks.restore()

    def stop(self) -> None:
        """Stops the loops and every process of the runtime. Call `close` after the last request."""
        self.closing.set()
        self.hooks.shutdown()

    def close(self) -> None:
        """Writes and closes every file, after the last request."""
        self.store.close()
        self.charges.close()
        self.metrics.close()
        self.trail.close()

    def _run_loop(self, name: str, step: Callable[[], None], interval_s: float) -> None:
        while not self.closing.wait(interval_s):
            try:
                step()
            except Exception:  # a loop that ended here would silently stop every alarm
                self.log(f"loop {name} failed\n{traceback.format_exc().rstrip()}")

    # --- records ---------------------------------------------------------------------------------------------------

    def record(self, kind: KindName, name: str) -> Record | None:
        with self.lock:
            record: Record | None = self._records[kind].get(name)
            return copy.deepcopy(record)

    def records(self, kind: KindName) -> list[Record]:
        with self.lock:
            return copy.deepcopy(list(self._records[kind].values()))

    def update(self, kind: KindName, name: str, **changes: Any) -> Record | None:
        with self.lock:
            existing = self._records[kind].get(name)
            if existing is None:
                return None
            status_field = _STATE_CHANGES.get(kind, ("", ""))[0]
            previous_status = existing.get(status_field)
            record: Record = self._records.update(kind, name, changes)
            self.store.mark("sagemaker")
            if status_field and record.get(status_field) != previous_status:
                self.emit_state_change(kind, record)
            return copy.deepcopy(record)

    def add(self, kind: KindName, name: str, record: Record) -> None:
        with self.lock:
            self._records.add(kind, name, record)
            self.store.mark("sagemaker")

    def tags(self, arn: str) -> dict[str, str]:
        with self.lock:
            return dict(self._records.tags.get(arn, {}))

    def emit_state_change(self, kind: KindName, record: Record) -> None:
        """Sends the state-change event that SageMaker sends to EventBridge."""
        if kind not in _STATE_CHANGES:
            return
        status_field, detail_type = _STATE_CHANGES[kind]
        if kind == "endpoint":  # in its events the status InService is IN_SERVICE
            record = {**record, status_field: re.sub(r"(?<=[a-z])(?=[A-Z])", "_", record[status_field]).upper()}
        self.emit_event("aws.sagemaker", detail_type, record)

    @property
    def _records(self) -> Any:
        return self.backend("sagemaker").records

    def find_backends(self, service: str) -> Any | None:
        """Returns moto's backends of a service, patched, by its name in signatures.

        Returns None for a service that is not saved, or that moto does not have.
        """
        from moto.backends import get_backend

        name = _MOTO_NAMES.get(service, service)
        if name in _NOT_SAVED:
            return None
        self.install_service(name)
        try:
            return get_backend(name)
        except (ImportError, AttributeError, KeyError):
            return None

    def backend(self, service: str, region: str | None = None) -> Any:
        """Returns moto's backend of a service in this account. Hold the lock while using it."""
        backends = self.find_backends(service)
        assert backends is not None, service
        return backends[self.account_id][region or self.region]

    # --- messages, logs, metrics -----------------------------------------------------------------------------------

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
        time_s = self.now() if timestamp is None else timestamp
        metric = Metric(namespace, name, tuple(sorted(dims.items())))
        self.metrics.put(metric, [Point(time_s, 1.0, value, value, value, unit)])

    def has_alarm_fired(self, name: str, since: float) -> bool:
        with self.lock:
            alarm = self.backend("cloudwatch").alarm_records.get(name.rsplit(":alarm:", 1)[-1])
            return bool(alarm) and (alarm["StateValue"] == "ALARM" or alarm.get(RAISED_AT, since - 1) >= since)

    def is_spot_reclaimed(self, job: str) -> bool:
        return self.faults is not None and self.faults.inject(SPOT_OPERATION, job.encode()) == "interrupt"

    def charge(self, usage: Usage) -> None:
        self.charges.add(usage, self.now())

    def save(self) -> None:
        self.store.mark_all()

    # --- objects ---------------------------------------------------------------------------------------------------

    def get_object(self, bucket: str, key: str) -> bytes:
        return self._objects.get(bucket, key)

    def object_path(self, bucket: str, key: str) -> Path:
        return self._objects.path(bucket, key)

    def list_objects(self, bucket: str, prefix: str) -> list[str]:
        return self._objects.list_keys(bucket, prefix)

    def put_object(self, bucket: str, key: str, body: bytes | Path, content_type: str = "binary/octet-stream") -> None:
        self._objects.put(bucket, key, body, content_type)
