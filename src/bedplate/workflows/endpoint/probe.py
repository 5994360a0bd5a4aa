"""Asks an endpoint which release answers, with a row that it has seen before."""

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
from bedplate.workflows.endpoint.capture import latest
from bedplate.workflows.stack_context import StackContext

PROBE_ROWS = 20
PROOF_ID = "bedplate-proof"
"""InferenceId of such a request, so that whoever reads the capture can tell it from a customer's."""
TRIES = 20
PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the endpoint answered when it was asked: the release that says it answered, and its answers."""

    release: str | None
    rows: int
    mean_answer: float
    rows_from: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Rows to ask with, and where they come from."""

    rows: tuple[Mapping[str, Any], ...]
    rows_from: str


def probe_of(stack: StackContext, spec: ModelSpec, *, holdout_uri: str | None) -> Probe:
    """The latest captured rows; else rows of the holdout; else one row made up from the contract.

    Captured rows are taken whatever the release was that answered them.
    """
    rows = [row for record in latest(stack, spec.name, answers=PROBE_ROWS) for row in record.rows]
    if rows:
        return Probe(tuple(rows[-PROBE_ROWS:]), "captured requests")
    if holdout_uri and stack.objects.exists(holdout_uri):
        return Probe(_head(stack.objects.get(holdout_uri), spec.data), "the holdout")
    return Probe((made_up(spec.data),), "a row made up from the data contract")


def ask(stack: StackContext, endpoint: str, probe: Probe, release: str) -> ProbeResult:
    """Ask until `release` answers; what is in flight when traffic moves may be answered by the old one for a moment.

    Raises PlatformError when another release goes on answering, or an answer is no finite number.
    """
    proof = None
    for attempt in range(TRIES):
        if attempt:
            stack.clock.sleep(PAUSE_S)
        proof = ask_once(stack, endpoint, probe)
        if proof.release == release:
            return proof
    raise PlatformError(
        f"{endpoint} says that {proof.release if proof else 'nobody'} answers, and {release} should",
        next_step="bedplate ledger show",
    )


def ask_once(stack: StackContext, endpoint: str, probe: Probe) -> ProbeResult:
    """One request with the probe's rows. Raises PlatformError when an answer is missing or no finite number."""
    body = b"".join(json.dumps(row).encode() + b"\n" for row in probe.rows)
    answer = stack.endpoints.invoke(endpoint, body, inference_id=PROOF_ID)
    told = answers_in(answer.body)
    if len(told) != len(probe.rows) or not all(math.isfinite(value) for value in told):
        raise PlatformError(
            f"{endpoint} answered {len(told)} of {len(probe.rows)} rows, or with what is no number",
            next_step="bedplate local logs",
        )
    return ProbeResult(answer.release, len(told), sum(told) / len(told), probe.rows_from)


def answers_in(body: bytes) -> tuple[float, ...]:
    """Predictions of an `application/jsonlines` answer.

    >>> answers_in(b'{"prediction": 0.25}\\n{"prediction": 1}\\n')
    (0.25, 1.0)
    """
    return tuple(float(json.loads(line)["prediction"]) for line in body.splitlines() if line.strip())


def request_row(row: Mapping[str, Any], contract: DataContract) -> dict[str, Any]:
    """What of a table's row belongs in a request: features, keys and time, as JSON values; the label stays behind."""
    wanted = (*contract.keys, *((contract.time,) if contract.time else ()), *contract.features)
    return {name: _plain(row[name]) for name in wanted if name in row}


def made_up(contract: DataContract) -> dict[str, Any]:
    """A row that keeps the contract: the least number, the first category, null where that is allowed.

    >>> columns = {
    ...     "id": {"type": "string", "role": "key"}, "y": {"type": "number", "role": "label"},
    ...     "n": {"type": "integer", "min": 2}, "c": {"type": "string", "categories": ["a", "b"]},
    ... }
    >>> made_up(DataContract.model_validate({"columns": columns}))
    {'id': 'bedplate-proof', 'n': 2, 'c': 'a'}
    """
    row: dict[str, Any] = {}
    for name in (*contract.keys, *contract.features):
        column = contract.columns[name]
        low = column.min if column.min is not None else min(0.0, column.max or 0.0)
        values: dict[str, Any] = {
            "number": low,
            "integer": int(low),
            "string": column.categories[0] if column.categories else "bedplate-proof",
            "boolean": False,
            "timestamp": "2000-01-01T00:00:00Z",
        }
        row[name] = values[column.type]
    return row


def _head(parquet: bytes, contract: DataContract) -> tuple[Mapping[str, Any], ...]:
    import pyarrow.parquet as pq

    batch = next(pq.ParquetFile(io.BytesIO(parquet)).iter_batches(PROBE_ROWS), None)
    rows: Sequence[dict[str, Any]] = batch.to_pylist() if batch is not None else []
    if not rows:
        raise NotFound("The holdout holds no row to ask the endpoint with", next_step="bedplate train --help")
    return tuple(request_row(row, contract) for row in rows)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return None if isinstance(value, float) and math.isnan(value) else value
