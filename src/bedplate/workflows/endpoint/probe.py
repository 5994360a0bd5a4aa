"""Invokes an endpoint with a few known rows to verify which release it serves."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from bedplate.errors import NotFound, PlatformError
from bedplate.settings import DataContract, ModelSpec
from bedplate.workflows.endpoint.capture import read_latest
from bedplate.workflows.stack_context import StackContext

PROBE_ROWS = 20
PROBE_ID = "bedplate-probe"
"""InferenceId of probe requests, so that readers of the capture can tell them from a caller's requests."""
MAX_ATTEMPTS = 20
PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The response to a probe: the release that the endpoint reports, and its predictions' count and mean."""

    release: str | None
    rows: int
    mean_prediction: float
    rows_source: str


@dataclass(frozen=True, slots=True)
class Probe:
    """The rows of a probe request and a description of their source."""

    rows: tuple[Mapping[str, Any], ...]
    rows_source: str


def build_probe(stack: StackContext, spec: ModelSpec, *, holdout_uri: str | None) -> Probe:
    """Builds a probe from the latest captured rows of any release, or from the holdout, or from an example row."""
    rows = [row for request in read_latest(stack, spec.name, min_predictions=PROBE_ROWS) for row in request.rows]
    if rows:
        return Probe(tuple(rows[-PROBE_ROWS:]), "captured requests")
    if holdout_uri and stack.objects.exists(holdout_uri):
        return Probe(_first_rows(stack.objects.get(holdout_uri), spec.data), "the holdout")
    return Probe((build_example_row(spec.data),), "an example row of the data contract")


def verify_release(stack: StackContext, endpoint: str, probe: Probe, release: str) -> ProbeResult:
    """Sends the probe until `release` responds, because the old release may respond for a moment after traffic moved.

    Raises PlatformError when another release keeps responding, or when a prediction is not a finite number.
    """
    result = None
    for attempt in range(MAX_ATTEMPTS):
        if attempt:
            stack.clock.sleep(PAUSE_S)
        result = send_probe(stack, endpoint, probe)
        if result.release == release:
            return result
    raise PlatformError(
        f"{endpoint} serves {result.release if result else 'no release'} instead of {release}",
        next_step="bedplate ledger show",
    )


def send_probe(stack: StackContext, endpoint: str, probe: Probe) -> ProbeResult:
    """Sends one request with the probe's rows.

    Raises PlatformError when a prediction is missing or not a finite number.
    """
    body = b"".join(json.dumps(row).encode() + b"\n" for row in probe.rows)
    response = stack.endpoints.invoke(endpoint, body, inference_id=PROBE_ID)
    predictions = parse_predictions(response.body)
    if len(predictions) != len(probe.rows) or not all(math.isfinite(value) for value in predictions):
        raise PlatformError(
            f"{endpoint} returned {len(predictions)} of {len(probe.rows)} predictions, or not only finite numbers",
            next_step="bedplate local logs",
        )
    mean = sum(predictions) / len(predictions)
    return ProbeResult(response.release, len(predictions), mean, probe.rows_source)


def parse_predictions(body: bytes) -> tuple[float, ...]:
    """Parses the predictions of an `application/jsonlines` response.

    >>> parse_predictions(b'{"prediction": 0.25}\\n{"prediction": 1}\\n')
    (0.25, 1.0)
    """
    return tuple(float(json.loads(line)["prediction"]) for line in body.splitlines() if line.strip())


def build_request_row(row: Mapping[str, Any], contract: DataContract) -> dict[str, Any]:
    """Returns the columns of a table's row that belong in a request as JSON values: keys, time and features."""
    columns = (*contract.keys, *((contract.time,) if contract.time else ()), *contract.features)
    return {name: _json_value(row[name]) for name in columns if name in row}


def build_example_row(contract: DataContract) -> dict[str, Any]:
    """Builds a row that satisfies the contract, with the smallest number and the first category of each column.

    >>> columns = {
    ...     "id": {"type": "string", "role": "key"}, "y": {"type": "number", "role": "label"},
    ...     "n": {"type": "integer", "min": 2}, "c": {"type": "string", "categories": ["a", "b"]},
    ... }
    >>> build_example_row(DataContract.model_validate({"columns": columns}))
    {'id': 'bedplate-probe', 'n': 2, 'c': 'a'}
    """
    row: dict[str, Any] = {}
    for name in (*contract.keys, *contract.features):
        column = contract.columns[name]
        low = column.min if column.min is not None else min(0.0, column.max or 0.0)
        values: dict[str, Any] = {
            "number": low,
            "integer": int(low),
            "string": column.categories[0] if column.categories else "bedplate-probe",
            "boolean": False,
            "timestamp": "2000-01-01T00:00:00Z",
        }
        row[name] = values[column.type]
    return row


def _first_rows(parquet: bytes, contract: DataContract) -> tuple[Mapping[str, Any], ...]:
    import pyarrow.parquet as pq

    batch = next(pq.ParquetFile(io.BytesIO(parquet)).iter_batches(PROBE_ROWS), None)
    rows: Sequence[dict[str, Any]] = batch.to_pylist() if batch is not None else []
    if not rows:
        raise NotFound("The holdout has no rows to invoke the endpoint with", next_step="bedplate train --help")
    return tuple(build_request_row(row, contract) for row in rows)


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return None if isinstance(value, float) and math.isnan(value) else value
