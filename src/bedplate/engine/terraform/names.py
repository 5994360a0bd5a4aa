"""Translates Pulumi's names to those of Terraform's AWS provider: resource types, arguments and import ids.

`arguments.json` contains the arguments of the resource types that Bedplate uses, taken from the published language
bindings of the provider hashicorp/aws 6.25.0: name -> {"as": "block" | "attribute" | "map", "in": nested arguments,
"required": true}, each key only where it applies.
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

TYPE_EXCEPTIONS = {
    "aws:cloudtrail/trail:Trail": "aws_cloudtrail",
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": "aws_ce_anomaly_monitor",
    "aws:costexplorer/anomalySubscription:AnomalySubscription": "aws_ce_anomaly_subscription",
    "aws:costexplorer/costAllocationTag:CostAllocationTag": "aws_ce_cost_allocation_tag",
    "aws:s3/bucketObjectv2:BucketObjectv2": "aws_s3_object",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "aws_vpc_security_group_egress_rule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "aws_vpc_security_group_ingress_rule",
}
"""Types whose name cannot be derived from the module and resource of the token."""

ARGUMENT_EXCEPTIONS = {
    "aws_cloudwatch_metric_alarm": {"name": "alarm_name"},
    "aws_sns_topic_subscription": {"topic": "topic_arn"},
}
"""Arguments whose name is neither the property's name nor its singular."""

PROVIDER_ONLY: dict[str, tuple[str, ...]] = {
    "aws_ecr_repository": ("force_delete",),
    "aws_iam_role": ("force_detach_policies",),
    "aws_kms_key": ("deletion_window_in_days", "bypass_policy_lockout_safety_check"),
    "aws_s3_bucket": ("force_destroy",),
    "aws_s3_object": ("force_destroy",),
    "aws_sns_topic_subscription": ("confirmation_timeout_in_minutes", "endpoint_auto_confirms"),
    "aws_cloudwatch_log_group": ("skip_destroy",),
}
"""Arguments that AWS does not store: an import cannot read them, so every plan would show them as changes."""

IGNORED_AFTER_IMPORT: dict[str, tuple[str, ...]] = {
    "aws_sns_topic_subscription": ("confirmation_timeout_in_minutes", "endpoint_auto_confirms"),
}
"""Arguments whose default an import does not set; they are ignored, else every plan would show them as changes."""

IMPORT_ID_FORMATS = {
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
"""Ids for `terraform import` that differ from Pulumi's id; formats over the resource's outputs."""


@cache
def load_schema() -> dict[str, Arguments]:
    """Returns the arguments of each Terraform type, as in `arguments.json`."""
    text = resources.files("bedplate.engine.terraform").joinpath("arguments.json").read_text(encoding="utf-8")
    schema: dict[str, Arguments] = json.loads(text)
    return schema


def find_terraform_type(token: str) -> str:
    """Returns the Terraform type of a Pulumi type token.

    >>> find_terraform_type("aws:s3/bucketVersioning:BucketVersioning")
    'aws_s3_bucket_versioning'
    >>> find_terraform_type("aws:ec2/vpcEndpoint:VpcEndpoint")
    'aws_vpc_endpoint'

    Raises BedplateError for a type that `arguments.json` does not contain.
    """
    module, _, resource = token.removeprefix("aws:").rpartition(":")[0].partition("/")
    candidates = (TYPE_EXCEPTIONS.get(token), f"aws_{module}_{snake_case(resource)}", f"aws_{snake_case(resource)}")
    for candidate in candidates:
        if candidate in load_schema():
            return candidate
    raise BedplateError(f"{token} has no known equivalent in Terraform's AWS provider {SCHEMA_VERSION}")


def find_argument(resource_type: str, arguments: Arguments, name: str, path: str) -> str:
    """Returns the argument for the property at `path`, whose snake-case name is `name`. Raises BedplateError for none.

    >>> find_argument("aws_x", {"rule": {"as": "block", "in": {}}}, "rules", "rules")
    'rule'
    """
    name = ARGUMENT_EXCEPTIONS.get(resource_type, {}).get(path, name)
    for candidate in (name, *_singulars(name)):
        if candidate in arguments:
            return candidate
    raise BedplateError(f"{resource_type} has no argument for {path!r} in Terraform's AWS provider {SCHEMA_VERSION}")


def format_import_id(resource_type: str, pulumi_id: str, outputs: Mapping[str, Any]) -> str:
    """Returns the id of a resource in an `import` block."""
    return IMPORT_ID_FORMATS[resource_type].format_map(outputs) if resource_type in IMPORT_ID_FORMATS else pulumi_id


def snake_case(name: str) -> str:
    """Converts a camelCase name to snake_case.

    >>> snake_case("kmsKeyArn"), snake_case("s3Uri"), snake_case("bucketObjectv2")
    ('kms_key_arn', 's3_uri', 'bucket_objectv2')
    """
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _singulars(name: str) -> tuple[str, ...]:
    """Returns the words that can have `name` as their plural."""
    endings = (("ies", "y"), ("es", ""), ("s", ""))
    return tuple(name.removesuffix(plural) + singular for plural, singular in endings if name.endswith(plural))
