"""SageMaker and its autoscaling: models, endpoints, package groups, monitoring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.engine.protocol import OperationRejected
from bedplate.engine.provider.cloud import Cloud, ServiceError
from bedplate.engine.provider.kind import EVERYTHING, FollowUpCall, Props, ResourceType, Tags

# SageMaker says "not found" in words of its own for every kind of thing, with the code ValidationException.
GONE = (
    "ResourceNotFound",
    "ResourceNotFoundException",
    "Could not find",
    "does not exist",
    "not found.",
    "Cannot find",
)
SCALED = ("serviceNamespace", "scalableDimension", "resourceId")
NOT_SCALED = ("ObjectNotFoundException", "No scalable target found", "No scaling policy found")
TAGS = Tags("AddTags", "DeleteTags", "ListTags", {"ResourceArn": "{arn}"})


def _sagemaker(name: str, noun: str, arn: str, **more: Any) -> ResourceType:
    """A named SageMaker resource: Create<noun>, Describe<noun>, Delete<noun>."""
    more = {"replaces": (EVERYTHING,), "delete": f"Delete{noun}", "read": f"Describe{noun}", **more}
    return ResourceType(
        type=f"aws:sagemaker/{name[0].lower()}{name[1:]}:{name}",
        service="sagemaker",
        create=f"Create{noun}",
        id="{name}",
        keys=("name",),
        named="name",
        gone=GONE,
        outputs={"arn": f"={arn}|{arn}"},
        tags=TAGS,
        **more,
    )


def _status(cloud: Cloud, name: str) -> tuple[str, str]:
    answer = cloud.call("sagemaker", "DescribeEndpoint", EndpointName=name)
    return answer["EndpointStatus"], answer.get("FailureReason", "no reason given")


def _in_service(cloud: Cloud, outputs: Props) -> None:
    name = outputs["name"]

    def settled() -> bool:
        status, reason = _status(cloud, name)
        if status in ("Failed", "OutOfService", "UpdateRollbackFailed"):
            raise OperationRejected(f"endpoint {name} is {status}: {reason}")
        return status == "InService"

    cloud.wait(f"endpoint {name} to be in service", settled)


def _not_busy(cloud: Cloud, known: Props, _inputs: Props) -> None:
    """An endpoint is deleted or updated only when nothing else is under way."""
    name = known["name"]

    def quiet() -> bool:
        try:
            return _status(cloud, name)[0] not in ("Creating", "Updating", "SystemUpdating", "RollingBack")
        except ServiceError:
            return True

    cloud.wait(f"endpoint {name} to be quiet", quiet)


def _endpoint_gone(cloud: Cloud, known: Props) -> None:
    name = known["name"]
    cloud.wait(
        f"endpoint {name} to be gone",
        lambda: cloud.attempt("sagemaker", "DescribeEndpoint", *GONE, EndpointName=name) is None,
    )


def _change_endpoint(cloud: Cloud, old: Props, new: Props) -> None:
    if any(old.get(key) != new.get(key) for key in ("endpointConfigName", "deploymentConfig")):
        _in_service(cloud, new)


def _found_endpoint(_cloud: Cloud, inputs: Props, found: Mapping[str, Any]) -> Props:
    """The configuration of the last deployment is the deployment's: `bedplate deploy` brings its own every time."""
    return {"deploymentConfig": inputs.get("deploymentConfig"), "endpointConfigName": found["EndpointConfigName"]}


def _delete_schedule_first(cloud: Cloud, known: Props, _inputs: Props) -> None:
    """SageMaker refuses to delete a schedule with an execution under way; the local platform ends it."""
    cloud.attempt("sagemaker", "StopMonitoringSchedule", *GONE, MonitoringScheduleName=known["name"])


def _group_name(id: str) -> Props:
    return {"modelPackageGroupName": id}


def _target_of(id: str) -> Props:
    """`sagemaker/endpoint/e/variant/v/sagemaker:variant:DesiredInstanceCount`, as imports spell it."""
    if id.count("/") != 5:
        return {"resourceId": id}
    service, rest = id.split("/", 1)
    return dict(zip(SCALED, (service, *reversed(rest.rsplit("/", 1))), strict=True))


