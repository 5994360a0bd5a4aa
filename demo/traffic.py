"""Sends real flights to the endpoint in the order of their departure, as an application would: with plain boto3."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from types import TracebackType
from typing import Any

import pandas as pd

Batch = tuple[str, bytes, int]
"""The day, the request's body (JSON Lines), and how many flights it holds."""


def batches(flights: pd.DataFrame, columns: list[str], *, hours: int = 3) -> Iterator[Batch]:
    """One request for every `hours` of departures."""
    import orjson

    window = flights["scheduled_departure"].dt.floor(f"{hours}h")
    rows = flights[columns].assign(scheduled_departure=flights["scheduled_departure"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    records = rows.astype(object).where(rows.notna(), None).to_dict(orient="records")
    for start, group in groupby(zip(window, records, strict=True), key=itemgetter(0)):
        lines = [orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY) for _, record in group]
        yield f"{start:%d %b}", b"\n".join(lines), len(lines)


@dataclass
class Application:
    """A caller that knows the endpoint's name and nothing else."""

    client: Any
    endpoint: str
    answered: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    def send(self, batch: Batch) -> str:
        """Send one request; returns the release that answered."""
        _, body, rows = batch
        answer = self.client.invoke_endpoint(
            EndpointName=self.endpoint, Body=body, ContentType="application/jsonlines", Accept="application/jsonlines"
        )
        answer["Body"].read()
        said = dict(part.split("=", 1) for part in answer.get("CustomAttributes", "").split(";") if "=" in part)
        release = said.get("release", "?")
        self.answered[release] += rows
        return release


class InBackground:
    """Keeps sending while something else goes on, at a steady pace, until the `with` block ends."""

    def __init__(self, application: Application, feed: Iterator[Batch], *, pause_s: float = 0.03) -> None:
        self.application, self.feed, self.pause_s = application, feed, pause_s
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        for batch in self.feed:
            if self.stop.is_set():
                return
            try:
                self.application.send(batch)
            except Exception:  # an application goes on when one request fails; the story tells how many did
                self.application.failed += 1
            time.sleep(self.pause_s)

    def __enter__(self) -> InBackground:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self.thread.join(timeout=30)
