"""A managed MLflow tracking server for experiments, where `tracking.enabled` is set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.settings import Tracking as TrackingSettings
from iam import allow, policy_document, service_trust
from outputs import output_after

PREFIX = "tracking"
"""Key prefix of MLflow's artifacts in the artifacts bucket."""


@dataclass(frozen=True)
class TrackingArgs:
    name: str
    account_id: str
    settings: TrackingSettings
    artifacts_bucket: pulumi.Input[str]
    artifacts_bucket_arn: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]
    boundary_arn: pulumi.Input[str]
    tags: Mapping[str, str]


class Tracking(pulumi.ComponentResource):
    """Outputs: `server_arn`, `url`."""

    def __init__(self, name: str, args: TrackingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Tracking", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        server = aws.sagemaker.MlflowTrackingServer(
            "tracking",
            tracking_server_name=args.name,
            artifact_store_uri=pulumi.Output.format("s3://{0}/{1}", args.artifacts_bucket, PREFIX),
            role_arn=self._role(args),
            tracking_server_size=args.settings.size,
            automatic_model_registration=False,  # `bedplate train` registers versions, with their lineage
            tags=args.tags,
            opts=self._child,
        )
        self.server_arn, self.url = server.arn, server.tracking_server_url
        self.register_outputs({"serverArn": self.server_arn, "url": self.url})

    def _role(self, args: TrackingArgs) -> pulumi.Output[str]:
        """Creates the server's role, which may read and write MLflow's artifacts only, and returns its ARN."""
        role = aws.iam.Role(
            "tracking",
            name=f"{args.name}-tracking",
            description="SageMaker's MLflow tracking server",
            assume_role_policy=policy_document(service_trust(args.account_id)),
            permissions_boundary=args.boundary_arn,
            tags=args.tags,
            opts=self._child,
        )
        own_prefix = {"StringLike": {"s3:prefix": [PREFIX, f"{PREFIX}/*"]}}
        objects = pulumi.Output.concat(args.artifacts_bucket_arn, f"/{PREFIX}/*")
        statements = policy_document(
            allow("FindArtifacts", "s3:ListBucket", args.artifacts_bucket_arn, own_prefix),
            allow("KeepArtifacts", ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], objects),
            allow("Encrypt", ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"], args.kms_key_arn),
        )
        policy = aws.iam.RolePolicy("tracking", name="tracking", role=role.name, policy=statements, opts=self._child)
        return output_after(role.arn, policy.id)
