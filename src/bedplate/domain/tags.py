"""Which tags everything carries: who pays, who owns, and which version it was for."""

from __future__ import annotations

KEYS = ("Project", "Stack", "Model", "ModelVersion", "Owner", "CostCenter", "ManagedBy")
COST_KEYS = ("Project", "Stack", "Model", "Owner", "CostCenter")
"""Those that spend is counted by: budgets and Cost Explorer find it once they are cost-allocation tags."""


def platform(*, project: str, stack: str, owner: str, cost_center: str) -> dict[str, str]:
    """Tags of what belongs to the whole platform.

    >>> platform(project="bedplate", stack="prod", owner="a@b.example", cost_center="ml")["ManagedBy"]
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
    """Tags of what belongs to one model; `version` None where no version is known yet.

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
