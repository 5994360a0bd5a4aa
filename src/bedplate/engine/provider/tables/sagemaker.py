"""Resource types of SageMaker: models, endpoints, package groups, monitoring, pipelines and MLflow tracking servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.engine.protocol import OperationRejected, Properties
from bedplate.engine.provider.clients import AwsClients, ServiceError
from bedplate.engine.provider.resource_type import (
    ALL_PROPERTIES,
    FollowUpCall,
    ResourceType,
    TagOperations,
    named_type,
)

# Most SageMaker operations report a missing resource as ValidationException, each with a different message.
MISSING_CODES = (
    *("ResourceNotFound", "ResourceNotFoundException", "Could not find", "does not exist", "not found."),
    "Cannot find",
)
BUSY_STATUSES = ("Creating", "Updating", "SystemUpdating", "RollingBack")


def _sagemaker_type(type: str, noun: str, arn: str, *, name: str = "name", **fields: Any) -> ResourceType:
    """Returns the type of a named resource with the operations Create<noun>, Describe<noun> and Delete<noun>."""
    defaults = {"member_paths": {name: f"{arn.removesuffix('Arn')}Name"}, "outputs": {"arn": f"={arn}|{arn}"}}
    return named_type(
        f"aws:sagemaker/{type[0].lower()}{type[1:]}:{type}",
        "sagemaker",
        (f"Create{noun}", f"Describe{noun}", f"Delete{noun}"),
        name,
        missing_codes=MISSING_CODES,
        tags=TagOperations({"ResourceArn": "{arn}"}, "AddTags", "DeleteTags", "ListTags"),
        **{**defaults, **fields},
    )


# --- endpoints -------------------------------------------------------------------------------------------------------


def _describe_status(aws: AwsClients, endpoint: str) -> tuple[str, str]:
    """Returns the status of an endpoint, and the reason of a failure."""
    response = aws.call("sagemaker", "DescribeEndpoint", EndpointName=endpoint)
    return response["EndpointStatus"], response.get("FailureReason", "no reason given")


def _wait_in_service(aws: AwsClients, outputs: Properties) -> None:
    endpoint = outputs["name"]

    def is_in_service() -> bool:
        status, reason = _describe_status(aws, endpoint)
        if status in ("Failed", "OutOfService", "UpdateRollbackFailed"):
            raise OperationRejected(f"endpoint {endpoint} is {status}: {reason}")
        return status == "InService"

    aws.wait_until(f"waiting for endpoint {endpoint} to be in service", is_in_service)


def _wait_not_busy(aws: AwsClients, properties: Properties, _inputs: Properties) -> None:
    """Waits until no operation on the endpoint is running, because SageMaker rejects a second one."""
    endpoint = properties["name"]

    def is_not_busy() -> bool:
        try:
            return _describe_status(aws, endpoint)[0] not in BUSY_STATUSES
        except ServiceError:
            return True

    aws.wait_until(f"waiting for other operations on endpoint {endpoint}", is_not_busy)


def _wait_deleted(aws: AwsClients, properties: Properties) -> None:
    endpoint = properties["name"]
    aws.wait_until(
        f"waiting for the deletion of endpoint {endpoint}",
        lambda: aws.call_or_none("sagemaker", "DescribeEndpoint", *MISSING_CODES, EndpointName=endpoint) is None,
    )


def _wait_updated(aws: AwsClients, old: Properties, new: Properties) -> None:
    if any(old.get(key) != new.get(key) for key in ("endpointConfigName", "deploymentConfig")):
        _wait_in_service(aws, new)


def _read_endpoint(_aws: AwsClients, inputs: Properties, actual: Mapping[str, Any]) -> Properties:
    """Returns the declared deployment configuration unread, because every `bedplate deploy` passes another one."""
    return {"deploymentConfig": inputs.get("deploymentConfig"), "endpointConfigName": actual["EndpointConfigName"]}


# --- monitoring and tracking -----------------------------------------------------------------------------------------


def _stop_schedule(aws: AwsClients, properties: Properties, _inputs: Properties) -> None:
    """Stops the schedule, because SageMaker does not delete it during an execution; the local platform ends that."""
    aws.call_or_none("sagemaker", "StopMonitoringSchedule", *MISSING_CODES, MonitoringScheduleName=properties["name"])


def _wait_tracking_server(aws: AwsClients, outputs: Properties) -> None:
    """Waits until the server is created, up to half an hour at SageMaker, and sets its URL, which is unknown before."""
    name = outputs["trackingServerName"]

    def is_created() -> bool:
        server = aws.call("sagemaker", "DescribeMlflowTrackingServer", TrackingServerName=name)
        if server["TrackingServerStatus"] == "CreateFailed":
            raise OperationRejected(f"tracking server {name} could not be created")
        outputs["trackingServerUrl"] = server.get("TrackingServerUrl")
        return bool(server["TrackingServerStatus"] == "Created")

    aws.wait_until(f"waiting for tracking server {name}", is_created)


RESOURCE_TYPES = (
    _sagemaker_type("Model", "Model", "ModelArn", replaces=(ALL_PROPERTIES,)),
    _sagemaker_type(
        "EndpointConfiguration",
        "EndpointConfig",
        "EndpointConfigArn",
        # SageMaker's KmsKeyId takes an ARN as well.
        member_paths={"name": "EndpointConfigName", "kmsKeyArn": "KmsKeyId"},
        replaces=(ALL_PROPERTIES,),
    ),
    _sagemaker_type(
        "Endpoint",
        "Endpoint",
        "EndpointArn",
        update_calls=(FollowUpCall("UpdateEndpoint", ("endpointConfigName", "deploymentConfig")),),
        after_create=_wait_in_service,
        on_update=_wait_updated,
        read_inputs=_read_endpoint,
        before_delete=_wait_not_busy,
        after_delete=_wait_deleted,
    ),
    _sagemaker_type(
        "DataQualityJobDefinition", "DataQualityJobDefinition", "JobDefinitionArn", replaces=(ALL_PROPERTIES,)
    ),
    _sagemaker_type(
        "MonitoringSchedule",
        "MonitoringSchedule",
        "MonitoringScheduleArn",
        update_calls=(FollowUpCall("UpdateMonitoringSchedule", ("monitoringScheduleConfig",)),),
        before_delete=_stop_schedule,
    ),
    _sagemaker_type(
        "ModelPackageGroup",
        "ModelPackageGroup",
        "ModelPackageGroupArn",
        name="modelPackageGroupName",
        replaces=(ALL_PROPERTIES,),
    ),
    ResourceType(
        "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy",
        "sagemaker",
        ("PutModelPackageGroupPolicy", "GetModelPackageGroupPolicy", "DeleteModelPackageGroupPolicy"),
        id_format="{modelPackageGroupName}",
        key_properties=("modelPackageGroupName",),
        missing_codes=("ValidationException", "ResourceNotFound"),
        update_calls=(FollowUpCall("PutModelPackageGroupPolicy", ("resourcePolicy",)),),
        replaces=("modelPackageGroupName",),
    ),
    _sagemaker_type(
        "Pipeline",
        "Pipeline",
        "PipelineArn",
        name="pipelineName",
        max_name_length=256,
        fixed_params={"ClientRequestToken": "bedplate-client-request-token-{pipelineName}"},
        update_calls=(
            FollowUpCall(
                "UpdatePipeline", ("pipelineDisplayName", "pipelineDefinition", "pipelineDescription", "roleArn")
            ),
        ),
    ),
    _sagemaker_type(
        "MlflowTrackingServer",
        "MlflowTrackingServer",
        "TrackingServerArn",
        name="trackingServerName",
        max_name_length=256,
        outputs={"arn": "=TrackingServerArn|TrackingServerArn", "trackingServerUrl": "=TrackingServerUrl"},
        update_calls=(
            FollowUpCall(
                "UpdateMlflowTrackingServer",
                (
                    *("artifactStoreUri", "trackingServerSize", "automaticModelRegistration"),
                    "weeklyMaintenanceWindowStart",
                ),
            ),
        ),
        replaces=("trackingServerName", "roleArn", "mlflowVersion"),
        after_create=_wait_tracking_server,
    ),
)