def _policy_of(id: str) -> Props:
    """The target's import id, and the policy's name after it."""
    target, _, name = id.rpartition("/")
    return {**(_target_of(target) if target else {}), "name": name}


KINDS = (
    ResourceType(
        type="aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy",
        service="sagemaker",
        create="PutModelPackageGroupPolicy",
        read="GetModelPackageGroupPolicy",
        delete="DeleteModelPackageGroupPolicy",
        id="{modelPackageGroupName}",
        keys=("modelPackageGroupName",),
        gone=("ValidationException", "ResourceNotFound"),
        updates=(FollowUpCall("PutModelPackageGroupPolicy", ("resourcePolicy",)),),
        replaces=("modelPackageGroupName",),
    ),
    _sagemaker("Model", "Model", "ModelArn", rename={"name": "ModelName"}),
    _sagemaker(
        "EndpointConfiguration",
        "EndpointConfig",
        "EndpointConfigArn",
        rename={"name": "EndpointConfigName", "kmsKeyArn": "KmsKeyId"},
    ),
    _sagemaker(
        "Endpoint",
        "Endpoint",
        "EndpointArn",
        rename={"name": "EndpointName"},
        replaces=("name",),
        updates=(FollowUpCall("UpdateEndpoint", ("endpointConfigName", "deploymentConfig")),),
        after_create=_in_service,
        on_update=_change_endpoint,
        to_inputs=_found_endpoint,
        before_delete=_not_busy,
        after_delete=_endpoint_gone,
    ),
    _sagemaker(
        "DataQualityJobDefinition",
        "DataQualityJobDefinition",
        "JobDefinitionArn",
        rename={"name": "JobDefinitionName"},
    ),
    _sagemaker(
        "MonitoringSchedule",
        "MonitoringSchedule",
        "MonitoringScheduleArn",
        rename={"name": "MonitoringScheduleName"},
        replaces=("name",),
        updates=(FollowUpCall("UpdateMonitoringSchedule", ("monitoringScheduleConfig",)),),
        before_delete=_delete_schedule_first,
    ),
    ResourceType(
        type="aws:sagemaker/modelPackageGroup:ModelPackageGroup",
        service="sagemaker",
        create="CreateModelPackageGroup",
        read="DescribeModelPackageGroup",
        delete="DeleteModelPackageGroup",
        id="{modelPackageGroupName}",
        keys=("modelPackageGroupName",),
        from_id=_group_name,
        named="modelPackageGroupName",
        gone=GONE,
        outputs={"arn": "=ModelPackageGroupArn|ModelPackageGroupArn"},
        replaces=(EVERYTHING,),
        tags=TAGS,
    ),
    ResourceType(
        type="aws:appautoscaling/target:Target",
        service="application-autoscaling",
        create="RegisterScalableTarget",
        read="DescribeScalableTargets",
        delete="DeregisterScalableTarget",
        id="{resourceId}",
        keys=SCALED,
        from_id=_target_of,
        found="ScalableTargets[ResourceId={resourceId}]",
        gone=NOT_SCALED,
        outputs={"arn": "=ScalableTargetARN|ScalableTargetARN"},
        updates=(FollowUpCall("RegisterScalableTarget", ("minCapacity", "maxCapacity", "suspendedState", "roleArn")),),
        replaces=SCALED,
        tags=Tags("TagResource", "UntagResource", "ListTagsForResource", {"ResourceARN": "{arn}"}),
    ),
    ResourceType(
        type="aws:appautoscaling/policy:Policy",
        service="application-autoscaling",
        create="PutScalingPolicy",
        read="DescribeScalingPolicies",
        delete="DeleteScalingPolicy",
        id="{name}",
        keys=(*SCALED, "name"),
        from_id=_policy_of,
        named="name",
        max_name=256,
        rename={"name": "PolicyName|PolicyNames"},
        found="ScalingPolicies[PolicyName={name}]",
        gone=NOT_SCALED,
        outputs={"arn": "=PolicyARN|PolicyARN"},
        updates=(
            FollowUpCall(
                "PutScalingPolicy",
                (
                    "policyType",
                    "targetTrackingScalingPolicyConfiguration",
                    "stepScalingPolicyConfiguration",
                    "predictiveScalingPolicyConfiguration",
                ),
            ),
        ),
        replaces=(*SCALED, "name"),
    ),
)
