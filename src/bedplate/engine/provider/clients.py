"""Calls AWS operations on the local platform: cached boto clients, service models, account, region and errors."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlsplit

from bedplate.engine.protocol import OperationRejected
from bedplate.engine.timeouts import operation_timeout_s
from bedplate.errors import PlatformError, UsageError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
AMBIGUOUS_CODES = ("InternalFailure", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling")
POLL_S, TIMEOUT_S = 0.1, 300.0
Params = dict[str, Any]
"""The parameters of an AWS request."""
Response = dict[str, Any]
"""An AWS response."""


class ServiceError(Exception):
    """AWS rejected the request and changed nothing; `code` is AWS's error code."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.code = code
        self.message = message


class AwsClients:
    """boto clients of one loopback endpoint and region, each created at its first use; safe for several threads.

    Raises UsageError for an endpoint that is not on this machine.
    """

    def __init__(
        self,
        endpoint_url: str,
        region: str,
        *,
        actor: str = "",
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        host = urlsplit(endpoint_url).hostname
        if host not in LOOPBACK:
            raise UsageError(
                f"The embedded engine applies only to this machine, not to {endpoint_url}",
                next_step="bedplate up --engine pulumi",
            )
        self.endpoint_url = endpoint_url
        self.region = region
        self._actor = actor or os.environ.get("BEDPLATE_ACTOR") or getpass.getuser()
        self._sleep = sleep
        self._clock = clock
        self._clients: dict[str, Any] = {}
        self._service_models: dict[str, Any] = {}

    @cached_property
    def _session(self) -> Any:
        import botocore.session

        session = botocore.session.get_session()
        session.set_credentials("local", "local")
        return session

    @cached_property
    def account_id(self) -> str:
        return str(self.call("sts", "GetCallerIdentity")["Account"])

    def operation_model(self, service: str, operation: str) -> Any:
        """Returns botocore's model of an operation; each service is read from disk once."""
        if service not in self._service_models:
            self._service_models[service] = self._session.get_service_model(service)
        return self._service_models[service].operation_model(operation)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            from botocore.config import Config

            self._clients[service] = self._session.create_client(
                service,
                region_name=self.region,
                endpoint_url=self.endpoint_url,
                config=Config(
                    user_agent_extra=f"bedplate bedplate-actor/{quote(self._actor, safe='')}",
                    retries={"total_max_attempts": 2, "mode": "standard"},
                    s3={"addressing_style": "path"},
                    max_pool_connections=32,
                    # The provider validates parameters against botocore's model before it calls.
                    parameter_validation=False,
                ),
            )
        return self._clients[service]

    def call(self, service: str, operation: str, **params: Any) -> Response:
        """Calls an operation by AWS's name for it and returns the response.

        Raises ServiceError when AWS rejects the request, PlatformError when it is unknown whether the call took effect.
        """
        from botocore import xform_name
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            response: Response = getattr(self.client(service), xform_name(operation))(**params)
        except ClientError as exc:
            error = exc.response.get("Error", {})
            code, message = str(error.get("Code", "")), str(error.get("Message", ""))
            status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400))
            if status >= 500 or code in AMBIGUOUS_CODES:
                raise PlatformError(f"{operation}: {code}: {message}", next_step="bedplate local logs") from exc
            raise ServiceError(operation, code, message) from exc
        except BotoCoreError as exc:
            raise PlatformError(f"{operation}: {exc}", next_step="bedplate local status") from exc
        return response

    def call_or_none(self, service: str, operation: str, *ignored_codes: str, **params: Any) -> Response | None:
        """Calls an operation; returns None when AWS rejects it with one of `ignored_codes`.

        A code that contains a space is looked for in the error message instead.
        """
        try:
            return self.call(service, operation, **params)
        except ServiceError as exc:
            if exc.code in ignored_codes or any(code in exc.message for code in ignored_codes if " " in code):
                return None
            raise

    def wait_until(self, label: str, condition: Callable[[], bool]) -> None:
        """Polls until `condition` returns True. Errors of `condition` are not caught.

        Raises OperationRejected after five minutes, or after the resource's customTimeouts. `label` completes the
        message "... took longer than 300 s".
        """
        timeout_s = operation_timeout_s(TIMEOUT_S)
        deadline = self._clock() + timeout_s
        while not condition():
            if self._clock() > deadline:
                raise OperationRejected(f"{label} took longer than {timeout_s:.0f} s")
            self._sleep(POLL_S)
