"""Which configured provider answers for a resource: explicit ones by their reference, default ones made when needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from bedplate.engine.property_values import has_unknown, reveal
from bedplate.engine.protocol import (
    CheckResult,
    CreateResult,
    DiffChanges,
    DiffResult,
    Properties,
    Provider,
    ReadResult,
)
from bedplate.engine.state.snapshot import PROVIDER_PREFIX, Resource
from bedplate.errors import UsageError

Factory = Callable[[str], Provider]
"""From a package's name (`aws`) to a new provider, not configured yet. Raises UsageError for a package it has not."""


class ChecksConfig(Protocol):
    """The two verbs that a provider may have for its own configuration."""

    def check_config(self, urn: str, olds: Properties | None, news: Properties) -> CheckResult: ...
    def diff_config(self, urn: str, olds: Properties, news: Properties) -> DiffResult: ...


class NotConfigured:
    """Stands for a provider whose configuration a preview does not know yet: nothing is asked of it."""

    warning = (
        "The provider for this resource has inputs that are not known during preview.\n"
        "This preview may not correctly represent the changes that will be applied during an update."
    )

    def configure(self, config: Properties) -> None:
        pass

    def check(self, urn: str, type: str, olds: Properties | None, news: Properties, random_seed: bytes) -> CheckResult:
        return CheckResult(news)

    def diff(self, *_: Any) -> DiffResult:
        return DiffResult(DiffChanges.SOME)

    def create(self, *_: Any) -> CreateResult:
        return CreateResult("", {})

    def read(self, urn: str, id: str, *_: Any) -> ReadResult:
        return ReadResult(id, {}, {})

    def update(self, *_: Any) -> Properties:
        return {}

    def delete(self, *_: Any) -> None:
        pass

    def invoke(self, token: str, args: Properties) -> Properties:
        return {}

    def find_by_intent(self, *_: Any) -> str | None:
        return None


class Providers:
    """The providers of one run, by reference `<urn>::<id>`."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self._configured: dict[str, Provider] = {}
        self._blank: dict[str, Provider] = {}
        self._lock = threading.RLock()

    def configure(self, resource: Resource) -> None:
        """Make (or make again, with other inputs) the provider that this provider resource stands for."""
        provider: Provider = NotConfigured()
        if not has_unknown(resource.inputs):
            provider = self._factory(package_of(resource.type))
            provider.configure(config_of(resource.inputs))
        with self._lock:
            self._configured[reference(resource)] = provider

    def get(self, ref: str, olds: Mapping[str, Resource]) -> Provider:
        """The provider of this reference; one of an earlier run is configured from the state.

        Raises UsageError for a reference that nothing stands behind.
        """
        with self._lock:
            if ref in self._configured:
                return self._configured[ref]
            urn, _, _ = ref.rpartition("::")
            old = olds.get(urn)
            if old is None:
                raise UsageError(f"unknown provider '{ref}'")
            self.configure(old)
            self._configured.setdefault(ref, self._configured[reference(old)])
            return self._configured[ref]

    def check_config(self, resource: Resource, olds: Properties | None) -> CheckResult:
        provider = self._unconfigured(resource.type)
        if not hasattr(provider, "check_config"):
            return CheckResult(reveal(resource.inputs))
        return cast(ChecksConfig, provider).check_config(resource.urn, olds, reveal(resource.inputs))

    def diff_config(self, urn: str, type: str, olds: Properties, news: Properties) -> DiffResult:
        provider = self._unconfigured(type)
        if hasattr(provider, "diff_config"):
            return cast(ChecksConfig, provider).diff_config(urn, reveal(olds), reveal(news))
        old, new = reveal(olds), reveal(news)
        changed = tuple(sorted(k for k in {*old, *new} if old.get(k) != new.get(k)))
        return DiffResult(DiffChanges.SOME if changed else DiffChanges.NONE, changed)

    def _unconfigured(self, type: str) -> Provider:
        with self._lock:
            return self._blank.setdefault(type, self._factory(package_of(type)))


def package_of(type: str) -> str:
    """The package of a provider's type, or of a resource's or function's.

    >>> package_of("pulumi:providers:aws"), package_of("aws:s3/bucket:Bucket")
    ('aws', 'aws')
    """
    return type.removeprefix(PROVIDER_PREFIX).split(":", 1)[0]


def reference(resource: Resource) -> str:
    return f"{resource.urn}::{resource.id}"


def default_name(version: str) -> str:
    """The name of a package's default provider.

    >>> default_name(""), default_name("7.51.0")
    ('default', 'default_7_51_0')
    """
    return "default" + "".join("_" + part for part in version.replace("-", "_").replace("+", "_").split(".") if part)


def config_of(inputs: Properties) -> dict[str, Any]:
    """What a provider is configured with: plain values, without the version."""
    return {k: v for k, v in reveal(inputs).items() if k != "version"}
