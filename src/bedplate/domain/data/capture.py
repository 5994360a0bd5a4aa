"""Reads data capture: which rows were asked, what was answered, by which release, and when."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class CapturedRequest:
    """One request and its answer. `rows` are JSON objects (none for CSV), `answers` one float a row."""

    at: datetime
    release: str | None
    rows: tuple[dict[str, Any], ...]
    answers: tuple[float, ...]
    inference_id: str | None = None
    event_id: str | None = None
    took_us: int | None = None
    """Microseconds that the container worked on it, where the container says so."""


def read(body: bytes) -> Iterator[CapturedRequest]:
    """Records of one capture file, in its order. A record that cannot be read is passed over: capture is evidence, and
    evidence that is illegible proves nothing.

    >>> def side(data):
    ...     return {"data": data, "encoding": "JSON"}
    >>> record = {
    ...     "captureData": {"endpointInput": side('{"a": 1}'), "endpointOutput": side('{"prediction": 0.5}')},
    ...     "eventMetadata": {"customAttributes": ["release=r;version=1"], "inferenceTime": "2013-07-01T12:00:00Z"},
    ... }
    >>> [(c.release, c.rows, c.answers) for c in read(json.dumps(record).encode())]
    [('r', ({'a': 1},), (0.5,))]
    """
    for line in body.splitlines():
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            data, meta = record["captureData"], record["eventMetadata"]
            yield CapturedRequest(
                at=moment(meta["inferenceTime"]),
                release=release_in(meta.get("customAttributes")),
                rows=tuple(_objects(_text(data.get("endpointInput")))),
                answers=tuple(_answers(_text(data.get("endpointOutput")))),
                inference_id=meta.get("inferenceId"),
                event_id=meta.get("eventId"),
                took_us=took_us_in(meta.get("customAttributes")),
            )
        except (ValueError, KeyError, TypeError):
            continue


def release_in(attributes: object) -> str | None:
    """The release in `customAttributes`, which SageMaker writes as a list of strings.

    >>> release_in(["release=r;version=1"]), release_in("release=r"), release_in(None)
    ('r', 'r', None)
    """
    return _attribute(attributes, "release")


def took_us_in(attributes: object) -> int | None:
    """How long the container worked on it, in microseconds.

    >>> took_us_in(["release=r;took_us=1250"]), took_us_in(["release=r"]), took_us_in(["took_us=?"])
    (1250, None, None)
    """
    told = _attribute(attributes, "took_us")
    return int(told) if told is not None and told.isdecimal() else None


def _attribute(attributes: object, name: str) -> str | None:
    texts = attributes if isinstance(attributes, list) else [attributes]
    for text in texts:
        for part in str(text or "").split(";"):
            key, _, value = part.partition("=")
            if key.strip() == name:
                return value.strip()
    return None


def moment(text: str) -> datetime:
    """A time of the capture, in UTC.

    >>> moment("2013-07-01T12:00:00Z").isoformat()
    '2013-07-01T12:00:00+00:00'
    """
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _text(side: Any) -> str:
    if not side:
        return ""
    data = str(side["data"])
    return base64.b64decode(data).decode() if side.get("encoding") == "BASE64" else data


def _objects(text: str) -> Iterator[dict[str, Any]]:
    for value in _values(text):
        if isinstance(value, dict):
            yield value


def _answers(text: str) -> Iterator[float]:
    for value in _values(text):
        if isinstance(value, dict):
            told = value.get("predictions", value.get("prediction"))
            yield from (float(v) for v in (told if isinstance(told, list) else [told]) if v is not None)
        else:
            yield float(value)


def _values(text: str) -> Iterator[Any]:
    """JSON Lines, one JSON document, or a number a line; CSV with a header line holds no answers."""
    stripped = text.strip()
    if not stripped:
        return
    try:
        whole = json.loads(stripped)
        yield from whole if isinstance(whole, list) else [whole]
    except ValueError:
        for line in stripped.splitlines():
            yield json.loads(line)
