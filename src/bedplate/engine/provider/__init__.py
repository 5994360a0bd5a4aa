"""The provider half of the embedded engine: pulumi-aws resource types over boto3, on a platform of this machine."""

from __future__ import annotations

from bedplate.engine.deployment.providers import Factory
from bedplate.engine.protocol import Provider
from bedplate.errors import UsageError


def provider_factory(endpoint_url: str, region: str, *, actor: str = "") -> Factory:
    """What the deployment half asks for a new provider; it knows the package `aws` and no other.

    `actor` is told to the platform for its event history; empty is whoever the environment or the machine names.

    Raises UsageError for an endpoint that is not loopback: this provider can never reach a real account.
    """
    from bedplate.engine.provider.aws import AwsProvider
    from bedplate.engine.provider.cloud import Cloud

    cloud = Cloud(endpoint_url, region, actor=actor)

    def make(package: str) -> Provider:
        if package != "aws":
            raise UsageError(
                f"The embedded engine has a provider for 'aws', not for {package!r}",
                next_step="bedplate up --engine pulumi",
            )
        return AwsProvider(cloud)

    return make
