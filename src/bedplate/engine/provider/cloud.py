"""The connection to the local platform: cached clients, service models, who and where we are, and what errors mean."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlsplit

from bedplate.engine.protocol import OperationRejected
from bedplate.engine.timeouts import limit_s
from bedplate.errors import PlatformError, UsageError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAYBE_DONE = ("InternalFailure", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling")
POLL_S, PATIENCE_S = 0.1, 300.0
Answer = dict[str, Any]


class ServiceError(Exception):
    """The service said no: `code` is AWS's error code. Nothing was changed."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.code = code
        self.message = message


class Cloud:
    """Clients of one endpoint and region, made when first needed; safe for several threads."""

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

    @cached_property
    def _session(self) -> Any:
        import botocore.session

        session = botocore.session.get_session()
        session.set_credentials("local", "local")
        return session

    @cached_property
    def account_id(self) -> str:
        return str(self.call("sts", "GetCallerIdentity")["Account"])

    def operation(self, service: str, operation: str) -> Any:
        """botocore's model of an operation; read from disk once per service."""
        return self._model(service).operation_model(operation)

    def _model(self, service: str) -> Any:
        models: dict[str, Any] = self.__dict__.setdefault("_models", {})
        if service not in models:
            models[service] = self._session.get_service_model(service)
        return models[service]

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
                    # Parameters come from botocore's own model of the operation: checked where they are made.
                    parameter_validation=False,
                ),
            )
        return self._clients[service]

    def call(self, service: str, operation: str, **params: Any) -> Answer:
        """Call an operation by AWS's name for it.

        Raises ServiceError for a definite no, PlatformError when nobody knows whether it was done.
        """
        from botocore import xform_name
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: Answer = getattr(self.client(service), xform_name(operation))(**params)
        except ClientError as exc:
            error = exc.response.get("Error", {})
            code, message = str(error.get("Code", "")), str(error.get("Message", ""))
            status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400))
            if status >= 500 or code in MAYBE_DONE:
                raise PlatformError(f"{operation}: {code}: {message}", next_step="bedplate local logs") from exc
            raise ServiceError(operation, code, message) from exc
        except BotoCoreError as exc:
            raise PlatformError(f"{operation}: {exc}", next_step="bedplate local status") from exc
        return answer

    def attempt(self, service: str, operation: str, *forgiven: str, **params: Any) -> Answer | None:
        """Call, but answer None where the service says one of these error codes."""
        try:
            return self.call(service, operation, **params)
        except ServiceError as exc:
            if exc.code in forgiven or any(code in exc.message for code in forgiven if " " in code):
                return None
            raise

    def wait(self, what: str, done: Callable[[], bool]) -> None:
        """Poll until `done`. Raises Refused after five minutes, or what customTimeouts says; what `done` raises comes
        through."""
        patience_s = limit_s(PATIENCE_S)
        deadline = self._clock() + patience_s
        while not done():
            if self._clock() > deadline:
                raise OperationRejected(f"{what} took longer than {patience_s:.0f} s")
            self._sleep(POLL_S)
