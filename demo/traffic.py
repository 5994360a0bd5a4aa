"""Sends flights to the endpoint by departure with plain boto3, as an application would."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import pandas as pd


class Feed:
    """A queue of flights as JSON lines; threads may take from it at the same time."""

    def __init__(self, flights: pd.DataFrame, columns: list[str]) -> None:
        import orjson

        rows = flights[columns].assign(
            scheduled_departure=flights["scheduled_departure"].dt.strftime("%Y-%m-%dT%H:%MZ")
        )
        names = list(rows.columns)
        values = zip(*(rows[name].astype(object).where(rows[name].notna(), None) for name in names), strict=True)
        self._lines = [
            orjson.dumps(dict(zip(names, row, strict=True)), option=orjson.OPT_SERIALIZE_NUMPY) for row in values
        ]
        self._months = flights["scheduled_departure"].dt.strftime("%Y-%m").tolist()
        self._days = flights["scheduled_departure"].dt.strftime("%d %B").tolist()
        self._next = 0
        self._lock = threading.Lock()

    def take(self, rows: int, *, before: str | None = None) -> tuple[bytes, int]:
        """Return a request body and its number of flights, at most `rows`, and none of month `before` or later."""
        with self._lock:
            start = self._next
            end = min(start + rows, len(self._lines))
            while before and end > start and self._months[end - 1] >= before:
                end -= 1
            self._next = end
            return b"\n".join(self._lines[start:end]), end - start

    def remaining(self, before: str) -> int:
        return sum(month < before for month in self._months[self._next :])

    @property
    def day(self) -> str:
        return self._days[min(self._next, len(self._days) - 1)]


@dataclass
class Application:
    """A client of the endpoint that counts predictions by release."""

    client: Any
    endpoint: str
    predictions_by_release: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    def send(self, body: bytes, rows: int) -> None:
        response = self.client.invoke_endpoint(
            EndpointName=self.endpoint, Body=body, ContentType="application/jsonlines", Accept="application/jsonlines"
        )
        response["Body"].read()
        attributes = dict(part.split("=", 1) for part in response.get("CustomAttributes", "").split(";") if "=" in part)
        self.predictions_by_release[attributes.get("release", "?")] += rows


class BackgroundTraffic:
    """Sends small requests on two connections until the `with` block ends."""

    def __init__(self, application: Application, feed: Feed, *, rows: int = 10, pause_s: float = 0.004) -> None:
        self._application, self._feed, self._rows, self._pause_s = application, feed, rows, pause_s
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(2)]

    def _run(self) -> None:
        while not self._stop.is_set():
            body, rows = self._feed.take(self._rows)
            if not rows:
                return
            try:
                self._application.send(body, rows)
            except Exception:  # a failed request is counted, and does not stop the application
                self._application.failed += 1
            time.sleep(self._pause_s)

    def __enter__(self) -> BackgroundTraffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)
