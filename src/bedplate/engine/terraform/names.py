"""How the AWS provider of Terraform calls what Pulumi's calls otherwise: types, arguments, and the ids of imports.

`arguments.json` holds the argument names of the resource types that Bedplate uses, as the provider hashicorp/aws has
them in version 6.25.0 (read off its published language bindings): name -> {"as": "block" | "attribute" | "map",
"in": nested arguments, "required": true}, each key only where it applies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from bedplate.errors import BedplateError

SCHEMA_VERSION = "6.25.0"
Arguments = Mapping[str, Mapping[str, Any]]

TYPES = {
    "aws:cloudtrail/trail:Trail": "aws_cloudtrail",
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": "aws_ce_anomaly_monitor",
    "aws:costexplorer/anomalySubscription:AnomalySubscription": "aws_ce_anomaly_subscription",
    "aws:costexplorer/costAllocationTag:CostAllocationTag": "aws_ce_cost_allocation_tag",
    "aws:s3/bucketObjectv2:BucketObjectv2": "aws_s3_object",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "aws_vpc_security_group_egress_rule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "aws_vpc_security_group_ingress_rule",
}
"""Types whose name does not follow from the token's module and resource."""

RENAMED = {
    "aws_cloudwatch_metric_alarm": {"name": "alarm_name"},
    "aws_sns_topic_subscription": {"topic": "topic_arn"},
}
"""Arguments whose name is neither the property's own nor its singular."""

PROVIDER_ONLY: dict[str, tuple[str, ...]] = {
    "aws_ecr_repository": ("force_delete",),
    "aws_iam_role": ("force_detach_policies",),
    "aws_kms_key": ("deletion_window_in_days", "bypass_policy_lockout_safety_check"),
    "aws_s3_bucket": ("force_destroy",),
    "aws_s3_object": ("force_destroy",),
    "aws_sns_topic_subscription": ("confirmation_timeout_in_minutes", "endpoint_auto_confirms"),
    "aws_cloudwatch_log_group": ("skip_destroy",),
}
"""Arguments that AWS does not keep: an import cannot read them, so that a plan would show them as changes for ever."""

AFTER_IMPORT: dict[str, tuple[str, ...]] = {
    "aws_sns_topic_subscription": ("confirmation_timeout_in_minutes", "endpoint_auto_confirms"),
}
"""Arguments whose default an import does not set: ignored, or every plan would show them as changes."""

IMPORTS = {
    "aws_appautoscaling_policy": "{serviceNamespace}/{resourceId}/{scalableDimension}/{name}",
    "aws_appautoscaling_scheduled_action": "{serviceNamespace}/{resourceId}/{scalableDimension}/{name}",
    "aws_appautoscaling_target": "{serviceNamespace}/{resourceId}/{scalableDimension}",
    "aws_cloudtrail": "{arn}",
    "aws_cloudwatch_event_target": "{rule}/{targetId}",
    "aws_iam_role_policy_attachment": "{role}/{policyArn}",
    "aws_route_table_association": "{subnetId}/{routeTableId}",
    "aws_s3_object": "{bucket}/{key}",
    "aws_vpc_endpoint_route_table_association": "{vpcEndpointId}/{routeTableId}",
}
"""What `terraform import` asks for where it is not the id that Pulumi keeps; formats over the resource's outputs."""


@cache
def schema() -> dict[str, Arguments]:
    """Arguments by Terraform type."""
    text = resources.files("bedplate.engine.terraform").joinpath("arguments.json").read_text(encoding="utf-8")
    held: dict[str, Arguments] = json.loads(text)
    return held


def terraform_type(token: str) -> str:
    """The Terraform type of a Pulumi type token.

    >>> terraform_type("aws:s3/bucketVersioning:BucketVersioning")
    'aws_s3_bucket_versioning'
    >>> terraform_type("aws:ec2/vpcEndpoint:VpcEndpoint")
    'aws_vpc_endpoint'

    Raises BedplateError for a type whose arguments are not known here.
    """
    module, _, resource = token.removeprefix("aws:").rpartition(":")[0].partition("/")
    candidates = (TYPES.get(token), f"aws_{module}_{snake(resource)}", f"aws_{snake(resource)}")
    for candidate in candidates:
        if candidate in schema():
            return candidate
    raise BedplateError(f"{token} has no known counterpart in Terraform's AWS provider {SCHEMA_VERSION}")


def argument(kind: str, arguments: Arguments, name: str, path: str) -> str:
    """The argument that a property is; `name` in snake case. Raises BedplateError where there is none.

    >>> argument("aws_x", {"rule": {"as": "block", "in": {}}}, "rules", "rules")
    'rule'
    """
    renamed = RENAMED.get(kind, {}).get(path)
    for candidate in (renamed, name, *_singulars(name)):
        if candidate is not None and candidate in arguments:
            return candidate
    raise BedplateError(f"{kind} has no argument for {path!r} in Terraform's AWS provider {SCHEMA_VERSION}")


def import_id(kind: str, pulumi_id: str, outputs: Mapping[str, Any]) -> str:
    """What an `import` block names an existing resource by."""
    return IMPORTS[kind].format_map(outputs) if kind in IMPORTS else pulumi_id


def snake(name: str) -> str:
    """
    >>> snake("kmsKeyArn"), snake("s3Uri"), snake("bucketObjectv2")
    ('kms_key_arn', 's3_uri', 'bucket_objectv2')
    """
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _singulars(name: str) -> tuple[str, ...]:
    forms = []
    if name.endswith("ies"):
        forms.append(name[:-3] + "y")
    if name.endswith("es"):
        forms.append(name[:-2])
    if name.endswith("s"):
        forms.append(name[:-1])
    return tuple(forms)
