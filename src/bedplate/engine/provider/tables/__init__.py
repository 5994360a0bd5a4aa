"""Every resource type that the embedded engine supports, one module per AWS service; any other type is an error."""

from __future__ import annotations

from bedplate.engine.provider.resource_type import ResourceType
from bedplate.engine.provider.tables import (
    autoscaling,
    budgets,
    cloudtrail,
    cloudwatch,
    cost_explorer,
    ec2,
    ecr,
    eventbridge,
    iam,
    kms,
    s3,
    sagemaker,
    sns,
    sqs,
    ssm,
)
from bedplate.errors import UsageError

RESOURCE_TYPES: dict[str, ResourceType] = {
    resource_type.type: resource_type
    for table in (
        *(autoscaling, budgets, cloudtrail, cloudwatch, cost_explorer, ec2, ecr, eventbridge),
        *(iam, kms, s3, sagemaker, sns, sqs, ssm),
    )
    for resource_type in table.RESOURCE_TYPES
}


def find_resource_type(type: str) -> ResourceType:
    """Returns the table entry of a Pulumi type token. Raises UsageError for a type without one."""
    if type not in RESOURCE_TYPES:
        raise UsageError(
            f"The embedded engine does not support the resource type {type} (it supports {len(RESOURCE_TYPES)} types)",
            next_step="bedplate up --engine pulumi",
        )
    return RESOURCE_TYPES[type]
