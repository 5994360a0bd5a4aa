"""Statements of a model's execution role: its own objects, images, logs and metrics, and no other model's."""

from __future__ import annotations

from bedplate.domain import names
from iam import Scope, Statement, allow
from personas.shared import encrypt


def statements(scope: Scope, model: names.ModelNames) -> list[Statement]:
    """Returns the statements of one model's role. It has no access to the ledger and deletes nothing.

    In every bucket the objects of a model have keys that begin with `<kind>/<model>/`.
    """
    own_keys = f"*/{model.model}/*"
    return [
        allow(
            "FindObjects",
            ["s3:ListBucket"],
            scope.buckets("artifacts", "data", "capture"),
            {"StringLike": {"s3:prefix": [own_keys, f"*/{model.model}"]}},
        ),
        allow("WhereBucketsAre", "s3:GetBucketLocation", scope.buckets("artifacts", "data", "capture")),
        # Model artifacts, training data, and captured requests.
        allow(
            "ReadObjects",
            ["s3:GetObject", "s3:GetObjectVersion"],
            scope.objects("artifacts", "data", "capture", key=own_keys),
        ),
        allow(
            "WriteResults",
            ["s3:PutObject", "s3:AbortMultipartUpload"],
            scope.objects("artifacts", "capture", key=own_keys),
        ),
        encrypt(scope),
        allow(
            "ReadVersions",
            ["sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup"],
            [
                scope.arn("sagemaker", f"model-package/{model.package_group}/*"),
                scope.arn("sagemaker", f"model-package-group/{model.package_group}"),
            ],
        ),
        # An asynchronous endpoint publishes to its success and error topics with this role.
        allow("TellResults", "sns:Publish", scope.arn("sns", f"{scope.prefix}-*")),
        # SageMaker writes the logs of all jobs of an account into shared log groups.
        *container_statements(scope, f"Endpoints/{model.endpoint}", "TrainingJobs", "ProcessingJobs"),
    ]


def container_statements(scope: Scope, *log_groups: str) -> list[Statement]:
    """Returns what every container of the image needs to start, and to write its logs and metrics."""
    namespaces = ["AWS/SageMaker", "/aws/sagemaker/*", "aws/sagemaker/*", "Bedplate/*"]
    return [
        # SageMaker creates a KMS grant to attach encrypted volumes to instances.
        allow("EncryptVolumes", "kms:CreateGrant", scope.kms_key_arn, {"Bool": {"kms:GrantIsForAWSResource": "true"}}),
        allow(
            "PullImage",
            ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
            scope.repository_arn,
        ),
        # ecr:GetAuthorizationToken has no resource; with the token only what PullImage allows is possible.
        allow("LogInToRegistry", "ecr:GetAuthorizationToken", "*"),
        allow(
            "WriteLogs",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
            [
                scope.arn("logs", f"log-group:/aws/sagemaker/{group}{stream}")
                for group in log_groups
                for stream in ("", ":log-stream:*")
            ],
        ),
        # cloudwatch:PutMetricData has no resource; the condition restricts the namespaces.
        allow("WriteMetrics", "cloudwatch:PutMetricData", "*", {"StringLike": {"cloudwatch:namespace": namespaces}}),
        *(_join_network(scope) if scope.in_network else []),
    ]


def _join_network(scope: Scope) -> list[Statement]:
    """Allows SageMaker to create a network interface in the subnets for every instance, and to delete it."""
    resources = [scope.arn("ec2", f"{kind}/*") for kind in ("network-interface", "subnet", "security-group")]
    writes = [f"ec2:{verb}NetworkInterface{suffix}" for verb in ("Create", "Delete") for suffix in ("", "Permission")]
    described = ("NetworkInterfaces", "Vpcs", "DhcpOptions", "Subnets", "SecurityGroups")
    return [
        allow("JoinNetwork", writes, resources),
        # EC2's Describe actions have no resource.
        allow("SeeNetwork", [f"ec2:Describe{resource}" for resource in described], "*"),
    ]
