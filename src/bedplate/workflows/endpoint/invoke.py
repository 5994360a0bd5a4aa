"""Sends rows to a model's endpoint, in batches and in the order of time, and measures how it answers."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from bedplate.errors import PlatformError, UsageError
from bedplate.ports import Reporter
from bedplate.workflows.endpoint.probe import answers_in
from bedplate.workflows.stack_context import StackContext


@dataclass(frozen=True, slots=True)
class InvokeRequest:
    """Rows are sent as they are; a batch is one request. Up to `concurrency` requests are under way at once, begun in
    the order of the rows."""

    model: str
    rows: Iterable[Mapping[str, Any]]
    total: int | None = None
    batch: int = 50
    concurrency: int = 4


@dataclass(frozen=True, slots=True)
class RowPrediction:
    """One row's answer; None where its request failed."""

    keys: Mapping[str, Any]
    prediction: float | None
    release: str | None


@dataclass(slots=True)
class Tally:
    """What was measured. Latencies are of requests, in milliseconds, as the sender saw them."""

    rows: int = 0
    requests: int = 0
    failed: int = 0
    seconds: float = 0.0
    releases: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    first_failure: str | None = None

    def latency_ms(self, quantile: float) -> float | None:
        """Nearest-rank quantile; None without a request that was answered.

        >>> Tally(latencies_ms=[3.0, 1.0, 2.0]).latency_ms(0.5)
        2.0
        """
        ranked = sorted(self.latencies_ms)
        return ranked[min(len(ranked) - 1, int(quantile * len(ranked)))] if ranked else None

    @property
    def rows_per_s(self) -> float:
        return self.rows / self.seconds if self.seconds else 0.0


def invoke(
    stack: StackContext,
    request: InvokeRequest,
    tell: Callable[[RowPrediction], None],
    reporter: Reporter,
    *,
    timer: Callable[[], float] = time.perf_counter,
) -> Tally:
    """Send everything; `tell` hears every row's answer in the order of the rows.

    A request that the model refuses (4xx) ends it with UsageError in the model's own words: the rest would fare alike.
    One that fails (5xx) is counted, and the next one is sent.
    """
    endpoint = stack.names(request.model).endpoint
    keys = stack.model(request.model).data.keys
    tally, begun = Tally(), timer()

    def send(number: int, rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[float, ...], str | None, float, str | None]:
        started = timer()
        try:
            answer = stack.endpoints.invoke(endpoint, encode(rows))
        except UsageError as exc:
            first = number * request.batch + 1
            raise UsageError(
                f"Rows {first:,} to {first + len(rows) - 1:,}: {exc.message}",
                next_step=f"bedplate models check {request.model}, or mend the rows",
            ) from exc
        except PlatformError as exc:
            return (), None, 0.0, exc.message
        return answers_in(answer.body), answer.release, (timer() - started) * 1000, None

    with ThreadPoolExecutor(request.concurrency) as pool:
        under_way: deque[tuple[Sequence[Mapping[str, Any]], Future[Any]]] = deque()
        batches = enumerate(_batches(request.rows, request.batch))
        try:
            for number, rows in batches:
                under_way.append((rows, pool.submit(send, number, rows)))
                if len(under_way) >= request.concurrency:
                    _take(under_way, keys, tally, tell)
                    tally.seconds = timer() - begun
                    reporter("progress", {"done": tally.rows, "total": request.total, "failed": tally.failed})
            while under_way:
                _take(under_way, keys, tally, tell)
        except BaseException:
            for _, waiting in under_way:
                waiting.cancel()
            raise
    tally.seconds = timer() - begun
    return tally


def encode(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """`application/jsonlines`; times in ISO 8601, NaN as null.

    >>> encode([{"a": float("nan")}, {"a": 1}])
    b'{"a":null}\\n{"a":1}\\n'
    """
    import orjson

    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY) for row in rows)


def _take(
    under_way: deque[tuple[Sequence[Mapping[str, Any]], Future[Any]]],
    keys: Sequence[str],
    tally: Tally,
    tell: Callable[[RowPrediction], None],
) -> None:
    rows, future = under_way.popleft()
    answers, release, latency_ms, failure = future.result()
    tally.requests += 1
    tally.rows += len(rows)
    if failure is not None:
        tally.failed += 1
        tally.first_failure = tally.first_failure or failure
    else:
        tally.latencies_ms.append(latency_ms)
        tally.releases[release or "unknown"] += len(rows)
    for at, row in enumerate(rows):
        told = {key: row[key] for key in keys if key in row}
        tell(RowPrediction(told, answers[at] if at < len(answers) else None, release))


def _batches(rows: Iterable[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    stream = iter(rows)
    while batch := list(islice(stream, size)):
        yield batch
