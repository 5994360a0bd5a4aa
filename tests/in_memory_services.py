"""An in-memory implementation of the platform's services that records every call of the runtime."""

from __future__ import annotations

import copy
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bedplate.local.hooks import KindName, Record, Usage

ACCOUNT = "123456789012"


class InMemoryServices:
    """Implements `hooks.Services`. `wait_until` waits for a change without polling."""

    def __init__(self, state_dir: Path, clock: Callable[[], float] = time.time) -> None:
        self.state_dir = state_dir
        self.url = "http://127.0.0.1:1"
        self.region = "us-east-1"
        self.account_id = ACCOUNT
        self.clock = clock
        self.tables: dict[str, dict[str, Record]] = defaultdict(dict)
        self.history: dict[tuple[str, str], list[Record]] = defaultdict(list)
        self.objects: dict[str, dict[str, bytes]] = defaultdict(dict)
        self.metrics: list[tuple[str, str, dict[str, str], float, str]] = []
        self.logs: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.charges: list[Usage] = []
        self.alarm_states: dict[str, str] = {}
        self.fired_alarms: dict[str, float] = {}
        self.missing_buckets: set[str] = set()
        self.spot_reclaims: list[bool] = []
        """Results of the next calls of `is_spot_reclaimed`, in order. When it is empty, the result is False."""
        self._changed = threading.Condition(threading.RLock())

    def wait_until(self, condition: Callable[[], Any], timeout_s: float = 20) -> Any:
        with self._changed:
            assert self._changed.wait_for(condition, timeout_s), f"the condition is not true after {timeout_s} s"
            return condition()

    def wait_for_status(self, kind: KindName, name: str, *statuses: str) -> Record:
        """Waits until the record's status is one of `statuses`. Returns the record."""
        key = {"training-job": "TrainingJobStatus", "processing-job": "ProcessingJobStatus"}.get(kind, "EndpointStatus")
        self.wait_until(lambda: self.tables[kind][name].get(key) in statuses)
        return copy.deepcopy(self.tables[kind][name])

    def put_record(self, kind: KindName, name: str, record: Record) -> Record:
        with self._changed:
            self.tables[kind][name] = copy.deepcopy(record)
            self._changed.notify_all()
        return copy.deepcopy(record)

    def now(self) -> float:
        return self.clock()

    def record(self, kind: KindName, name: str) -> Record | None:
        with self._changed:
            return copy.deepcopy(self.tables[kind].get(name))

    def records(self, kind: KindName) -> list[Record]:
        with self._changed:
            return copy.deepcopy(list(self.tables[kind].values()))

    def update(self, kind: KindName, name: str, **changes: Any) -> Record | None:
        with self._changed:
            record = self.tables[kind].get(name)
            if record is None:
                return None
            for key, value in changes.items():
                if value is None:
                    record.pop(key, None)
                else:
                    record[key] = copy.deepcopy(value)
            self.history[kind, name].append(copy.deepcopy(record))
            self._changed.notify_all()
            return copy.deepcopy(record)

    def add(self, kind: KindName, name: str, record: Record) -> None:
        self.put_record(kind, name, record)

    def tags(self, arn: str) -> dict[str, str]:
        return {"Model": "m"}

    def put_metric(
        self,
        namespace: str,
        name: str,
        dims: Mapping[str, str],
        value: float,
        unit: str = "None",
        timestamp: float | None = None,
    ) -> None:
        with self._changed:
            self.metrics.append((namespace, name, dict(dims), value, unit))
            self._changed.notify_all()

    def metric_values(self, name: str) -> list[float]:
        return [value for _, metric, _, value, _ in self.metrics if metric == name]

    def put_log(self, group: str, stream: str, line: str, ts: float | None = None) -> None:
        with self._changed:
            self.logs[group, stream].append(line)
            self._changed.notify_all()

    def log_lines(self, group: str) -> list[str]:
        with self._changed:
            return [line for (g, _), lines in self.logs.items() if g == group for line in lines]

    def publish(self, topic_arn: str, subject: str, message: str) -> None:
        pass

    def emit_event(self, source: str, detail_type: str, detail: Mapping[str, Any]) -> None:
        pass

    def charge(self, usage: Usage) -> None:
        with self._changed:
            self.charges.append(usage)
            self._changed.notify_all()

    def is_spot_reclaimed(self, job: str) -> bool:
        return bool(self.spot_reclaims) and self.spot_reclaims.pop(0)

    def has_alarm_fired(self, name: str, since: float) -> bool:
        return self.alarm_states.get(name) == "ALARM" or self.fired_alarms.get(name, since - 1) >= since

    def get_object(self, bucket: str, key: str) -> bytes:
        if key not in self.objects[bucket]:
            raise KeyError(f"there is no object s3://{bucket}/{key}")
        return self.objects[bucket][key]

    def object_path(self, bucket: str, key: str) -> Path:
        path = self.state_dir / "objects" / bucket / key
        body = self.get_object(bucket, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return path

    def list_objects(self, bucket: str, prefix: str) -> list[str]:
        return sorted(key for key in self.objects[bucket] if key.startswith(prefix))

    def put_object(self, bucket: str, key: str, body: bytes | Path, content_type: str = "") -> None:
        if bucket in self.missing_buckets:
            raise KeyError(f"there is no bucket {bucket}")
        with self._changed:
            self.objects[bucket][key] = body.read_bytes() if isinstance(body, Path) else body
            self._changed.notify_all()

    def save(self) -> None:
        pass
