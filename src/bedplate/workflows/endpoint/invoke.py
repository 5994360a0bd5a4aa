"""Sends rows to a model's endpoint in batches, in the order of the rows, and measures latency and failures."""

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
from bedplate.workflows.endpoint.probe import parse_predictions
from bedplate.workflows.stack_context import StackContext


@dataclass(frozen=True, slots=True)
class InvokeRequest:
    """The rows to send, `batch_size` in each request and up to `concurrency` requests at a time, in order.

    `total_rows` is the number of rows for the progress; None when it is unknown.
    """

    model: str
    rows: Iterable[Mapping[str, Any]]
    total_rows: int | None = None
    batch_size: int = 50
    concurrency: int = 4


@dataclass(frozen=True, slots=True)
class RowPrediction:
    """One row's prediction and the release that returned it, both None when its request failed.

    `keys` are the row's values of the contract's key columns.
    """

    keys: Mapping[str, Any]
    prediction: float | None
    release: str | None


@dataclass(slots=True)
class InvokeResult:
    """Counts and measurements of all requests. `failed` counts requests.

    Latencies are those of successful requests, measured by the client.
    """

    rows: int = 0
    requests: int = 0
    failed: int = 0
    duration_s: float = 0.0
    rows_by_release: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    first_failure: str | None = None

    def latency_ms(self, quantile: float) -> float | None:
        """Returns the nearest-rank quantile of the latencies; None without a successful request.

        >>> InvokeResult(latencies_ms=[3.0, 1.0, 2.0]).latency_ms(0.5)
        2.0
        """
        ranked = sorted(self.latencies_ms)
        return ranked[min(len(ranked) - 1, int(quantile * len(ranked)))] if ranked else None

    @property
    def rows_per_s(self) -> float:
        return self.rows / self.duration_s if self.duration_s else 0.0


def invoke(
    stack: StackContext,
    request: InvokeRequest,
    on_prediction: Callable[[RowPrediction], None],
    reporter: Reporter,
    *,
    timer: Callable[[], float] = time.perf_counter,
) -> InvokeResult:
    """Sends all rows, calls `on_prediction` for every row in the order of the rows, and returns the measurements.

    Raises UsageError with the model's message for a request that the model rejects (4xx), because the following
    requests would be rejected too. A failed request (5xx) is counted, and the next one is sent.
    """
    endpoint = stack.names(request.model).endpoint
    key_columns = stack.model(request.model).data.keys
    result, started_at_s = InvokeResult(), timer()

    def send(index: int, rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[float, ...], str | None, float, str | None]:
        """Sends a batch; returns its predictions, release, latency in milliseconds, and the failure's message."""
        sent_at_s = timer()
        try:
            response = stack.endpoints.invoke(endpoint, encode_rows(rows))
        except UsageError as exc:
            first_row = index * request.batch_size + 1
            raise UsageError(
                f"The model rejects rows {first_row:,} to {first_row + len(rows) - 1:,}: {exc.message}",
                next_step=f"bedplate models check {request.model}, or correct the rows",
            ) from exc
        except PlatformError as exc:
            return (), None, 0.0, exc.message
        return parse_predictions(response.body), response.release, (timer() - sent_at_s) * 1000, None

    with ThreadPoolExecutor(request.concurrency) as pool:
        in_flight: deque[tuple[Sequence[Mapping[str, Any]], Future[Any]]] = deque()
        batches = enumerate(_batches(request.rows, request.batch_size))
        try:
            for index, rows in batches:
                in_flight.append((rows, pool.submit(send, index, rows)))
                if len(in_flight) >= request.concurrency:
                    _collect(in_flight, key_columns, result, on_prediction)
                    result.duration_s = timer() - started_at_s
                    reporter("progress", {"done": result.rows, "total": request.total_rows, "failed": result.failed})
            while in_flight:
                _collect(in_flight, key_columns, result, on_prediction)
        except BaseException:
            for _, future in in_flight:
                future.cancel()
            raise
    result.duration_s = timer() - started_at_s
    return result


def encode_rows(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Encodes rows as `application/jsonlines`, with times in ISO 8601 and NaN as null.

    >>> encode_rows([{"a": float("nan")}, {"a": 1}])
    b'{"a":null}\\n{"a":1}\\n'
    """
    import orjson

    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY) for row in rows)


def _collect(
    in_flight: deque[tuple[Sequence[Mapping[str, Any]], Future[Any]]],
    key_columns: Sequence[str],
    result: InvokeResult,
    on_prediction: Callable[[RowPrediction], None],
) -> None:
    """Waits for the oldest request, adds it to the result, and calls `on_prediction` for its rows."""
    rows, future = in_flight.popleft()
    predictions, release, latency_ms, failure = future.result()
    result.requests += 1
    result.rows += len(rows)
    if failure is not None:
        result.failed += 1
        result.first_failure = result.first_failure or failure
    else:
        result.latencies_ms.append(latency_ms)
        result.rows_by_release[release or "unknown"] += len(rows)
    for index, row in enumerate(rows):
        keys = {column: row[column] for column in key_columns if column in row}
        prediction = predictions[index] if index < len(predictions) else None
        on_prediction(RowPrediction(keys, prediction, release))


def _batches(rows: Iterable[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    stream = iter(rows)
    while batch := list(islice(stream, size)):
        yield batch
