"""One running platform: its lock, clock and records, what it does for the runtime, and its background loops."""

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
from bedplate.local.faults import SPOT, Faults
from bedplate.local.hooks import Hooks, Kind, Record, Usage
from bedplate.local.lifecycle import health_card
from bedplate.local.metrics.alarms import RAISED_AT
from bedplate.local.metrics.store import Metric, MetricStore, Point
from bedplate.local.storage.blobs import Blob
from bedplate.local.storage.mailbox import Mailbox
from bedplate.local.storage.persistence import SnapshotStore
from bedplate.local.trail import delivery
from bedplate.local.trail.access_log import AccessLog
from bedplate.local.trail.event_history import EventHistory

# Names that requests are signed for, where moto has another; and what is not worth keeping.
_MOTO_NAMES = {
    "states": "stepfunctions",
    "monitoring": "cloudwatch",
    "application-autoscaling": "applicationautoscaling",
}
_NOT_KEPT = {"sts", "sagemaker-metrics"}

_STATE_CHANGES: dict[str, tuple[str, str]] = {
    "training-job": ("TrainingJobStatus", "SageMaker Training Job State Change"),
    "processing-job": ("ProcessingJobStatus", "SageMaker Processing Job State Change"),
    "endpoint": ("EndpointStatus", "SageMaker Endpoint State Change"),
    "model-package": ("ModelApprovalStatus", "SageMaker Model Package State Change"),
}


class LocalPlatform:
    """Fulfils `hooks.Services`; what else it offers is for the gateway, the mends and the loops."""

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
        """Faults that are committed on demand; None where they are switched off."""
        self.loops: list[tuple[str, Callable[[], None], float]] = []
        self._objects = BucketAccess(self)
        self._clock = clock
        self._since = since
        self.mend: Callable[[str], None] = lambda _: None
        self.quick_read: Callable[[Mapping[str, Any]], tuple[dict[str, str], Blob] | None] = lambda _: None
        """Of a plain GET of an object its headers and bytes; None where moto must be asked. Hold the lock."""
        self.stopped_by_budget: Callable[[str, str, Mapping[str, str]], str | None] = lambda *_: None
        """(action, ARN, request's tags) -> the budget whose executed action denies the call. Hold the lock."""
        self.store = SnapshotStore(state_dir / "state.db", self.lock, self.backends_of, self.log)
        self.charges = Charges(state_dir / "charges.db")
        self.outbox = Mailbox(state_dir / "outbox")
        self.metrics = MetricStore(state_dir / "metrics.db", self.now())
        self.trail = EventHistory(state_dir / "trail.db", self.account_id, self.now)
        self.trail_delivery = delivery.TrailDelivery(self)
        self.trail.keep_data_event = self.trail_delivery.asks_for
        self.access_log = AccessLog(self)
        self.loops += [("trail", self.trail.drain, 0.5)]
        self.loops += [("trails", self.trail_delivery.step, delivery.INTERVAL_S)]
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
        faults = self.faults is not None
        return health_card(self.state_dir, self.region, self.port, self._since, self.store.world, faults)

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
        self.trail.close()

    def _loop(self, name: str, step: Callable[[], None], interval_s: float) -> None:
        while not self.closing.wait(interval_s):
            try:
                step()
            except Exception:  # a loop that dies silently would stop every alarm
                self.log(f"loop {name} failed\n{traceback.format_exc().rstrip()}")

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
        if kind not in _STATE_CHANGES:
            return
        status, detail_type = _STATE_CHANGES[kind]
        if kind == "endpoint":  # its events spell the status InService as IN_SERVICE
            record = {**record, status: re.sub(r"(?<=[a-z])(?=[A-Z])", "_", record[status]).upper()}
        self.emit_event("aws.sagemaker", detail_type, record)

    @property
    def _records(self) -> Any:
        return self.backend("sagemaker").records

    def backends_of(self, service: str) -> Any | None:
        """moto's backends of a service, mended, by the name that requests are signed for; None for what is not kept or
        moto does not have."""
        from moto.backends import get_backend

        name = _MOTO_NAMES.get(service, service)
        if name in _NOT_KEPT:
            return None
        self.mend(name)
        try:
            return get_backend(name)
        except (ImportError, AttributeError, KeyError):
            return None

    def backend(self, service: str, region: str | None = None) -> Any:
        """moto's backend of a service in this account. Hold the lock while using it."""
        backends = self.backends_of(service)
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

    def alarm_raised(self, name: str, since: float) -> bool:
        with self.lock:
            alarm = self.backend("cloudwatch").watched.get(name.rsplit(":alarm:", 1)[-1])
            return bool(alarm) and (alarm["StateValue"] == "ALARM" or alarm.get(RAISED_AT, since - 1) >= since)

    def spot_reclaimed(self, job: str) -> bool:
        return self.faults is not None and self.faults.strike(SPOT, job.encode()) == "interrupt"

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
        return self._objects.names(bucket, prefix)

    def put_object(self, bucket: str, key: str, body: bytes | Path, content_type: str = "binary/octet-stream") -> None:
        self._objects.put(bucket, key, body, content_type)
