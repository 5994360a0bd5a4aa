"""What a model's jobs and endpoint may touch: its own objects, images, logs and metrics, and no other model's."""

from __future__ import annotations

from bedplate.domain import names
from policies import Scope, Statement, allow, encrypt


def statements(scope: Scope, model: names.ModelNames) -> list[Statement]:
    """No ledger, no deletion. A model's objects lie below `<kind>/<model>/` in every bucket, whatever the kind."""
    own = f"*/{model.model}/*"
    return [
        allow(
            "FindObjects",
            ["s3:ListBucket"],
            scope.buckets("artifacts", "data", "capture"),
            {"StringLike": {"s3:prefix": [own, f"*/{model.model}"]}},
        ),
        allow("WhereBucketsAre", "s3:GetBucketLocation", scope.buckets("artifacts", "data", "capture")),
        # Model artifacts, training data, requests to monitor.
        allow(
            "ReadObjects",
            ["s3:GetObject", "s3:GetObjectVersion"],
            scope.objects("artifacts", "data", "capture", below=own),
        ),
        allow(
            "WriteResults",
            ["s3:PutObject", "s3:AbortMultipartUpload"],
            scope.objects("artifacts", "capture", below=own),
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
        # An asynchronous endpoint tells its topics by itself.
        allow("TellResults", "sns:Publish", scope.arn("sns", f"{scope.prefix}-*")),
        # SageMaker keeps the logs of all jobs of an account in groups of its own.
        *running(scope, f"Endpoints/{model.endpoint}", "TrainingJobs", "ProcessingJobs"),
    ]


def running(scope: Scope, *log_groups: str) -> list[Statement]:
    """What any container of the image needs to come up, and to write its log and its metrics."""
    return [
        # SageMaker attaches encrypted volumes to instances by a grant of its own.
        allow("EncryptVolumes", "kms:CreateGrant", scope.kms_key_arn, {"Bool": {"kms:GrantIsForAWSResource": "true"}}),
        allow(
            "PullImage",
            ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
            scope.repository_arn,
        ),
        # ecr:GetAuthorizationToken knows no resource; the token opens only what PullImage allows.
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
        # cloudwatch:PutMetricData knows no resource; the condition keeps it to these namespaces.
        allow(
            "WriteMetrics",
            "cloudwatch:PutMetricData",
            "*",
            {
                "StringLike": {
                    "cloudwatch:namespace": ["AWS/SageMaker", "/aws/sagemaker/*", "aws/sagemaker/*", "Bedplate/*"]
                }
            },
        ),
        *(_join_network(scope) if scope.in_network else []),
    ]


def _join_network(scope: Scope) -> list[Statement]:
    """SageMaker puts a network interface into the subnets for every instance, and takes it away again."""
    parts = [scope.arn("ec2", f"{kind}/*") for kind in ("network-interface", "subnet", "security-group")]
    changes = [f"ec2:{verb}NetworkInterface{what}" for verb in ("Create", "Delete") for what in ("", "Permission")]
    described = ("NetworkInterfaces", "Vpcs", "DhcpOptions", "Subnets", "SecurityGroups")
    return [
        allow("JoinNetwork", changes, parts),
        # EC2's descriptions know no resource.
        allow("SeeNetwork", [f"ec2:Describe{what}" for what in described], "*"),
    ]
