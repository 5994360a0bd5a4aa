"""Reads SageMaker's data capture: requests with their rows, predictions, release and time."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class CapturedRequest:
    """A captured request and its response. `rows` are JSON objects (none for CSV), `predictions` one float per row."""

    inference_time: datetime
    release: str | None
    rows: tuple[dict[str, Any], ...]
    predictions: tuple[float, ...]
    inference_id: str | None = None
    event_id: str | None = None
    took_us: int | None = None
    """Microseconds that the container took, where it reports them."""


def read_capture(body: bytes) -> Iterator[CapturedRequest]:
    """Yields the requests of one capture file, in order. Records that cannot be parsed are skipped.

    >>> def side(data):
    ...     return {"data": data, "encoding": "JSON"}
    >>> record = {
    ...     "captureData": {"endpointInput": side('{"a": 1}'), "endpointOutput": side('{"prediction": 0.5}')},
    ...     "eventMetadata": {"customAttributes": ["release=r;version=1"], "inferenceTime": "2013-07-01T12:00:00Z"},
    ... }
    >>> [(c.release, c.rows, c.predictions) for c in read_capture(json.dumps(record).encode())]
    [('r', ({'a': 1},), (0.5,))]
    """
    for line in body.splitlines():
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            data, metadata = record["captureData"], record["eventMetadata"]
            yield CapturedRequest(
                inference_time=parse_time(metadata["inferenceTime"]),
                release=parse_release(metadata.get("customAttributes")),
                rows=tuple(_parse_rows(_decode(data.get("endpointInput")))),
                predictions=tuple(_parse_predictions(_decode(data.get("endpointOutput")))),
                inference_id=metadata.get("inferenceId"),
                event_id=metadata.get("eventId"),
                took_us=parse_took_us(metadata.get("customAttributes")),
            )
        except (ValueError, KeyError, TypeError):
            continue


def parse_release(attributes: object) -> str | None:
    """Returns the release in `customAttributes`, which SageMaker writes as a list of strings.

    >>> parse_release(["release=r;version=1"]), parse_release("release=r"), parse_release(None)
    ('r', 'r', None)
    """
    return _attribute(attributes, "release")


def parse_took_us(attributes: object) -> int | None:
    """Returns the container's processing time in `customAttributes`, in microseconds.

    >>> parse_took_us(["release=r;took_us=1250"]), parse_took_us(["release=r"]), parse_took_us(["took_us=?"])
    (1250, None, None)
    """
    took_us = _attribute(attributes, "took_us")
    return int(took_us) if took_us is not None and took_us.isdecimal() else None


def _attribute(attributes: object, name: str) -> str | None:
    texts = attributes if isinstance(attributes, list) else [attributes]
    for text in texts:
        for part in str(text or "").split(";"):
            key, _, value = part.partition("=")
            if key.strip() == name:
                return value.strip()
    return None


def parse_time(text: str) -> datetime:
    """Returns a time of the capture as a datetime in UTC.

    >>> parse_time("2013-07-01T12:00:00Z").isoformat()
    '2013-07-01T12:00:00+00:00'
    """
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _decode(side: Any) -> str:
    if not side:
        return ""
    data = str(side["data"])
    return base64.b64decode(data).decode() if side.get("encoding") == "BASE64" else data


def _parse_rows(text: str) -> Iterator[dict[str, Any]]:
    for value in _parse_values(text):
        if isinstance(value, dict):
            yield value


def _parse_predictions(text: str) -> Iterator[float]:
    for value in _parse_values(text):
        if isinstance(value, dict):
            predictions = value.get("predictions", value.get("prediction"))
            yield from (
                float(v) for v in (predictions if isinstance(predictions, list) else [predictions]) if v is not None
            )
        else:
            yield float(value)


def _parse_values(text: str) -> Iterator[Any]:
    """Yields the values of JSON Lines, of one JSON document, or of one number per line."""
    stripped = text.strip()
    if not stripped:
        return
    try:
        document = json.loads(stripped)
        yield from document if isinstance(document, list) else [document]
    except ValueError:
        for line in stripped.splitlines():
            yield json.loads(line)
