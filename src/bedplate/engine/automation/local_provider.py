"""Builds the AWS provider that a plugin process serves: the embedded engine's, over the local platform."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, cast

from bedplate.engine.automation.embedded import require_loopback
from bedplate.engine.protocol import Properties, Provider
from bedplate.errors import UsageError

ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL"
DEFAULT_REGION = "us-east-1"


def require_loopback_endpoints(config: Mapping[str, Any]) -> None:
    """Raises UsageError when a provider's own `endpoints` (a list, or its JSON text) are not on this machine.

    >>> require_loopback_endpoints({"region": "us-east-1", "endpoints": '[{"s3": "http://127.0.0.1:4566"}]'})
    """
    endpoints = config.get("endpoints") or []
    if isinstance(endpoints, str):
        endpoints = json.loads(endpoints)
    for endpoint in endpoints:
        for url in endpoint.values():
            require_loopback(str(url))


def build_aws_provider(package: str) -> Provider:
    """Returns the embedded engine's provider for the local platform at AWS_ENDPOINT_URL.

    Raises UsageError when the variable is not set, or when its URL is not on this machine.
    """
    url = os.environ.get(ENDPOINT_VARIABLE, "")
    if not url:
        raise UsageError(
            f"This plugin applies to the local platform only, and {ENDPOINT_VARIABLE} is not set to its URL",
            next_step="bedplate local status",
        )
    require_loopback(url)
    return cast(Provider, _RegionalProvider(url, package))


class _RegionalProvider:
    """A provider that is created when its configuration sets the region."""

    def __init__(self, endpoint_url: str, package: str) -> None:
        self._endpoint_url = endpoint_url
        self._package = package
        self._provider: Provider | None = None

    def configure(self, config: Properties) -> None:
        from bedplate.engine.provider import provider_factory

        region = config.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        self._provider = provider_factory(self._endpoint_url, str(region or DEFAULT_REGION))(self._package)
        self._provider.configure(config)

    def __getattr__(self, method: str) -> Any:
        if self._provider is None:
            raise AttributeError(method)
        return getattr(self._provider, method)
