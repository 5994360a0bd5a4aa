"""The AWS session: region, endpoint URL and credentials, and the boto3 clients that use them."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from bedplate.aws.errors import map_client_errors
from bedplate.errors import UsageError

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 70
"""InvokeEndpoint may take 60 s; the client's time-out must be longer."""
MAX_ATTEMPTS = 5
MAX_CONNECTIONS = 32
"""Size of a client's connection pool: as many connections as the widest parallel read uses."""


@dataclass(frozen=True, slots=True)
class Credentials:
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


LOCAL_CREDENTIALS = Credentials("local", "local")
"""Credentials for the local platform, which accepts any; AWS rejects these."""


@dataclass(frozen=True, slots=True)
class Session:
    """Creates one client for each service; clients may be shared between threads.

    `endpoint_url` None means AWS, `credentials` None boto3's own credential chain. With an `endpoint_url`, profiles and
    proxies of the environment are ignored.
    """

    region: str
    endpoint_url: str | None = None
    credentials: Credentials | None = None
    expected_account: str | None = None
    """The only account that may be used; STS's answer is compared with it before the first client is created."""
    actor: str = ""
    """The caller's name in the local platform's event history; AWS identifies the caller by the credentials."""
    profile: str | None = None
    """A profile of AWS's configuration files; None uses boto3's default."""
    _cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _lock: Any = field(default_factory=threading.RLock, repr=False, compare=False)

    @classmethod
    def local(cls, region: str, url: str, *, actor: str = "") -> Session:
        """Returns a session with the local platform at `url`, whose event history records `actor`."""
        return cls(region, url, LOCAL_CREDENTIALS, actor=actor)

    @classmethod
    def aws(cls, region: str, *, expected_account: str | None = None, profile: str | None = None) -> Session:
        """Returns a session with AWS, with the credentials that boto3 finds."""
        return cls(region, expected_account=expected_account, profile=profile)

    def client(self, service: str) -> Any:
        """Returns the boto3 client of a service, created once. The first call imports boto3.

        Raises UsageError when the credentials belong to another account than `expected_account`.
        """
        with self._lock:
            if self.expected_account and "account" not in self._cache:
                self._cache["account"] = self._verify_account(self.expected_account)
            return self._client(service)

    def caller_identity(self) -> dict[str, str]:
        """Returns STS's `Account`, `Arn` and `UserId` of the credentials; STS is called once.

        Raises PlatformError when there are no credentials, or they have expired.
        """
        with self._lock, map_client_errors("Cannot get the caller's identity"):
            if "caller" not in self._cache:
                self._cache["caller"] = self._client("sts").get_caller_identity()
            caller: dict[str, str] = self._cache["caller"]
            return caller

    def client_in_region(self, service: str, region: str) -> Any:
        """Returns a client of a service in another region, such as one that answers for a region not enabled yet."""
        with self._lock:
            return self.boto3_session().client(service, region_name=region)

    def service_url(self, service: str) -> str:
        """Returns the endpoint URL of a service; this needs neither credentials nor the network."""
        with self._lock:
            return str(self._client(service).meta.endpoint_url)

    def ca_bundle(self) -> str | None:
        """Returns the path of the certificate bundle in the caller's configuration (AWS_CA_BUNDLE, `ca_bundle`)."""
        with self._lock:
            path = self.boto3_session()._session.get_config_variable("ca_bundle")
        return str(path) if path else None

    def boto3_session(self) -> Any:
        """Returns the boto3 session that creates the clients, bound to the endpoint; the SageMaker SDK uses it too."""
        with self._lock:
            if "boto3" not in self._cache:
                self._cache["boto3"] = self._create_boto3_session()
            return self._cache["boto3"]

    @property
    def agent_suffix(self) -> str:
        """The part of the User-Agent header that names the actor; empty on AWS, which has the credentials."""
        return f" bedplate-actor/{quote(self.actor, safe='')}" if self.actor else ""

    def client_config(self) -> Any:
        """Returns botocore's configuration: time-outs, retries; with an `endpoint_url` path-style S3 and no proxy."""
        from botocore.config import Config

        common: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "read_timeout": READ_TIMEOUT_S,
            "retries": {"mode": "standard", "max_attempts": MAX_ATTEMPTS},
            "max_pool_connections": MAX_CONNECTIONS,
            "user_agent_extra": f"bedplate{self.agent_suffix}",
        }
        if self.endpoint_url:
            common |= {"s3": {"addressing_style": "path"}, "proxies": {}}
        return Config(**common)

    def _client(self, service: str) -> Any:
        if service not in self._cache:
            self._cache[service] = self.boto3_session().client(service)
        return self._cache[service]

    def _verify_account(self, expected: str) -> str:
        account = self.caller_identity()["Account"]
        if account != expected:
            raise UsageError(
                f"These credentials belong to account {account}, but this stack is in account {expected}",
                next_step="aws sts get-caller-identity",
            )
        return account

    def _create_boto3_session(self) -> Any:
        import boto3
        import botocore.session

        config = self.client_config()
        overrides = {"endpoint_url": self.endpoint_url, "config": config} if self.endpoint_url else {"config": config}

        class BoundSession(boto3.Session):  # type: ignore[misc]
            """All of its clients use the endpoint URL, including those that the SageMaker SDK creates."""

            def client(self, service_name: str, *args: Any, **kwargs: Any) -> Any:
                return super().client(service_name, *args, **{**kwargs, **overrides})

            def resource(self, service_name: str, *args: Any, **kwargs: Any) -> Any:
                return super().resource(service_name, *args, **{**kwargs, **overrides})

        if self.credentials is None:
            session = BoundSession(region_name=self.region, profile_name=self.profile)
            _install_fast_timestamp_parser(session._session)
            return session
        core = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
        core.set_credentials(
            self.credentials.access_key_id, self.credentials.secret_access_key, self.credentials.session_token
        )
        _install_fast_timestamp_parser(core)
        return BoundSession(botocore_session=core, region_name=self.region)


def _install_fast_timestamp_parser(core: Any) -> None:
    """Parses ISO timestamps directly: botocore guesses the format of each, which takes two thirds of a long listing.

    The AWS CLI replaces the parser in the same way.
    """
    from botocore.utils import parse_timestamp

    def parse(value: Any) -> Any:
        if isinstance(value, str) and value.endswith("Z") and value[10:11] == "T":
            with contextlib.suppress(ValueError):
                return datetime.fromisoformat(value)
        return parse_timestamp(value)

    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse)
