"""SageMaker's managed MLflow tracking server."""

from __future__ import annotations

from bedplate.engine.protocol import OperationRejected
from bedplate.engine.provider.cloud import Cloud
from bedplate.engine.provider.kind import FollowUpCall, Props, ResourceType
from bedplate.engine.provider.tables.models import GONE, TAGS


def _created(cloud: Cloud, outputs: Props) -> None:
    """Wait until it answers, which takes SageMaker up to half an hour; its address is known only then."""
    name = outputs["trackingServerName"]

    def settled() -> bool:
        found = cloud.call("sagemaker", "DescribeMlflowTrackingServer", TrackingServerName=name)
        status = found["TrackingServerStatus"]
        if status == "CreateFailed":
            raise OperationRejected(f"tracking server {name} did not come up")
        outputs["trackingServerUrl"] = found.get("TrackingServerUrl")
        return bool(status == "Created")

    cloud.wait(f"tracking server {name} to come up", settled)


KINDS = (
    ResourceType(
        type="aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer",
        service="sagemaker",
        create="CreateMlflowTrackingServer",
        read="DescribeMlflowTrackingServer",
        delete="DeleteMlflowTrackingServer",
        id="{trackingServerName}",
        keys=("trackingServerName",),
        from_id=lambda id: {"trackingServerName": id},
        named="trackingServerName",
        max_name=256,
        gone=GONE,
        outputs={"arn": "=TrackingServerArn|TrackingServerArn", "trackingServerUrl": "=TrackingServerUrl"},
        updates=(
            FollowUpCall(
                "UpdateMlflowTrackingServer",
                (
                    *("artifactStoreUri", "trackingServerSize", "automaticModelRegistration"),
                    "weeklyMaintenanceWindowStart",
                ),
            ),
        ),
        replaces=("trackingServerName", "roleArn", "mlflowVersion"),
        tags=TAGS,
        after_create=_created,
    ),
)
