"""Answers `/ping` and `/invocations` as a raw ASGI application."""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Protocol

import orjson

from bedplate.container.emission import EVERY_S, Emission
from bedplate.container.requests import CONTENT_TYPES, CSV, JSON, BadRequest, Row, content_type_of, rows_of
from bedplate.container.script import ModelFailed

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"


class Predictor(Protocol):
    """What answers rows. `answer` returns the answers and, where the script has an `output_fn`, its body and type."""

    def answer(
        self, body: bytes, content_type: str, accept: str
    ) -> tuple[Sequence[float], tuple[bytes, str] | None]: ...


class Constant:
    """Release 0: one answer for every row, whatever its columns."""

    def __init__(self, value: float) -> None:
        self._value = value

    def answer(self, body: bytes, content_type: str, accept: str) -> tuple[Sequence[float], None]:
        rows: Sequence[Row] = rows_of(body, content_type_of(content_type))
        return [self._value] * len(rows), None


class Application:
    """The ASGI callable. `release` is what it says of itself; `clock` gives Unix time in seconds."""

    def __init__(
        self,
        predictor: Predictor,
        emission: Emission,
        release: Mapping[str, str],
        clock: Callable[[], float],
        say: Callable[[bytes], object],
    ) -> None:
        self._predictor = predictor
        self._emission = emission
        told = ";".join(f"{name}={value}" for name, value in release.items())
        self._told = told.encode("latin-1", "replace")
        self._clock = clock
        self._say = say
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            status, content_type, body, took_us = await self._route(scope, receive)
            await self._reply(send, status, content_type, body, took_us)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                self._emit()
                return

    async def _route(self, scope: Scope, receive: Receive) -> tuple[int, str, bytes, int | None]:
        """Status, type, body and, for a request that was worked on, the microseconds that it took."""
        route = (scope["method"], scope["path"])
        if route == ("GET", "/ping"):
            return 200, JSON, b"", None
        if route == ("POST", "/invocations"):
            headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
            asked = await _body(receive)
            began = time.perf_counter_ns()
            answer = self._invoke(asked, headers.get(b"content-type", ""), headers.get(b"accept", ""))
            return *answer, (time.perf_counter_ns() - began) // 1000
        told = _error(f"{route[0]} {route[1]}: only GET /ping and POST /invocations are answered here")
        return 404, JSON, told, None

    def _invoke(self, body: bytes, content_type: str, accept: str) -> tuple[int, str, bytes]:
        try:
            kind = accepted(accept, content_type)
            answers, said = self._predictor.answer(body, content_type, kind)
            self._emission.add(answers)
            self._emit_soon()
            found, kind = said or (written(answers, kind), kind)
            return 200, kind, found
        except BadRequest as bad:
            return 400, JSON, orjson.dumps(bad.to_json())
        except ModelFailed as failed:
            traceback.print_exc(file=sys.stderr)
            return 500, JSON, _error(str(failed))

    async def _reply(self, send: Send, status: int, content_type: str, body: bytes, took_us: int | None) -> None:
        headers = [
            (b"content-type", content_type.encode("latin-1", "replace")),
            (b"content-length", str(len(body)).encode()),
            (ATTRIBUTES, self._told + (b";took_us=%d" % took_us if took_us is not None else b"")),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _emit_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._emit)

    def _emit(self) -> None:
        self._timer = None
        for line in self._emission.lines(int(self._clock() * 1000)):
            self._say(line + b"\n")


def accepted(accept: str, content_type: str) -> str:
    """The answer's type: the first one in Accept that is written here, else the request's own.

    >>> accepted("text/csv", "application/json"), accepted("*/*", "application/json"), accepted("", "")
    ('text/csv', 'application/json', 'application/jsonlines')
    """
    asked = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return next((kind for kind in asked if kind in CONTENT_TYPES), None) or content_type_of(content_type)


def written(answers: Sequence[float], kind: str) -> bytes:
    """
    >>> written([0.5, 1], "application/json"), written([0.5], "application/jsonlines"), written([0.5, 1], "text/csv")
    (b'{"predictions":[0.5,1]}', b'{"prediction":0.5}\\n', b'0.5\\n1\\n')
    """
    if kind == JSON:
        return orjson.dumps({"predictions": list(answers)})
    if kind == CSV:
        return "".join(f"{answer!r}\n" for answer in answers).encode()
    return b"".join(b'{"prediction":' + orjson.dumps(answer) + b"}\n" for answer in answers)


async def _body(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _error(text: str) -> bytes:
    return orjson.dumps({"error": text, "column": None, "row": None})
