"""Injects faults into the local platform: which calls of an operation fail, how, and how often.

Faults make it possible to test a command when AWS throttles, fails or does not respond. They exist only in the memory
of a platform that was started with faults enabled, and are set over loopback.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from bedplate.errors import PlatformError, UsageError

PATH = "/_bedplate/faults"
FaultKind = Literal["throttle", "error", "lost", "hold", "interrupt"]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
"""throttle: ThrottlingException, the call is not executed. error: InternalFailure (500), the call is not executed.
lost: the call is executed, but the response is InternalFailure (500). hold: the call is executed, but the response
waits until the fault is cleared, so that the caller can be killed at that point. interrupt: only for the pseudo
operation `sagemaker:SpotTraining`: a training loses its spot instance after it saved a checkpoint, and restarts from
the checkpoint."""
SPOT_OPERATION = "sagemaker:SpotTraining"
MAX_HOLD_S = 120.0
FAULTS_DISABLED = "The local platform was started without --faults, so it injects no faults"
_OPERATION = re.compile(r"^[a-z0-9-]+:\w+$")
_S3_OBJECT_OPERATIONS = {"GET": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject", "HEAD": "HeadObject"}


@dataclass(frozen=True, slots=True)
class Fault:
    """Makes calls of `operation` (`service:Operation`) fail in the manner of `kind` if their request contains `match`.

    The first `skip` of them succeed, the next `times` fail. `matched` counts the calls that matched, `injected` those
    that failed.
    """

    operation: str
    kind: FaultKind
    times: int = 1
    skip: int = 0
    match: str = ""
    matched: int = 0
    injected: int = 0

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Fault:
        """Returns the fault with these fields. Raises UsageError for invalid fields."""
        operation, kind = str(fields.get("operation", "")), fields.get("kind")
        if not _OPERATION.match(operation):
            raise UsageError(f"Expected an operation such as sagemaker:UpdateEndpoint, found {operation!r}")
        if kind not in KINDS:
            raise UsageError(f"Expected one of {', '.join(KINDS)}, found {kind!r}")
        if (kind == "interrupt") is not (operation == SPOT_OPERATION):
            raise UsageError(f"interrupt applies to {SPOT_OPERATION} only, and vice versa; found {kind} of {operation}")
        times, skip = fields.get("times", 1), fields.get("skip", 0)
        if not (isinstance(times, int) and isinstance(skip, int) and times >= 1 and skip >= 0):
            raise UsageError(f"Expected times >= 1 and skip >= 0, found times {times!r} and skip {skip!r}")
        return cls(operation, kind, times, skip, str(fields.get("match", "")))


class Faults:
    """The faults of one local platform. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._faults: list[Fault] = []
        self._clear_count = 0

    def add(self, fault: Fault) -> None:
        with self._changed:
            self._faults.append(fault)

    def list(self) -> list[dict[str, Any]]:
        with self._changed:
            return [asdict(fault) for fault in self._faults]

    def clear(self) -> None:
        """Removes every fault, and releases the responses that wait."""
        with self._changed:
            self._faults, self._clear_count = [], self._clear_count + 1
            self._changed.notify_all()

    def inject(self, operation: str, request: bytes) -> FaultKind | None:
        """Returns the kind of fault for this call, None if it succeeds. Only the first matching fault counts the call.

        `request` is the path and the body, in which `match` is searched.
        """
        with self._changed:
            for index, fault in enumerate(self._faults):
                if fault.operation != operation or fault.match.encode() not in request:
                    continue
                fails = fault.skip <= fault.matched < fault.skip + fault.times
                self._faults[index] = replace(fault, matched=fault.matched + 1, injected=fault.injected + fails)
                return fault.kind if fails else None
        return None

    def wait_until_cleared(self) -> None:
        """Returns when the faults are cleared, at the latest after HOLD_S seconds."""
        with self._changed:
            serial = self._clear_count
            self._changed.wait_for(lambda: self._clear_count != serial, MAX_HOLD_S)


def operation_name(service: str, action: str, method: str, path: str) -> str:
    """Returns `service:Operation` of a request.

    S3's requests name no action: objects' operations and ListObjects follow from method and path, and any other is
    named by its method (`s3:POST`).

    >>> operation_name("sagemaker", "UpdateEndpoint", "POST", "/")
    'sagemaker:UpdateEndpoint'
    >>> operation_name("s3", "", "PUT", "/bucket/a/key"), operation_name("s3", "", "GET", "/bucket")
    ('s3:PutObject', 's3:ListObjects')
    """
    if action:
        return f"{service}:{action}"
    has_key = "/" in path.strip("/")
    if service == "s3" and has_key and method in _S3_OBJECT_OPERATIONS:
        return f"s3:{_S3_OBJECT_OPERATIONS[method]}"
    return "s3:ListObjects" if service == "s3" and method == "GET" else f"{service}:{method}"


# --- the client ------------------------------------------------------------------------------------------------------


def request_faults(
    url: str, method: Literal["GET", "POST", "DELETE"], fault: Mapping[str, Any] | None = None
) -> list[Fault]:
    """Lists (GET), adds (POST `fault`) or clears (DELETE) the faults of the local platform; returns them afterwards.

    Raises UsageError for an invalid fault, PlatformError when the platform does not respond or was started without
    `--faults`.
    """
    connection = http.client.HTTPConnection(str(urlsplit(url).netloc), timeout=10)
    try:
        connection.request(method, PATH, json.dumps(dict(fault or {})), {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = json.loads(response.read())
    except (OSError, ValueError) as exc:
        raise PlatformError(f"The local platform at {url} does not respond", next_step="bedplate local status") from exc
    finally:
        connection.close()
    if response.status == 403:
        raise PlatformError(body["message"], next_step="bedplate local stop && bedplate local start --faults")
    if response.status != 200:
        raise UsageError(body["message"], next_step="bedplate local fault add --help")
    return [Fault(**fields) for fields in body["faults"]]
