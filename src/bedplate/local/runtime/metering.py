"""Charges running resources by the second, every few seconds, so that budgets see the cost while a resource runs."""

from __future__ import annotations

import threading
import traceback
from dataclasses import dataclass
from typing import Literal

from bedplate.local.hooks import Services, Usage

CHARGE_INTERVAL_S = 5.0


@dataclass
class _MeteredResource:
    arn: str
    usage_type: Literal["training", "processing", "endpoint"]
    instance_type: str
    count: int
    started_at: float
    charged_until: float
    tags: dict[str, str]
    price_share: float


class Meter:
    """Charges every running resource; callers identify each resource by a key."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._running: dict[object, _MeteredResource] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._charge_regularly, name="meter", daemon=True).start()

    def start(
        self,
        key: object,
        arn: str,
        usage_type: Literal["training", "processing", "endpoint"],
        instance_type: str,
        count: int,
        *,
        price_share: float = 1.0,
    ) -> None:
        """Starts to charge a resource for `count` instances at `price_share` (0 to 1) of the list price."""
        now, tags = self._services.now(), self._services.tags(arn)
        with self._lock:
            self._running[key] = _MeteredResource(arn, usage_type, instance_type, count, now, now, tags, price_share)

    def stop(self, key: object) -> float:
        """Charges the remaining time and returns the total running time in seconds, 0 for an unknown key."""
        with self._lock:
            resource = self._running.pop(key, None)
        if resource is None:
            return 0.0
        self._charge(resource)
        return resource.charged_until - resource.started_at

    def charge_all(self) -> None:
        """Charges every running resource up to now."""
        with self._lock:
            resources = list(self._running.values())
        for resource in resources:
            self._charge(resource)

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            keys = list(self._running)
        for key in keys:
            self.stop(key)

    def _charge(self, resource: _MeteredResource) -> None:
        with self._lock:
            previous, resource.charged_until = resource.charged_until, max(resource.charged_until, self._services.now())
            seconds = resource.charged_until - previous
        if seconds > 0:
            resource.tags = (
                self._services.tags(resource.arn) or resource.tags
            )  # a deleted resource has no tags any more
            self._services.charge(
                Usage(
                    resource_arn=resource.arn,
                    usage_type=resource.usage_type,
                    started_at=resource.started_at,
                    instance_type=resource.instance_type,
                    seconds=seconds * resource.price_share,
                    count=resource.count,
                    tags=resource.tags,
                )
            )

    def _charge_regularly(self) -> None:
        while not self._closed.wait(CHARGE_INTERVAL_S):
            try:
                self.charge_all()
            except Exception:  # a failed charge must not end the charging
                traceback.print_exc()
