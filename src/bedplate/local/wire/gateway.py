"""The HTTP layer over moto: dispatches requests, locks the platform, and formats errors in AWS's protocols."""

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
from bedplate.local.faults import FAULTS_DISABLED, Fault, FaultKind, operation_name
from bedplate.local.faults import PATH as FAULTS_PATH
from bedplate.local.lifecycle import HEALTH_PATH
from bedplate.local.trail.access_log import AccessLogEntry
from bedplate.local.trail.calls import ApiRequest
from bedplate.local.wire import bodies

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

_INVOCATION = re.compile(r"^/endpoints/(?P<name>[^/]+)/(?P<is_async>async-)?invocations$")
_READ_ACTION = re.compile(r"Get|List|Describe|Head|Query|Search|Batch|Simulate|Select|Scan|Validate")

# A call of the first service may change the others, so that they need a snapshot, too.
_ALSO_CHANGED: dict[str, tuple[str, ...]] = {
    "sns": ("sqs",),
    "s3": ("sqs", "sns", "events"),
    "events": ("sqs", "sns", "logs", "sagemaker"),
    "cloudwatch": ("sns", "sqs"),
    "sagemaker": ("events",),
}


class Gateway:
    """The WSGI application.

    One lock protects moto's dicts: calls take milliseconds, Python runs one thread at a time anyway, and two locks
    taken in different orders (SNS to SQS, alarms to SNS) would deadlock. Request bodies are read before the lock is
    taken, responses sent after it is released. Invocations of endpoints do not take the lock.
    """

    def __init__(self, platform: LocalPlatform, moto_app: Callable[[Environ], Any]) -> None:
        self._platform = platform
        self._moto_app = moto_app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        path = environ.get("PATH_INFO", "/")
        if path == HEALTH_PATH:
            return _send(start_response, 200, self._platform.health())
        if _is_foreign(environ):
            message = "The local platform accepts requests from programs on this machine only, and has no moto API."
            return _error(environ, start_response, 403, "AccessDenied", message)
        if path == FAULTS_PATH:
            return self._serve_faults(environ, start_response)
        environ["RAW_URI"] = environ.get("REQUEST_URI", path)
        status_code = "500"

        def observe_start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal status_code
            status_code = status[:3]
            environ["bedplate.error"] = _error_code(status, headers)
            file = environ.get("bedplate.file")
            if file is not None:
                headers = [(k, v) for k, v in headers if k.lower() != "content-length"]
                headers.append(("Content-Length", str(file.length)))
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        invocation = _INVOCATION.match(path)
        if invocation:
            name, is_async = invocation["name"], bool(invocation["is_async"])
            label = f"sagemaker-runtime {'InvokeEndpointAsync' if is_async else 'InvokeEndpoint'}"
            fault = self._inject_fault(environ, label.replace(" ", ":"))
            if fault:
                body, label = _injected_error(environ, observe_start, fault), f"{label} [fault: {fault}]"
            else:
                body, label = self._invoke(name, environ, observe_start, is_async=is_async), f"{label} {name}"
        else:
            body, label = self._dispatch(environ, observe_start)
            if label.startswith("s3 "):
                self._record_access(environ, status_code, started)
        self._platform.log(f"{status_code} {(time.perf_counter() - started) * 1000:7.1f} ms  {label}")
        file = environ.get("bedplate.file")
        return file.chunks() if file is not None else body

    def _dispatch(self, environ: Environ, start_response: StartResponse) -> tuple[Iterable[bytes], str]:
        service = service_of(environ)
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/")
        action, request_body = "", io.BytesIO()
        body: Iterable[bytes]
        try:
            bodies.receive(environ, service)
            action = _action(environ, service)
            request_body = environ["wsgi.input"]
            fault = self._inject_fault(environ, operation_name(service, action, method, path))
            if fault in ("throttle", "error"):
                return _injected_error(environ, start_response, fault), f"{service} {action or method} [fault: {fault}]"
            if service == "sqs" and action == "ReceiveMessage":
                return self._receive_messages(environ, start_response), f"{service} {action}"
            if _reads_buffered_data(service, action, method):
                self._platform.hooks.flush()
            if service == "s3" and not fault and self._read_object_fast(environ, start_response):
                return [], f"s3 GET {path}"
            with self._platform.lock:
                respond = _ignore_start if fault == "lost" else start_response
                body = list(self._moto_app(environ)(environ, respond))
                if not _is_read(action, method):
                    self._platform.store.mark(service, *_ALSO_CHANGED.get(service, ()))
            if "HTTP_IF_NONE_MATCH" in environ and method == "PUT":
                self._platform.store.flush()  # a conditional write, such as a ledger record, survives a kill
            if fault == "lost":
                body = _injected_error(environ, start_response, fault)
            elif fault == "hold" and self._platform.faults:
                self._platform.faults.wait_until_cleared()
        except NotImplementedError as exc:
            name = action or (re.search(r"The (\w+) action", str(exc)) or ["", f"{method} {path}"])[1]
            message = f"The local platform does not support {service}:{name}. {exc}".strip()
            body = _error(environ, start_response, 400, "UnknownOperationException", message)
        except Exception as exc:  # any error in moto becomes an AWS error; the log has the traceback
            self._platform.log(traceback.format_exc().rstrip())
            message = (
                f"The local platform failed in {service}:{action or method}: {type(exc).__name__}: {str(exc)[:400]}"
            )
            body = _error(environ, start_response, 500, "InternalFailure", message)
        finally:
            bodies.discard(environ)
        if not _is_read(action, method):
            self._record_call(service, action, environ, request_body, body)
        return body, f"{service} {action or f'{method} {path}'}"

    def _read_object_fast(self, environ: Environ, start_response: StartResponse) -> bool:
        """Responds to a plain GetObject without moto, with the bytes in `bedplate.file`; False for other requests."""
        with self._platform.lock:
            response = self._platform.read_object_fast(environ)
            if response is None:
                return False
            headers, blob = response
            environ["bedplate.file"] = blob.open_stream()  # under the lock: the object may be deleted afterwards
        start_response("200 OK", list(headers.items()))
        return True

    def _inject_fault(self, environ: Environ, operation: str) -> FaultKind | None:
        """Returns how this call fails, None if not; matches the path, and the body if it was read already."""
        if self._platform.faults is None:
            return None
        stream = environ["wsgi.input"]
        body = stream.getvalue() if isinstance(stream, io.BytesIO) else b""
        return self._platform.faults.inject(operation, environ.get("PATH_INFO", "/").encode() + b" " + body)

    def _serve_faults(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        faults = self._platform.faults
        if faults is None or environ.get("REMOTE_ADDR", "127.0.0.1") not in ("127.0.0.1", "::1"):
            return _send(start_response, 403, {"message": FAULTS_DISABLED})
        if environ["REQUEST_METHOD"] == "POST":
            try:
                fields = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
                faults.add(Fault.parse(fields))
            except (UsageError, ValueError, AttributeError) as exc:
                return _send(start_response, 400, {"message": str(exc)})
        elif environ["REQUEST_METHOD"] == "DELETE":
            faults.clear()
        return _send(start_response, 200, {"faults": faults.list()})

    def _record_call(
        self, service: str, action: str, environ: Environ, request_body: io.BytesIO, response_body: Iterable[bytes]
    ) -> None:
        """Queues the call for the event history, which parses and stores it later to keep calls fast."""
        path = environ.get("PATH_INFO", "/")
        is_object = service == "s3" and "/" in path.strip("/")
        self._platform.trail.record(
            ApiRequest(
                time=self._platform.now(),
                service=service,
                action=action,
                error=environ.get("bedplate.error", ""),
                method=environ["REQUEST_METHOD"],
                path=path,
                query=environ.get("QUERY_STRING", ""),
                content_type=environ.get("CONTENT_TYPE", ""),
                user_agent=environ.get("HTTP_USER_AGENT", ""),
                authorization=environ.get("HTTP_AUTHORIZATION", "")[:200],
                body=b"" if is_object else request_body.getvalue(),
                response=b"" if is_object else b"".join(response_body),
            )
        )

    def _record_access(self, environ: Environ, status: str, started: float) -> None:
        bucket, _, key = environ.get("PATH_INFO", "/").strip("/").partition("/")
        caller = re.search(r"Credential=([^/,]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        self._platform.access_log.record(
            AccessLogEntry(
                time=self._platform.now(),
                method=environ["REQUEST_METHOD"],
                bucket=bucket,
                key=key,
                query=environ.get("QUERY_STRING", ""),
                status=status,
                error=environ.get("bedplate.error", ""),
                requester=caller[1] if caller else "",
                user_agent=environ.get("HTTP_USER_AGENT", ""),
                took_ms=(time.perf_counter() - started) * 1000,
            )
        )

    def _receive_messages(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Polls moto repeatedly without waiting in it, so that SQS long polling does not hold the platform's lock."""
        raw = environ["wsgi.input"].read()
        try:
            request = json.loads(raw)
            wait_s = float(request.get("WaitTimeSeconds", 0))
            raw = json.dumps({**request, "WaitTimeSeconds": 0}).encode()
        except ValueError:
            wait_s = 0.0
        environ["CONTENT_LENGTH"] = str(len(raw))
        deadline = time.monotonic() + min(wait_s, 20)
        status, headers = "", []

        def observe_start(*start: Any) -> None:
            nonlocal status, headers
            status, headers = start[0], start[1]

        while True:
            environ["wsgi.input"] = io.BytesIO(raw)
            with self._platform.lock:
                body = b"".join(self._moto_app(environ)(dict(environ), observe_start))
                self._platform.store.mark("sqs")
            has_messages = b'"Messages": [' in body or b'"Messages":[' in body
            if has_messages or not status.startswith("200") or time.monotonic() >= deadline:
                start_response(status, headers)
                return [body]
            self._platform.wait(0.1)

    def _invoke(self, name: str, environ: Environ, start_response: StartResponse, *, is_async: bool) -> Iterable[bytes]:
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
            response = hooks.invoke_async(name, headers) if is_async else hooks.invoke(name, body, headers)
        except Exception as exc:  # an error of the runtime must look like an error of the service
            self._platform.log(traceback.format_exc().rstrip())
            return _error(environ, start_response, 500, "InternalFailure", f"{type(exc).__name__}: {exc}")
        status = f"{response.status} {'OK' if response.status < 400 else 'Error'}"
        start_response(status, list({**response.headers, "Content-Length": str(len(response.body))}.items()))
        return [response.body]


def _is_read(action: str, method: str) -> bool:
    return bool(_READ_ACTION.match(action)) if action else method in ("GET", "HEAD", "OPTIONS")


def _error_code(status: str, headers: list[tuple[str, str]]) -> str:
    """Returns the error code for the event history: AWS's from the header, else the HTTP status; empty for success."""
    if status[:1] in ("2", "3"):
        return ""
    error_type = {name.lower(): value for name, value in headers}.get("x-amzn-errortype", "")
    return error_type.split(":")[0].split("#")[-1] or f"HTTP{status[:3]}"


def _is_foreign(environ: Environ) -> bool:
    """Returns whether a request comes from a web page of another origin, or is for moto's API, which can reset data."""
    origin = environ.get("HTTP_ORIGIN", "")
    is_cross_origin = bool(origin) and not re.match(r"https?://(127\.0\.0\.1|localhost|\[::1\])(:|$)", origin)
    return is_cross_origin or environ.get("PATH_INFO", "").startswith("/moto-api/")


def _reads_buffered_data(service: str, action: str, method: str) -> bool:
    """Returns whether the request reads data that the runtime buffers and has to write first: S3 objects or metrics."""
    return (service == "s3" and method == "GET") or (service == "cloudwatch" and bool(_READ_ACTION.match(action)))


def service_of(environ: Environ) -> str:
    """Returns the service in the request's signature; without a signature S3, like moto."""
    auth = environ.get("HTTP_AUTHORIZATION", "")
    scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", auth)
    if scope:
        service = scope[1].lower()
        return {"monitoring": "cloudwatch"}.get(service, service)
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    return {"AmazonSQS": "sqs", "SageMaker": "sagemaker"}.get(target.split(".")[0], "s3")


def _action(environ: Environ, service: str) -> str:
    """Returns the operation's name in the JSON, CBOR and query protocols; empty in the REST protocols."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return str(target.rsplit(".", 1)[-1])
    smithy = re.match(r"^/service/[^/]+/operation/(\w+)$", environ.get("PATH_INFO", ""))
    if smithy:
        return smithy[1]
    if service != "s3" and environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = environ["wsgi.input"].read()
        environ["wsgi.input"] = io.BytesIO(body)
        match = re.search(rb"(?:^|&)Action=(\w+)", body)
        return match[1].decode() if match else ""
    return ""


def _ignore_start(*_: Any) -> None:
    """Ignores the start of a response that an injected fault loses."""


def _injected_error(environ: Environ, start_response: StartResponse, fault: FaultKind) -> Iterable[bytes]:
    if fault == "throttle":
        return _error(environ, start_response, 400, "ThrottlingException", "Rate exceeded (an injected fault)")
    return _error(environ, start_response, 500, "InternalFailure", "An injected fault")


def _send(start_response: StartResponse, status: int, payload: dict[str, Any]) -> Iterable[bytes]:
    body = json.dumps(payload).encode()
    start_response(f"{status} OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _error(environ: Environ, start_response: StartResponse, status: int, code: str, message: str) -> Iterable[bytes]:
    """Responds with an error in the protocol of the request: JSON, the query protocol's XML, or S3's XML."""
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


def format_iso(epoch_s: float) -> str:
    """Formats epoch seconds as ISO 8601 in UTC, with milliseconds.

    >>> format_iso(0)
    '1970-01-01T00:00:00.000Z'
    """
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
