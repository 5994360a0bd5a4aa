"""Application Auto Scaling by the clock."""

from __future__ import annotations

from bedplate.engine.provider.kind import FollowUpCall, Props, ResourceType
from bedplate.engine.provider.tables.models import SCALED


def _action_of(id: str) -> Props:
    """`name/namespace/resource`, and the dimension, which SageMaker has one of."""
    name, namespace, resource = id.split("/", 2)
    dimension = "sagemaker:variant:DesiredInstanceCount"
    return {"name": name, "serviceNamespace": namespace, "resourceId": resource, "scalableDimension": dimension}


KINDS = (
    ResourceType(
        type="aws:appautoscaling/scheduledAction:ScheduledAction",
        service="application-autoscaling",
        create="PutScheduledAction",
        read="DescribeScheduledActions",
        delete="DeleteScheduledAction",
        id="{name}/{serviceNamespace}/{resourceId}",
        keys=(*SCALED, "name"),
        from_id=_action_of,
        named="name",
        max_name=256,
        rename={"name": "ScheduledActionName|ScheduledActionNames"},
        found="ScheduledActions[ScheduledActionName={name}]",
        gone=("ObjectNotFoundException", "No scheduled action found", "No scalable target found"),
        updates=(
            FollowUpCall(
                "PutScheduledAction", ("schedule", "timezone", "startTime", "endTime", "scalableTargetAction")
            ),
        ),
        replaces=(*SCALED, "name"),
    ),
)
