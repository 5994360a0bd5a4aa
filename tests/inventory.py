"""What exists on a platform, by name, asked of its services: platforms that hold the same have equal inventories."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from platform_client import client_of

_LISTS: tuple[tuple[str, str, str, str], ...] = (
    ("s3", "list_buckets", "Buckets", "Name"),
    ("iam", "list_roles", "Roles", "RoleName"),
    ("iam", "list_policies", "Policies", "PolicyName"),
    ("kms", "list_aliases", "Aliases", "AliasName"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("sns", "list_topics", "Topics", "TopicArn"),
    ("sns", "list_subscriptions", "Subscriptions", "Endpoint"),
    ("ecr", "describe_repositories", "repositories", "repositoryName"),
    ("events", "list_rules", "Rules", "Name"),
    ("ssm", "describe_parameters", "Parameters", "Name"),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    ("cloudwatch", "describe_alarms", "CompositeAlarms", "AlarmName"),
    ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    ("cloudtrail", "describe_trails", "trailList", "Name"),
    ("sagemaker", "list_models", "Models", "ModelName"),
    ("sagemaker", "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
    ("sagemaker", "list_endpoints", "Endpoints", "EndpointName"),
    ("sagemaker", "list_model_package_groups", "ModelPackageGroupSummaryList", "ModelPackageGroupName"),
    ("sagemaker", "list_monitoring_schedules", "MonitoringScheduleSummaries", "MonitoringScheduleName"),
    ("sagemaker", "list_data_quality_job_definitions", "JobDefinitionSummaries", "MonitoringJobDefinitionName"),
)


def list_inventory(url: str) -> list[str]:
    """`<service> <what>: <name>`, sorted; a name that stands twice exists twice. What a service keeps for itself (AWS's
    own aliases and policies, keys on their way out) is left out."""
    clients: dict[str, Any] = {}

    def client(service: str) -> Any:
        return clients.setdefault(service, client_of(url, service))

    return sorted((*_list_resources(client), *_keys(client("kms")), *_budgets(client), *_scaling(client)))


def _list_resources(client: Callable[[str], Any]) -> Iterator[str]:
    for service, operation, key, name in _LISTS:
        scope = {"Scope": "Local"} if operation == "list_policies" else {}
        call = client(service)
        if call.can_paginate(operation):
            pages = call.get_paginator(operation).paginate(**scope)
        else:
            pages = [getattr(call, operation)(**scope)]
        for page in pages:
            for each in page.get(key, ()):
                if not each[name].startswith("alias/aws/"):
                    yield f"{service} {key}: {_without_hashes(each[name])}"


def _keys(kms: Any) -> Iterator[str]:
    for page in kms.get_paginator("list_keys").paginate():
        for key in page["Keys"]:
            message = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
            if message["KeyState"] == "Enabled" and message.get("KeyManager") == "CUSTOMER":
                yield f"kms Keys: {message['Description']}"


def _budgets(client: Callable[[str], Any]) -> Iterator[str]:
    account = client("sts").get_caller_identity()["Account"]
    for budget in client("budgets").describe_budgets(AccountId=account).get("Budgets", ()):
        yield f"budgets Budgets: {budget['BudgetName']} {budget['BudgetLimit']['Amount']}"


def _scaling(client: Callable[[str], Any]) -> Iterator[str]:
    scaling = client("application-autoscaling")
    for target in scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]:
        yield f"application-autoscaling ScalableTargets: {target['ResourceId']}"
    for policy in scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]:
        yield f"application-autoscaling ScalingPolicies: {policy['PolicyName']}"


def _without_hashes(name: str) -> str:
    """Without the seven hexadecimal digits at the end of a generated name: another generation has others."""
    return re.sub(r"-[0-9a-f]{7}$", "-HASH", name)
