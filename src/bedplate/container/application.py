"""Serves `/ping` and `/invocations` as a raw ASGI application."""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Protocol

import orjson

from bedplate.container.prediction_metrics import INTERVAL_S, PredictionMetrics
from bedplate.container.requests import CONTENT_TYPES, CSV, JSON, BadRequest, Row, parse_content_type, parse_rows
from bedplate.container.script import InferenceError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ATTRIBUTES_HEADER = b"x-amzn-sagemaker-custom-attributes"


class Predictor(Protocol):
    """A model that scores a request body.

    `predict` returns one prediction per row and, where the script defines `output_fn`, the response body and its
    content type.
    """

    def predict(
        self, body: bytes, content_type: str, accept: str
    ) -> tuple[Sequence[float], tuple[bytes, str] | None]: ...


class ConstantPredictor:
    """Release 0: returns the same prediction for every row and reads no column."""

    def __init__(self, value: float) -> None:
        self._value = value

    def predict(self, body: bytes, content_type: str, accept: str) -> tuple[Sequence[float], None]:
        rows: Sequence[Row] = parse_rows(body, parse_content_type(content_type))
        return [self._value] * len(rows), None


class Application:
    """The ASGI callable.

    `attributes` go into the custom-attributes header of every response. `clock` returns Unix time in seconds.
    `write_log` receives each embedded metric line, with its line end.
    """

    def __init__(
        self,
        predictor: Predictor,
        metrics: PredictionMetrics,
        attributes: Mapping[str, str],
        clock: Callable[[], float],
        write_log: Callable[[bytes], object],
    ) -> None:
        self._predictor = predictor
        self._metrics = metrics
        self._attributes = ";".join(f"{name}={value}" for name, value in attributes.items()).encode(
            "latin-1", "replace"
        )
        self._clock = clock
        self._write_log = write_log
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
        elif scope["type"] == "http":
            status, content_type, body, took_us = await self._route(scope, receive)
            await self._respond(send, status, content_type, body, took_us)

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                self._emit()
                return

    async def _route(self, scope: Scope, receive: Receive) -> tuple[int, str, bytes, int | None]:
        """Returns status, content type, body and, for an invocation, its duration in microseconds."""
        route = (scope["method"], scope["path"])
        if route == ("GET", "/ping"):
            return 200, JSON, b"", None
        if route == ("POST", "/invocations"):
            headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
            request_body = await _read_body(receive)
            started_ns = time.perf_counter_ns()
            response = self._invoke(request_body, headers.get(b"content-type", ""), headers.get(b"accept", ""))
            return *response, (time.perf_counter_ns() - started_ns) // 1000
        message = f"{route[0]} {route[1]} does not exist: use GET /ping or POST /invocations"
        return 404, JSON, _error_body(message), None

    def _invoke(self, body: bytes, content_type: str, accept: str) -> tuple[int, str, bytes]:
        try:
            response_type = response_type_of(accept, content_type)
            predictions, scripted = self._predictor.predict(body, content_type, response_type)
            self._metrics.add(predictions)
            self._schedule_emission()
            payload, response_type = scripted or (format_predictions(predictions, response_type), response_type)
            return 200, response_type, payload
        except BadRequest as exc:
            return 400, JSON, orjson.dumps(exc.to_json())
        except InferenceError as exc:
            traceback.print_exc(file=sys.stderr)
            return 500, JSON, _error_body(str(exc))

    async def _respond(self, send: Send, status: int, content_type: str, body: bytes, took_us: int | None) -> None:
        headers = [
            (b"content-type", content_type.encode("latin-1", "replace")),
            (b"content-length", str(len(body)).encode()),
            (ATTRIBUTES_HEADER, self._attributes + (b";took_us=%d" % took_us if took_us is not None else b"")),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _schedule_emission(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL_S, self._emit)

    def _emit(self) -> None:
        self._timer = None
        for line in self._metrics.lines(int(self._clock() * 1000)):
            self._write_log(line + b"\n")


def response_type_of(accept: str, content_type: str) -> str:
    """Returns the first supported content type in `Accept`, or the request's own content type without one.

    >>> response_type_of("text/csv", "application/json"), response_type_of("*/*", "application/json")
    ('text/csv', 'application/json')
    >>> response_type_of("", "")
    'application/jsonlines'
    """
    accepted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    supported = (media_type for media_type in accepted if media_type in CONTENT_TYPES)
    return next(supported, None) or parse_content_type(content_type)


def format_predictions(predictions: Sequence[float], content_type: str) -> bytes:
    """Returns the response body with one prediction per row.

    >>> format_predictions([0.5, 1], "application/json"), format_predictions([0.5], "application/jsonlines")
    (b'{"predictions":[0.5,1]}', b'{"prediction":0.5}\\n')
    >>> format_predictions([0.5, 1], "text/csv")
    b'0.5\\n1\\n'
    """
    if content_type == JSON:
        return orjson.dumps({"predictions": list(predictions)})
    if content_type == CSV:
        return "".join(f"{prediction!r}\n" for prediction in predictions).encode()
    return b"".join(b'{"prediction":' + orjson.dumps(prediction) + b"}\n" for prediction in predictions)


async def _read_body(receive: Receive) -> bytes:
    parts, has_more = [], True
    while has_more:
        message = await receive()
        parts.append(message.get("body", b""))
        has_more = message.get("more_body", False)
    return b"".join(parts)


def _error_body(message: str) -> bytes:
    return orjson.dumps({"error": message, "column": None, "row": None})
