"""Charging what runs by the seconds it really ran: a few seconds at a time, so that a budget sees it while it runs."""

from __future__ import annotations

import threading
import traceback
from dataclasses import dataclass
from typing import Literal

from bedplate.local.hooks import Services, Usage

CHARGE_S = 5.0


@dataclass
class _Running:
    arn: str
    usage_type: Literal["training", "processing", "endpoint"]
    instance_type: str
    count: int
    started_at: float
    charged_to: float
    tags: dict[str, str]
    share: float


class Meter:
    """Everything that runs and costs, by a key of the caller's."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._running: dict[object, _Running] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="meter", daemon=True).start()

    def start(
        self,
        key: object,
        arn: str,
        usage_type: Literal["training", "processing", "endpoint"],
        instance_type: str,
        count: int,
        *,
        share: float = 1.0,
    ) -> None:
        """From now on it costs; `share` is what of the list price."""
        now, tags = self._services.now(), self._services.tags(arn)
        with self._lock:
            self._running[key] = _Running(arn, usage_type, instance_type, count, now, now, tags, share)

    def stop(self, key: object) -> float:
        """Charge the rest; the seconds it ran in all, 0 for what never started."""
        with self._lock:
            entry = self._running.pop(key, None)
        if entry is None:
            return 0.0
        self._charge(entry)
        return entry.charged_to - entry.started_at

    def tick(self) -> None:
        """Charge everything that runs up to now."""
        with self._lock:
            entries = list(self._running.values())
        for entry in entries:
            self._charge(entry)

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            keys = list(self._running)
        for key in keys:
            self.stop(key)

    def _charge(self, entry: _Running) -> None:
        with self._lock:
            since, entry.charged_to = entry.charged_to, max(entry.charged_to, self._services.now())
            seconds = entry.charged_to - since
        if seconds > 0:
            entry.tags = self._services.tags(entry.arn) or entry.tags  # gone with the record when it was deleted
            self._services.charge(
                Usage(
                    resource_arn=entry.arn,
                    usage_type=entry.usage_type,
                    started_at=entry.started_at,
                    instance_type=entry.instance_type,
                    seconds=seconds * entry.share,
                    count=entry.count,
                    tags=entry.tags,
                )
            )

    def _run(self) -> None:
        while not self._closed.wait(CHARGE_S):
            try:
                self.tick()
            except Exception:  # one charge that fails must not make everything free from then on
                traceback.print_exc()
