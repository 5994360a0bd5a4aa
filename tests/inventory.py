"""Lists the resources of a local platform by name, so that the contents of two platforms can be compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain
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
    ("sagemaker", "list_pipelines", "PipelineSummaries", "PipelineName"),
    ("ce", "get_anomaly_monitors", "AnomalyMonitors", "MonitorName"),
    ("ce", "get_anomaly_subscriptions", "AnomalySubscriptions", "SubscriptionName"),
)


def list_inventory(url: str) -> list[str]:
    """Returns `<service> <list>: <name>` for each resource, sorted; a name that exists twice is listed twice.

    AWS's own aliases and policies, and keys with a scheduled deletion, are left out.
    """
    clients: dict[str, Any] = {}

    def client(service: str) -> Any:
        return clients.setdefault(service, client_of(url, service))

    listings = (_list_resources(client), _list_keys(client("kms")), _list_budgets(client), _list_scaling(client))
    return sorted([*chain.from_iterable(listings), *_list_queues(client("sqs"))])


def _list_resources(client: Callable[[str], Any]) -> Iterator[str]:
    for service, operation, key, name in _LISTS:
        scope = {"Scope": "Local"} if operation == "list_policies" else {}
        call = client(service)
        if call.can_paginate(operation):
            pages = call.get_paginator(operation).paginate(**scope)
        else:
            pages = [getattr(call, operation)(**scope)]
        for page in pages:
            for resource in page.get(key, ()):
                if not resource[name].startswith("alias/aws/"):
                    yield f"{service} {key}: {_without_hash(resource[name])}"


def _list_keys(kms: Any) -> Iterator[str]:
    for page in kms.get_paginator("list_keys").paginate():
        for key in page["Keys"]:
            metadata = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
            if metadata["KeyState"] == "Enabled" and metadata.get("KeyManager") == "CUSTOMER":
                yield f"kms Keys: {metadata['Description']}"


def _list_queues(sqs: Any) -> Iterator[str]:
    for url in sqs.list_queues().get("QueueUrls", ()):
        yield f"sqs Queues: {url.rpartition('/')[2]}"


def _list_budgets(client: Callable[[str], Any]) -> Iterator[str]:
    account = client("sts").get_caller_identity()["Account"]
    for budget in client("budgets").describe_budgets(AccountId=account).get("Budgets", ()):
        yield f"budgets Budgets: {budget['BudgetName']} {budget['BudgetLimit']['Amount']}"


def _list_scaling(client: Callable[[str], Any]) -> Iterator[str]:
    scaling = client("application-autoscaling")
    for target in scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]:
        yield f"application-autoscaling ScalableTargets: {target['ResourceId']}"
    for policy in scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]:
        yield f"application-autoscaling ScalingPolicies: {policy['PolicyName']}"


def _without_hash(name: str) -> str:
    """Replaces the seven hexadecimal digits at the end of a generated name, which differ between two runs."""
    return re.sub(r"-[0-9a-f]{7}$", "-HASH", name)
