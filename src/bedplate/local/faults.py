"""Faults that the local platform commits on demand: which call of which operation fails, how, and how often.

They exist only on a platform that was started with them switched on, in memory, and are set over loopback. So what a
command does when AWS throttles, breaks or says nothing can be seen without AWS, and without luck.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from bedplate.errors import PlatformError, UsageError

PATH = "/_bedplate/faults"
Kind = Literal["throttle", "error", "lost", "hold", "interrupt"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""throttle: refused with ThrottlingException, not done. error: InternalFailure (500), not done. lost: done, but the
answer is InternalFailure (500). hold: done, and the answer waits until the fault is cleared, so that a caller can be
killed at exactly that point. interrupt: of `sagemaker:SpotTraining` alone, which is no call: a training on a spot
instance loses it once it has kept a checkpoint, and starts again from what it kept."""
SPOT = "sagemaker:SpotTraining"
HOLD_S = 120.0
SWITCHED_OFF = "This platform was started without faults"
_OPERATION = re.compile(r"^[a-z0-9-]+:\w+$")
_S3_KEYED = {"GET": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject", "HEAD": "HeadObject"}


@dataclass(frozen=True, slots=True)
class Fault:
    """Calls of `operation` (`service:Operation`) whose request holds `match` fail by `kind`: after `skip` that pass,
    `times` of them. `seen` counts those that matched, `struck` those that failed."""

    operation: str
    kind: Kind
    times: int = 1
    skip: int = 0
    match: str = ""
    seen: int = 0
    struck: int = 0

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> Fault:
        """Raises UsageError for what is no fault."""
        operation, kind = str(told.get("operation", "")), told.get("kind")
        if not _OPERATION.match(operation):
            raise UsageError(f"An operation like sagemaker:UpdateEndpoint expected, found {operation!r}")
        if kind not in KINDS:
            raise UsageError(f"One of {', '.join(KINDS)} expected, found {kind!r}")
        if (kind == "interrupt") is not (operation == SPOT):
            raise UsageError(f"interrupt and {SPOT} belong together, found {kind!r} of {operation!r}")
        times, skip = told.get("times", 1), told.get("skip", 0)
        if not (isinstance(times, int) and isinstance(skip, int) and times >= 1 and skip >= 0):
            raise UsageError(f"times of 1 and more, skip of 0 and more expected, found {times!r} and {skip!r}")
        return cls(operation, kind, times, skip, str(told.get("match", "")))


class Faults:
    """The faults of one platform. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: list[Fault] = []
        self._serial = 0

    def add(self, fault: Fault) -> None:
        with self._changed:
            self._held.append(fault)

    def list(self) -> list[dict[str, Any]]:
        with self._changed:
            return [asdict(fault) for fault in self._held]

    def clear(self) -> None:
        """Forget all of them; answers that are held are given."""
        with self._changed:
            self._held, self._serial = [], self._serial + 1
            self._changed.notify_all()

    def strike(self, operation: str, request: bytes) -> Kind | None:
        """How this call fails, None when it does not. The first fault that matches counts it."""
        with self._changed:
            for place, fault in enumerate(self._held):
                if fault.operation != operation or fault.match.encode() not in request:
                    continue
                struck = fault.skip <= fault.seen < fault.skip + fault.times
                told = {**asdict(fault), "seen": fault.seen + 1, "struck": fault.struck + struck}
                self._held[place] = Fault(**told)
                return fault.kind if struck else None
        return None

    def hold(self) -> None:
        """Return when the faults are cleared, at the latest after HOLD_S."""
        with self._changed:
            serial = self._serial
            self._changed.wait_for(lambda: self._serial != serial, HOLD_S)


def operation_of(service: str, action: str, method: str, path: str) -> str:
    """What a request is called; REST operations of S3 by method and path, with the key below the bucket.

    >>> operation_of("sagemaker", "UpdateEndpoint", "POST", "/")
    'sagemaker:UpdateEndpoint'
    >>> operation_of("s3", "", "PUT", "/bucket/a/key"), operation_of("s3", "", "GET", "/bucket")
    ('s3:PutObject', 's3:ListObjects')
    """
    if action:
        return f"{service}:{action}"
    keyed = path.strip("/").count("/") > 0
    if service == "s3" and keyed and method in _S3_KEYED:
        return f"s3:{_S3_KEYED[method]}"
    return "s3:ListObjects" if service == "s3" and method == "GET" else f"{service}:{method}"


# --- asked from outside ---------------------------------------------------------------------------------------------


def ask(url: str, method: Literal["GET", "POST", "DELETE"], told: Mapping[str, Any] | None = None) -> list[Fault]:
    """List, add to, or clear the faults of the platform at `url`; returns those that it has then.

    Raises UsageError for a fault that is none, PlatformError where faults are switched off.
    """
    connection = http.client.HTTPConnection(str(urlsplit(url).netloc), timeout=10)
    try:
        connection.request(method, PATH, json.dumps(dict(told or {})), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = json.loads(answer.read())
    except (OSError, ValueError) as exc:
        raise PlatformError(f"The local platform at {url} does not answer", next_step="bedplate local status") from exc
    finally:
        connection.close()
    if answer.status == 403:
        raise PlatformError(said["message"], next_step="bedplate local stop && bedplate local start --faults")
    if answer.status != 200:
        raise UsageError(said["message"], next_step="bedplate local fault add --help")
    return [Fault(**fault) for fault in said["faults"]]
