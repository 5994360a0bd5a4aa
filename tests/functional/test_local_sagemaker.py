"""SageMaker's records on the local platform: they read back as they were made, and are refused as AWS refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from platform_client import refused

Client = Callable[[str], Any]
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"


def test_a_model_reads_back_as_it_was_made(client: Client) -> None:
    sm = client("sagemaker")
    asked = {"PrimaryContainer": {"Image": "img", "Environment": {"A": "1"}}, "EnableNetworkIsolation": True}
    sm.create_model(ModelName="reads-back", ExecutionRoleArn=ROLE, Tags=[{"Key": "Model", "Value": "m"}], **asked)
    found = sm.describe_model(ModelName="reads-back")
    assert {k: found[k] for k in asked} == {
        **asked,
        "PrimaryContainer": {"Image": "img", "Environment": {"A": "1"}, "Mode": "SingleModel"},
    }
    assert "VpcConfig" not in found
    assert sm.list_tags(ResourceArn=found["ModelArn"])["Tags"] == [{"Key": "Model", "Value": "m"}]
    assert refused(sm.create_model, ModelName="reads-back", ExecutionRoleArn=ROLE, **asked) == "ValidationException"


def test_an_endpoint_configuration_keeps_everything_and_takes_any_instance_type(client: Client) -> None:
    sm = client("sagemaker")
    sm.create_model(ModelName="cfg-m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "img"})
    variant = {"VariantName": "v", "ModelName": "cfg-m", "InstanceType": "ml.g5.xlarge", "InitialInstanceCount": 1}
    shadow = {**variant, "VariantName": "shadow"}
    capture = {
        "EnableCapture": True, "InitialSamplingPercentage": 100, "DestinationS3Uri": "s3://b/p",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    }  # fmt: skip
    sm.create_endpoint_config(
        EndpointConfigName="cfg",
        ProductionVariants=[variant],
        ShadowProductionVariants=[shadow],
        DataCaptureConfig=capture,
    )
    found = sm.describe_endpoint_config(EndpointConfigName="cfg")
    assert found["DataCaptureConfig"] == capture
    assert found["ShadowProductionVariants"][0]["VariantName"] == "shadow"
    plain = {"EndpointConfigName": "cfg-plain", "ProductionVariants": [variant]}
    sm.create_endpoint_config(**plain)
    assert "DataCaptureConfig" not in sm.describe_endpoint_config(EndpointConfigName="cfg-plain")
    missing = [{**variant, "ModelName": "nobody"}]
    assert (
        refused(sm.create_endpoint_config, EndpointConfigName="x", ProductionVariants=missing) == "ValidationException"
    )


def test_the_registry_numbers_versions_and_never_twice(client: Client) -> None:
    sm = client("sagemaker")
    sm.create_model_package_group(ModelPackageGroupName="numbers")
    spec = {
        "Containers": [{"Image": "i", "ModelDataUrl": "s3://b/m"}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }

    def register(**more: Any) -> str:
        made = sm.create_model_package(ModelPackageGroupName="numbers", InferenceSpecification=spec, **more)
        return str(made["ModelPackageArn"])

    first = register(CustomerMetadataProperties={"a": "1"})
    second = register()
    sm.delete_model_package(ModelPackageName=second)
    assert register().endswith("/numbers/3")
    sm.update_model_package(
        ModelPackageArn=first, ModelApprovalStatus="Approved", CustomerMetadataProperties={"b": "2"}
    )
    sm.update_model_package(ModelPackageArn=first, CustomerMetadataProperties={"c": "3"})
    found = sm.describe_model_package(ModelPackageName=first)
    assert found["ModelApprovalStatus"] == "Approved"
    assert found["CustomerMetadataProperties"] == {"a": "1", "b": "2", "c": "3"}
    approved = sm.list_model_packages(ModelPackageGroupName="numbers", ModelApprovalStatus="Approved")
    assert [p["ModelPackageVersion"] for p in approved["ModelPackageSummaryList"]] == [1]
    assert refused(sm.delete_model_package_group, ModelPackageGroupName="numbers") == "ConflictException"


def test_a_group_has_a_policy_and_can_be_deleted_when_empty(client: Client) -> None:
    sm = client("sagemaker")
    name = {"ModelPackageGroupName": "policed"}
    sm.create_model_package_group(**name)
    assert refused(sm.get_model_package_group_policy, **name) == "ValidationException"
    sm.put_model_package_group_policy(**name, ResourcePolicy='{"Version":"2012-10-17"}')
    assert sm.get_model_package_group_policy(**name)["ResourcePolicy"] == '{"Version":"2012-10-17"}'
    sm.delete_model_package_group_policy(**name)
    sm.delete_model_package_group(**name)
    assert refused(sm.describe_model_package_group, **name) == "ValidationException"


def test_a_job_definition_and_its_schedule_live_and_die(client: Client) -> None:
    sm = client("sagemaker")
    sm.create_data_quality_job_definition(
        JobDefinitionName="dq",
        DataQualityAppSpecification={"ImageUri": "img"},
        DataQualityJobInput={"EndpointInput": {"EndpointName": "watched", "LocalPath": "/opt/ml/processing/in"}},
        DataQualityJobOutputConfig={
            "MonitoringOutputs": [{"S3Output": {"S3Uri": "s3://b/o", "LocalPath": "/opt/ml/processing/out"}}]
        },
        JobResources={"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 20}},
        RoleArn=ROLE,
    )
    assert "NetworkConfig" not in sm.describe_data_quality_job_definition(JobDefinitionName="dq")
    daily = {"ScheduleConfig": {"ScheduleExpression": "cron(0 0 ? * * *)"}, "MonitoringType": "DataQuality"}
    sm.create_monitoring_schedule(
        MonitoringScheduleName="watch", MonitoringScheduleConfig={**daily, "MonitoringJobDefinitionName": "dq"}
    )
    found = sm.describe_monitoring_schedule(MonitoringScheduleName="watch")
    assert (found["MonitoringScheduleStatus"], found["EndpointName"]) == ("Scheduled", "watched")
    sm.stop_monitoring_schedule(MonitoringScheduleName="watch")
    assert (
        sm.list_monitoring_schedules(EndpointName="watched")["MonitoringScheduleSummaries"][0][
            "MonitoringScheduleStatus"
        ]
        == "Stopped"
    )
    assert sm.list_monitoring_executions(MonitoringScheduleName="watch")["MonitoringExecutionSummaries"] == []
    sm.delete_monitoring_schedule(MonitoringScheduleName="watch")
    sm.delete_data_quality_job_definition(JobDefinitionName="dq")
    assert refused(sm.describe_monitoring_schedule, MonitoringScheduleName="watch") == "ResourceNotFound"


def test_an_endpoint_that_is_not_there_is_not_answered_for(client: Client) -> None:
    runtime = client("sagemaker-runtime")
    assert refused(runtime.invoke_endpoint, EndpointName="nobody", Body=b"1") == "ValidationError"
