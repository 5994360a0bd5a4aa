"""Creates and configures the providers of a run, and finds the provider of a resource by its provider reference."""

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
    compare_inputs,
)
from bedplate.engine.state.snapshot import PROVIDER_PREFIX, Resource
from bedplate.errors import UsageError

ProviderFactory = Callable[[str], Provider]
"""Returns a new, unconfigured provider of a package (`aws`). Raises UsageError for an unknown package."""


class ConfigChecker(Protocol):
    """The methods of a provider that checks and compares its own configuration."""

    def check_config(self, urn: str, olds: Properties | None, news: Properties) -> CheckResult: ...
    def diff_config(self, urn: str, olds: Properties, news: Properties) -> DiffResult: ...


class UnconfiguredProvider:
    """Replaces a provider whose configuration is unknown in a preview; its methods do nothing."""

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

    def __init__(self, provider_factory: ProviderFactory) -> None:
        self._provider_factory = provider_factory
        self._configured: dict[str, Provider] = {}
        self._unconfigured: dict[str, Provider] = {}
        self._lock = threading.RLock()

    def configure(self, resource: Resource) -> None:
        """Creates and configures the provider of a provider resource; replaces one with other inputs."""
        provider: Provider = UnconfiguredProvider()
        if not has_unknown(resource.inputs):
            provider = self._provider_factory(package_of(resource.type))
            provider.configure(provider_config(resource.inputs))
        with self._lock:
            self._configured[provider_reference(resource)] = provider

    def get(self, reference: str, olds: Mapping[str, Resource]) -> Provider:
        """Returns the provider of this reference; configures one of an earlier run from its resource in `olds`.

        Raises UsageError for an unknown reference.
        """
        with self._lock:
            if reference in self._configured:
                return self._configured[reference]
            urn, _, _ = reference.rpartition("::")
            old = olds.get(urn)
            if old is None:
                raise UsageError(f"unknown provider '{reference}'")
            self.configure(old)
            self._configured.setdefault(reference, self._configured[provider_reference(old)])
            return self._configured[reference]

    def check_config(self, resource: Resource, olds: Properties | None) -> CheckResult:
        """Checks the inputs of a provider resource."""
        provider = self._unconfigured_provider(resource.type)
        return check_config(provider, resource.urn, olds, reveal(resource.inputs))

    def diff_config(self, urn: str, type: str, olds: Properties, news: Properties) -> DiffResult:
        """Compares the inputs of a provider resource."""
        return diff_config(self._unconfigured_provider(type), urn, reveal(olds), reveal(news))

    def _unconfigured_provider(self, type: str) -> Provider:
        with self._lock:
            return self._unconfigured.setdefault(type, self._provider_factory(package_of(type)))


def check_config(provider: Provider, urn: str, olds: Properties | None, news: Properties) -> CheckResult:
    """Calls the provider's `check_config`; a provider without one accepts the inputs unchanged."""
    if not hasattr(provider, "check_config"):
        return CheckResult(news)
    return cast(ConfigChecker, provider).check_config(urn, olds, news)


def diff_config(provider: Provider, urn: str, olds: Properties, news: Properties) -> DiffResult:
    """Calls the provider's `diff_config`; without one the inputs are compared and a change replaces nothing."""
    if not hasattr(provider, "diff_config"):
        return compare_inputs(olds, news)
    return cast(ConfigChecker, provider).diff_config(urn, olds, news)


def package_of(type: str) -> str:
    """Returns the package of a type of a provider, resource or function.

    >>> package_of("pulumi:providers:aws"), package_of("aws:s3/bucket:Bucket")
    ('aws', 'aws')
    """
    return type.removeprefix(PROVIDER_PREFIX).split(":", 1)[0]


def provider_reference(resource: Resource) -> str:
    """Returns the provider reference `<urn>::<id>` of a provider resource."""
    return f"{resource.urn}::{resource.id}"


def default_provider_name(version: str) -> str:
    """Returns the name of a package's default provider.

    >>> default_provider_name(""), default_provider_name("7.51.0")
    ('default', 'default_7_51_0')
    """
    return "default" + "".join("_" + part for part in version.replace("-", "_").replace("+", "_").split(".") if part)


def provider_config(inputs: Properties) -> dict[str, Any]:
    """Returns the configuration of a provider: its inputs in plaintext, without the version."""
    return {k: v for k, v in reveal(inputs).items() if k != "version"}
