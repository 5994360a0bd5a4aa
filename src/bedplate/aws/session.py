"""Where AWS is and as whom it is asked: region, endpoint and credentials, and the clients made of them."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from bedplate.aws.errors import translated
from bedplate.errors import UsageError

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 70
"""InvokeEndpoint may take 60 s; the client must not give up first."""
MAX_ATTEMPTS = 5
POOL = 32
"""Connections a client keeps: as many as the widest parallel read uses."""


@dataclass(frozen=True, slots=True)
class Credentials:
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


MADE_UP = Credentials("local", "local")
"""What the local platform is asked with; it accepts anything, and AWS accepts none of it."""


@dataclass(frozen=True, slots=True)
class Session:
    """Makes clients, one for each service, safe to share between threads.

    `endpoint_url` None is AWS itself; `credentials` None is boto3's own chain. With an endpoint of ours neither a
    profile nor a proxy of the caller's environment is looked at.
    """

    region: str
    endpoint_url: str | None = None
    credentials: Credentials | None = None
    expected_account: str | None = None
    """The only account that may be touched; asked of STS before the first client is handed out."""
    actor: str = ""
    """Who asks, told to the local platform for its event history; AWS knows by the credentials."""
    profile: str | None = None
    """A profile of AWS's configuration files; None: what boto3 finds by itself."""
    _cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _lock: Any = field(default_factory=threading.RLock, repr=False, compare=False)

    @classmethod
    def local(cls, region: str, url: str, *, actor: str = "") -> Session:
        """The local platform at `url`, asked by `actor`."""
        return cls(region, url, MADE_UP, actor=actor)

    @classmethod
    def aws(cls, region: str, *, expected_account: str | None = None, profile: str | None = None) -> Session:
        """AWS, with whatever credentials boto3 finds."""
        return cls(region, expected_account=expected_account, profile=profile)

    def client(self, service: str) -> Any:
        """The boto3 client of a service, made once. The first one imports boto3.

        Raises UsageError when the credentials belong to another account than the expected one.
        """
        with self._lock:
            if self.expected_account and "account" not in self._cache:
                self._cache["account"] = self._checked_account(self.expected_account)
            return self._client(service)

    def caller(self) -> dict[str, str]:
        """What STS says of us: `Account`, `Arn`, `UserId`; asked once.

        Raises PlatformError when there are no credentials, or they have expired.
        """
        with self._lock, translated("Cannot ask AWS who we are"):
            if "caller" not in self._cache:
                self._cache["caller"] = self._client("sts").get_caller_identity()
            caller: dict[str, str] = self._cache["caller"]
            return caller

    def client_in(self, service: str, region: str) -> Any:
        """A client of a service in another region; what answers for a region that is not enabled is elsewhere."""
        with self._lock:
            return self.boto3_session().client(service, region_name=region)

    def address(self, service: str) -> str:
        """The URL at which a service is asked; neither credentials nor the network are needed."""
        with self._lock:
            return str(self._client(service).meta.endpoint_url)

    def ca_bundle(self) -> str | None:
        """The file of certificates that the caller's configuration names (AWS_CA_BUNDLE, `ca_bundle`)."""
        with self._lock:
            named = self.boto3_session()._session.get_config_variable("ca_bundle")
        return str(named) if named else None

    def boto3_session(self) -> Any:
        """The boto3 session behind the clients, bound to our endpoint; also what the SageMaker SDK is given."""
        with self._lock:
            if "boto3" not in self._cache:
                self._cache["boto3"] = self._boto3_session()
            return self._cache["boto3"]

    @property
    def agent_suffix(self) -> str:
        """What a request's user agent says of who asks; AWS knows by the credentials."""
        return f" bedplate-actor/{quote(self.actor, safe='')}" if self.actor else ""

    def config(self) -> Any:
        """Time-outs and retries; for an endpoint of ours also path-style addresses and no proxy."""
        from botocore.config import Config

        common: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "read_timeout": READ_TIMEOUT_S,
            "retries": {"mode": "standard", "max_attempts": MAX_ATTEMPTS},
            "max_pool_connections": POOL,
            "user_agent_extra": f"bedplate{self.agent_suffix}",
        }
        if self.endpoint_url:
            common |= {"s3": {"addressing_style": "path"}, "proxies": {}}
        return Config(**common)

    def _client(self, service: str) -> Any:
        if service not in self._cache:
            self._cache[service] = self.boto3_session().client(service)
        return self._cache[service]

    def _checked_account(self, expected: str) -> str:
        account = self.caller()["Account"]
        if account != expected:
            raise UsageError(
                f"These credentials belong to account {account}, and this stack may only touch {expected}",
                next_step="aws sts get-caller-identity",
            )
        return account

    def _boto3_session(self) -> Any:
        import boto3
        import botocore.session

        config = self.config()
        given = {"endpoint_url": self.endpoint_url, "config": config} if self.endpoint_url else {"config": config}

        class BoundSession(boto3.Session):  # type: ignore[misc]
            """Every client it makes goes to our endpoint, also those that the SageMaker SDK asks it for."""

            def client(self, service_name: str, *args: Any, **kwargs: Any) -> Any:
                return super().client(service_name, *args, **{**kwargs, **given})

            def resource(self, service_name: str, *args: Any, **kwargs: Any) -> Any:
                return super().resource(service_name, *args, **{**kwargs, **given})

        if self.credentials is None:
            found = BoundSession(region_name=self.region, profile_name=self.profile)
            _read_times_fast(found._session)
            return found
        core = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
        core.set_credentials(
            self.credentials.access_key_id, self.credentials.secret_access_key, self.credentials.session_token
        )
        _read_times_fast(core)
        return BoundSession(botocore_session=core, region_name=self.region)


def _read_times_fast(core: Any) -> None:
    """botocore reads each time by guessing its format, which is two thirds of reading a long listing (the AWS CLI
    replaces its reader in the same way)."""
    from botocore.utils import parse_timestamp

    def read(value: Any) -> datetime:
        if isinstance(value, str) and value.endswith("Z") and value[10:11] == "T":
            with contextlib.suppress(ValueError):
                return datetime.fromisoformat(value)
        found: datetime = parse_timestamp(value)
        return found

    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=read)
