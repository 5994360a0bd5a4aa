"""Sends real flights to the endpoint in the order of their departure, as an application would: with plain boto3."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import pandas as pd


class Feed:
    """Flights as lines of JSON, in the order they are given; every caller takes the next ones."""

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
        """A request's body, and how many flights it holds: fewer than `rows` at the end or at month `before`."""
        with self._lock:
            start = self._next
            end = min(start + rows, len(self._lines))
            while before and end > start and self._months[end - 1] >= before:
                end -= 1
            self._next = end
            return b"\n".join(self._lines[start:end]), end - start

    def left(self, before: str) -> int:
        return sum(month < before for month in self._months[self._next :])

    @property
    def day(self) -> str:
        return self._days[min(self._next, len(self._days) - 1)]


@dataclass
class Application:
    """A caller that knows the endpoint's name and nothing else."""

    client: Any
    endpoint: str
    answered: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    def send(self, body: bytes, rows: int) -> None:
        answer = self.client.invoke_endpoint(
            EndpointName=self.endpoint, Body=body, ContentType="application/jsonlines", Accept="application/jsonlines"
        )
        answer["Body"].read()
        said = dict(part.split("=", 1) for part in answer.get("CustomAttributes", "").split(";") if "=" in part)
        self.answered[said.get("release", "?")] += rows


class InBackground:
    """Keeps sending small requests on two connections while something else goes on, until the `with` block ends."""

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
            except Exception:  # an application goes on when one request fails; the story tells how many did
                self._application.failed += 1
            time.sleep(self._pause_s)

    def __enter__(self) -> InBackground:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)
