"""The embedded engine's provider: pulumi-aws resource types over boto3, for the local platform only."""

from __future__ import annotations

from bedplate.engine.deployment.providers import ProviderFactory
from bedplate.engine.protocol import Provider
from bedplate.errors import UsageError


def provider_factory(endpoint_url: str, region: str, *, actor: str = "") -> ProviderFactory:
    """Returns the function that the deployment calls for a new provider; it supports the package `aws` only.

    `actor` is sent to the local platform for its event history; empty means `BEDPLATE_ACTOR` or the user's login name.

    Raises UsageError for an endpoint that is not loopback: this provider can never reach a real account.
    """
    from bedplate.engine.provider.aws_provider import AwsProvider
    from bedplate.engine.provider.clients import AwsClients

    aws = AwsClients(endpoint_url, region, actor=actor)

    def create_provider(package: str) -> Provider:
        if package != "aws":
            raise UsageError(
                f"The embedded engine has no provider for {package!r}; it supports 'aws' only",
                next_step="bedplate up --engine pulumi",
            )
        return AwsProvider(aws)

    return create_provider
