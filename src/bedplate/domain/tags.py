"""Builds the tags of AWS resources: project, stack, model, version, owner and cost center."""

from __future__ import annotations

KEYS = ("Project", "Stack", "Model", "ModelVersion", "Owner", "CostCenter", "ManagedBy")
COST_KEYS = ("Project", "Stack", "Model", "Owner", "CostCenter")
"""Tags by which spend is grouped, once they are activated as cost-allocation tags for Budgets and Cost Explorer."""


def for_platform(*, project: str, stack: str, owner: str, cost_center: str) -> dict[str, str]:
    """Returns the tags of a resource that belongs to the whole platform.

    >>> for_platform(project="bedplate", stack="prod", owner="a@b.example", cost_center="ml")["ManagedBy"]
    'pulumi'
    """
    return {"Project": project, "Stack": stack, "Owner": owner, "CostCenter": cost_center, "ManagedBy": "pulumi"}


def for_model(
    *,
    project: str,
    stack: str,
    model: str,
    version: int | None,
    owner: str,
    cost_center: str,
    managed_by: str = "bedplate",
) -> dict[str, str]:
    """Returns the tags of a resource that belongs to one model; `version` is None when there is no version yet.

    >>> for_model(project="p", stack="s", model="m", version=3, owner="a@b.example", cost_center="ml")["ModelVersion"]
    '3'
    """
    return {
        "Project": project,
        "Stack": stack,
        "Model": model,
        "ModelVersion": "none" if version is None else str(version),
        "Owner": owner,
        "CostCenter": cost_center,
        "ManagedBy": managed_by,
    }
