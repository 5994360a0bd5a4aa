"""The outputs of the platform program, as one type."""

from __future__ import annotations

from bedplate.errors import NotFound
from bedplate.settings.types import StrictModel


class PlatformNetwork(StrictModel):
    """The private subnets and security groups of jobs and endpoints."""

    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...]


class PlatformOutputs(StrictModel):
    """The program's exports; the program also writes them as JSON to the SSM parameter `names.outputs_parameter`.

    Names that follow from `project`, `stack` and a model's name are not repeated here: see `domain.names.ModelNames`.
    """

    project: str
    stack: str
    account_id: str
    region: str
    models: tuple[str, ...]
    artifacts_bucket: str
    data_bucket: str
    capture_bucket: str
    ledger_bucket: str
    logs_bucket: str = ""
    """S3 server access logs of every other bucket."""
    trail_bucket: str | None = None
    """CloudTrail's files; None where the stack has no trail."""
    kms_key_arn: str
    signing_key_arn: str = ""
    """The key that signs the manifests of datasets."""
    image_uri: str
    """URI of the image that trains, serves and monitors."""
    execution_role_prefix: str = ""
    """ARN of a model's execution role without the model's name at its end, see `execution_role`."""
    network: PlatformNetwork | None = None
    """None where `network.enabled` is false."""
    persona_role_arns: dict[str, str]
    alerts_topic_arn: str
    platform_budget: str
    fallback_releases: dict[str, str]
    """By model: name of the EndpointConfig of release 0."""

    tracking_server_arn: str = ""
    """ARN of the managed MLflow tracking server; empty in an environment without one."""
    tracking_url: str = ""
    """URL of the tracking server; empty without one."""

    def execution_role(self, model: str) -> str:
        """Returns the ARN of the role that a model's jobs and endpoint run as.

        Raises NotFound when the platform has no role for the model.
        """
        if model not in self.models:
            raise NotFound(
                f"Stack {self.stack!r} has no execution role for model {model!r}",
                next_step=f"bedplate up --stack {self.stack}",
            )
        return f"{self.execution_role_prefix}{model}"
