"""The HTTP layer over moto: who answers a request, under which lock, and what an error looks like on the wire."""

from __future__ import annotations

import io
import json
import re
import time
import traceback
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from bedplate.errors import UsageError
from bedplate.local.faults import PATH as FAULTS_PATH
from bedplate.local.faults import SWITCHED_OFF, Fault, Kind, operation_of
from bedplate.local.lifecycle import HEALTH_PATH
from bedplate.local.trail.access_log import AccessLogEntry
from bedplate.local.trail.calls import ApiRequest
from bedplate.local.wire import bodies

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

_INVOCATION = re.compile(r"^/endpoints/(?P<name>[^/]+)/(?P<queued>async-)?invocations$")
_READS = ("Get", "List", "Describe", "Head", "Query", "Search", "Batch", "Simulate", "Select", "Scan", "Validate")
_CHUNK = 1 << 20

# A call of the first reaches into the second: both have something new to keep.
_REACHES: dict[str, tuple[str, ...]] = {
    "sns": ("sqs",),
    "s3": ("sqs", "sns", "events"),
    "events": ("sqs", "sns", "logs", "sagemaker"),
    "cloudwatch": ("sns", "sqs"),
    "sagemaker": ("events",),
}


class Gateway:
    """The WSGI application. One lock guards everything that touches moto's dicts: calls take milliseconds, Python runs
    one thread at a time anyway, and two locks taken in two orders (SNS into SQS, alarms into SNS) would deadlock. The
    network is kept out of it: bodies are read before, and sent after. Invocations of endpoints never take it."""

    def __init__(self, platform: LocalPlatform, moto_app: Callable[[Environ], Any]) -> None:
        self._platform = platform
        self._app_for = moto_app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        began = time.perf_counter()
        path = environ.get("PATH_INFO", "/")
        if path == HEALTH_PATH:
            return _send(start_response, 200, self._platform.health())
        if _is_foreign(environ):
            message = "The local platform answers programs of this machine, not web pages, and has no moto API."
            return _error(environ, start_response, 403, "AccessDenied", message)
        if path == FAULTS_PATH:
            return self._tell_faults(environ, start_response)
        environ["RAW_URI"] = environ.get("REQUEST_URI", path)
        state: dict[str, Any] = {"status": "500"}

        def remember(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            state["status"] = status[:3]
            environ["bedplate.error"] = _error_code(status, headers)
            file = environ.get("bedplate.file")
            if file is not None:
                headers = [(k, v) for k, v in headers if k.lower() != "content-length"]
                headers.append(("Content-Length", str(file.length)))
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        invocation = _INVOCATION.match(path)
        operation = "InvokeEndpointAsync" if invocation and invocation["queued"] else "InvokeEndpoint"
        if invocation and (fault := self._fault(environ, f"sagemaker-runtime:{operation}")):
            body, label = _struck(environ, remember, fault), f"sagemaker-runtime {operation} [fault: {fault}]"
        elif invocation:
            body = self._invoke(invocation["name"], environ, remember, queued=bool(invocation["queued"]))
            label = f"sagemaker-runtime {operation} {invocation['name']}"
        else:
            body, label = self._answer(environ, remember)
            if label.startswith("s3 "):
                self._access(environ, state["status"], began)
        self._log(state["status"], time.perf_counter() - began, label)
        file = environ.get("bedplate.file")
        return file.chunks() if file is not None else body

    def _answer(self, environ: Environ, start_response: StartResponse) -> tuple[Iterable[bytes], str]:
        service = service_of(environ)
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/")
        action, asked = "", io.BytesIO()
        body: Iterable[bytes]
        try:
            bodies.receive(environ, service)
            action = _action(environ, service)
            asked = environ["wsgi.input"]
            fault = self._fault(environ, operation_of(service, action, method, path))
            if fault in ("throttle", "error"):
                return _struck(environ, start_response, fault), f"{service} {action or method} [fault: {fault}]"
            if service == "sqs" and action == "ReceiveMessage":
                return self._receive_messages(environ, start_response), f"{service} {action}"
            if _reads_what_waits(service, action, method):
                self._platform.hooks.flush()
            if service == "s3" and not fault and (found := self._quickly(environ, start_response)) is not None:
                return found, f"s3 GET {path}"
            with self._platform.lock:
                respond = _to_nobody if fault == "lost" else start_response
                body = list(self._app_for(environ)(environ, respond))
                self._mark(service, action, method)
            if "HTTP_IF_NONE_MATCH" in environ and method == "PUT":
                self._platform.store.flush()  # a record of the ledger that was answered for outlives a kill
            if fault == "lost":
                body = _struck(environ, start_response, fault)
            elif fault == "hold" and self._platform.faults:
                self._platform.faults.hold()
        except NotImplementedError as exc:
            name = action or (re.search(r"The (\w+) action", str(exc)) or ["", f"{method} {path}"])[1]
            message = f"The local platform does not have {service}:{name}. {exc}".strip()
            body = _error(environ, start_response, 400, "UnknownOperationException", message)
        except Exception as exc:  # whatever moto trips over becomes an AWS-shaped answer; the log has the traceback
            self._platform.log(traceback.format_exc().rstrip())
            message = (
                f"The local platform failed in {service}:{action or method}: {type(exc).__name__}: {str(exc)[:400]}"
            )
            body = _error(environ, start_response, 500, "InternalFailure", message)
        finally:
            bodies.release(environ)
        if not _reads(action, method):
            self._note(service, action, environ, asked, body)
        return body, f"{service} {action or f'{method} {path}'}"

    def _quickly(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes] | None:
        """An object that is asked for plainly; None where it is not."""
        with self._platform.lock:
            found = self._platform.quick_read(environ)
            if found is None:
                return None
            headers, blob = found
            environ["bedplate.file"] = blob.opened()  # now: its bytes outlive the object
        start_response("200 OK", list(headers.items()))
        return []

    def _fault(self, environ: Environ, operation: str) -> Kind | None:
        """How this call is to fail; looks at the path, and at a body that was read already."""
        if self._platform.faults is None:
            return None
        read = environ["wsgi.input"]
        body = read.getvalue() if isinstance(read, io.BytesIO) else b""
        return self._platform.faults.strike(operation, environ.get("PATH_INFO", "/").encode() + b" " + body)

    def _tell_faults(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        faults = self._platform.faults
        if faults is None or environ.get("REMOTE_ADDR", "127.0.0.1") not in ("127.0.0.1", "::1"):
            return _send(start_response, 403, {"message": SWITCHED_OFF})
        if environ["REQUEST_METHOD"] == "POST":
            try:
                told = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
                faults.add(Fault.parse(told))
            except (UsageError, ValueError, AttributeError) as exc:
                return _send(start_response, 400, {"message": str(exc)})
        elif environ["REQUEST_METHOD"] == "DELETE":
            faults.clear()
        return _send(start_response, 200, {"faults": faults.list()})

    def _mark(self, service: str, action: str, method: str) -> None:
        if not _reads(action, method):
            self._platform.store.mark(service, *_REACHES.get(service, ()))

    def _note(self, service: str, action: str, environ: Environ, asked: io.BytesIO, body: Iterable[bytes]) -> None:
        """For the event history; read and kept later, so that a call pays next to nothing for it."""
        path = environ.get("PATH_INFO", "/")
        of_object = service == "s3" and "/" in path.strip("/")
        self._platform.trail.note(
            ApiRequest(
                at=self._platform.now(),
                service=service,
                action=action,
                error=environ.get("bedplate.error", ""),
                method=environ["REQUEST_METHOD"],
                path=path,
                query=environ.get("QUERY_STRING", ""),
                content_type=environ.get("CONTENT_TYPE", ""),
                user_agent=environ.get("HTTP_USER_AGENT", ""),
                authorization=environ.get("HTTP_AUTHORIZATION", "")[:200],
                body=b"" if of_object else asked.getvalue(),
                answer=b"" if of_object else b"".join(body),
            )
        )

    def _access(self, environ: Environ, status: str, began: float) -> None:
        bucket, _, key = environ.get("PATH_INFO", "/").strip("/").partition("/")
        caller = re.search(r"Credential=([^/,]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        self._platform.access_log.note(
            AccessLogEntry(
                at=self._platform.now(),
                method=environ["REQUEST_METHOD"],
                bucket=bucket,
                key=key,
                query=environ.get("QUERY_STRING", ""),
                status=status,
                error=environ.get("bedplate.error", ""),
                requester=caller[1] if caller else "",
                user_agent=environ.get("HTTP_USER_AGENT", ""),
                took_ms=(time.perf_counter() - began) * 1000,
            )
        )

    def _receive_messages(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Long polling without the lock: ask moto for what is there now, again and again until the wait is over."""
        raw = environ["wsgi.input"].read()
        try:
            asked = json.loads(raw)
            wait_s = float(asked.get("WaitTimeSeconds", 0))
            raw = json.dumps({**asked, "WaitTimeSeconds": 0}).encode()
        except ValueError:
            wait_s = 0.0
        environ["CONTENT_LENGTH"] = str(len(raw))
        deadline = time.monotonic() + min(wait_s, 20)
        status, headers = "", []

        def remember(*start: Any) -> None:
            nonlocal status, headers
            status, headers = start[0], start[1]

        while True:
            environ["wsgi.input"] = io.BytesIO(raw)
            with self._platform.lock:
                body = b"".join(self._app_for(environ)(dict(environ), remember))
                self._platform.store.mark("sqs")
            found = b'"Messages": [' in body or b'"Messages":[' in body
            if found or not status.startswith("200") or time.monotonic() >= deadline:
                start_response(status, headers)
                return [body]
            self._platform.pause(0.1)

    def _invoke(self, name: str, environ: Environ, start_response: StartResponse, *, queued: bool) -> Iterable[bytes]:
        record = self._platform.record("endpoint", name)
        if record is None:
            message = f"Endpoint {name} of account {self._platform.account_id} not found."
            return _error(environ, start_response, 400, "ValidationError", message)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        chunked = environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
        body = environ["wsgi.input"].read() if chunked else environ["wsgi.input"].read(length) if length else b""
        headers = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
        if "CONTENT_TYPE" in environ:
            headers["content-type"] = environ["CONTENT_TYPE"]
        try:
            hooks = self._platform.hooks
            answer = hooks.enqueue(name, headers) if queued else hooks.invoke(name, body, headers)
        except Exception as exc:  # a fault of the runtime must look like a fault of the service
            self._platform.log(traceback.format_exc().rstrip())
            return _error(environ, start_response, 500, "InternalFailure", f"{type(exc).__name__}: {exc}")
        status = f"{answer.status} {'OK' if answer.status < 400 else 'Error'}"
        headers_out = {**answer.headers, "Content-Length": str(len(answer.body))}
        start_response(status, list(headers_out.items()))
        return [answer.body]

    def _log(self, status: str, seconds: float, label: str) -> None:
        self._platform.log(f"{status} {seconds * 1000:7.1f} ms  {label}")


def _reads(action: str, method: str) -> bool:
    return action.startswith(_READS) if action else method in ("GET", "HEAD", "OPTIONS")


def _error_code(status: str, headers: list[tuple[str, str]]) -> str:
    """AWS's code of a refusal as the trail keeps it: from the header where there is one, else the HTTP status."""
    if status[:1] in ("2", "3"):
        return ""
    named = {name.lower(): value for name, value in headers}.get("x-amzn-errortype", "")
    return named.split(":")[0].split("#")[-1] or f"HTTP{status[:3]}"


def _is_foreign(environ: Environ) -> bool:
    """A web page of another origin, opened in a browser on this machine; or moto's own API, which resets everything."""
    origin = environ.get("HTTP_ORIGIN", "")
    elsewhere = bool(origin) and not re.match(r"https?://(127\.0\.0\.1|localhost|\[::1\])(:|$)", origin)
    return elsewhere or environ.get("PATH_INFO", "").startswith("/moto-api/")


def _reads_what_waits(service: str, action: str, method: str) -> bool:
    """Whether the runtime should first write what it has gathered: a list of objects, or a look at metrics."""
    return (service == "s3" and method == "GET") or (service == "cloudwatch" and action.startswith(_READS))


def service_of(environ: Environ) -> str:
    """The service that the request was signed for; S3 when it is not signed, as moto has it."""
    auth = environ.get("HTTP_AUTHORIZATION", "")
    scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", auth)
    if scope:
        service = scope[1].lower()
        return {"monitoring": "cloudwatch"}.get(service, service)
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    return {"AmazonSQS": "sqs", "SageMaker": "sagemaker"}.get(target.split(".")[0], "s3")


def _action(environ: Environ, service: str) -> str:
    """The operation's name for JSON, CBOR and query protocols; empty for REST ones, where the method has to do."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return str(target.rsplit(".", 1)[-1])
    smithy = re.match(r"^/service/[^/]+/operation/(\w+)$", environ.get("PATH_INFO", ""))
    if smithy:
        return smithy[1]
    if service != "s3" and environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = environ["wsgi.input"].read()
        environ["wsgi.input"] = io.BytesIO(body)
        found = re.search(rb"(?:^|&)Action=(\w+)", body)
        return found[1].decode() if found else ""
    return ""


def _to_nobody(*_: Any) -> None:
    """Takes the start of an answer that is lost."""


def _struck(environ: Environ, start_response: StartResponse, fault: Kind) -> Iterable[bytes]:
    if fault == "throttle":
        return _error(environ, start_response, 400, "ThrottlingException", "Rate exceeded (a fault that was asked for)")
    return _error(environ, start_response, 500, "InternalFailure", "A fault that was asked for")


def _send(start_response: StartResponse, status: int, payload: dict[str, Any]) -> Iterable[bytes]:
    body = json.dumps(payload).encode()
    start_response(f"{status} OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _error(environ: Environ, start_response: StartResponse, status: int, code: str, message: str) -> Iterable[bytes]:
    """An error in the protocol of the request: JSON, XML of the query protocol, or S3's XML."""
    reason = {400: "Bad Request", 403: "Forbidden", 500: "Internal Server Error"}[status]
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type.startswith("application/x-www-form-urlencoded"):
        kind = "text/xml"
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
            "<RequestId>local</RequestId></ErrorResponse>"
        )
    elif service_of(environ) == "s3" and "HTTP_X_AMZ_TARGET" not in environ:
        kind = "application/xml"
        body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message><RequestId>local</RequestId></Error>"
    else:
        kind = "application/x-amz-json-1.1"
        body = json.dumps({"__type": code, "message": message, "Message": message})
    data = body.encode()
    start_response(
        f"{status} {reason}",
        [("Content-Type", kind), ("Content-Length", str(len(data))), ("x-amzn-errortype", code)],
    )
    return [data]


def stamp(epoch_s: float) -> str:
    """Epoch seconds as ISO 8601 in UTC, to the millisecond.

    >>> stamp(0)
    '1970-01-01T00:00:00.000Z'
    """
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
