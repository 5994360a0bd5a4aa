"""What the platform program exports, as one type."""

from __future__ import annotations

from bedplate.errors import NotFound
from bedplate.settings.types import StrictModel


class PlatformNetwork(StrictModel):
    """Where jobs and endpoints run: private subnets, and the security groups around them."""

    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...]


class PlatformOutputs(StrictModel):
    """The program's exports, field by field, also written as JSON to the SSM parameter `names.outputs_parameter`.

    What can be derived from `project`, `stack` and a model's name is not repeated here: see `domain.names.ModelNames`.
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
    """S3's access logs of every other bucket; empty on a platform from before it had them."""
    trail_bucket: str | None = None
    """CloudTrail's files; None where the stack keeps no trail."""
    kms_key_arn: str
    signing_key_arn: str = ""
    """Signs manifests of datasets; empty on a stack that `up` last touched before there was one."""
    image_uri: str
    """URI of the one image that trains, serves and monitors."""
    execution_role_arn: str | None = None
    """The one role of a platform that `up` last touched before every model had its own: ask `execution_role`."""
    execution_role_prefix: str = ""
    """With a model's name behind it the ARN of the role that its jobs and its endpoint run as."""
    network: PlatformNetwork | None = None
    """None where the platform has no network of its own."""
    persona_role_arns: dict[str, str]
    alerts_topic_arn: str
    platform_budget: str
    fallback_releases: dict[str, str]
    """Per model: name of the EndpointConfig of release 0."""

    tracking_server_arn: str = ""
    """Of the managed MLflow server; empty in an environment without one."""
    tracking_url: str = ""
    """Where it answers."""

    def execution_role(self, model: str) -> str:
        """The ARN of the role that a model's jobs and releases run as.

        Raises NotFound for a model that the platform has no role for.
        """
        if model not in self.models:
            raise NotFound(
                f"Stack {self.stack!r} has no execution role for model {model!r}",
                next_step=f"bedplate up --stack {self.stack}",
            )
        return f"{self.execution_role_prefix}{model}" if self.execution_role_prefix else str(self.execution_role_arn)
