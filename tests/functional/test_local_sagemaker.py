"""SageMaker resources on the local platform are described as they were created, and fail with AWS's error codes."""

from __future__ import annotations

from typing import Any

from builders import ACCOUNT
from platform_client import ClientFactory, error_code_of

ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"


def test_model_is_described_as_it_was_created(client: ClientFactory) -> None:
    sagemaker = client("sagemaker")
    fields = {"PrimaryContainer": {"Image": "img", "Environment": {"A": "1"}}, "EnableNetworkIsolation": True}
    sagemaker.create_model(
        ModelName="reads-back", ExecutionRoleArn=ROLE, Tags=[{"Key": "Model", "Value": "m"}], **fields
    )
    described = sagemaker.describe_model(ModelName="reads-back")
    assert {k: described[k] for k in fields} == {
        **fields,
        "PrimaryContainer": {"Image": "img", "Environment": {"A": "1"}, "Mode": "SingleModel"},
    }
    assert "VpcConfig" not in described
    assert sagemaker.list_tags(ResourceArn=described["ModelArn"])["Tags"] == [{"Key": "Model", "Value": "m"}]
    assert (
        error_code_of(sagemaker.create_model, ModelName="reads-back", ExecutionRoleArn=ROLE, **fields)
        == "ValidationException"
    )


def test_endpoint_configuration_keeps_every_field_and_accepts_any_instance_type(client: ClientFactory) -> None:
    sagemaker = client("sagemaker")
    sagemaker.create_model(ModelName="cfg-m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "img"})
    variant = {"VariantName": "v", "ModelName": "cfg-m", "InstanceType": "ml.g5.xlarge", "InitialInstanceCount": 1}
    shadow = {**variant, "VariantName": "shadow"}
    capture = {
        "EnableCapture": True, "InitialSamplingPercentage": 100, "DestinationS3Uri": "s3://b/p",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    }  # fmt: skip
    sagemaker.create_endpoint_config(
        EndpointConfigName="cfg",
        ProductionVariants=[variant],
        ShadowProductionVariants=[shadow],
        DataCaptureConfig=capture,
    )
    described = sagemaker.describe_endpoint_config(EndpointConfigName="cfg")
    assert described["DataCaptureConfig"] == capture
    assert described["ShadowProductionVariants"][0]["VariantName"] == "shadow"
    plain = {"EndpointConfigName": "cfg-plain", "ProductionVariants": [variant]}
    sagemaker.create_endpoint_config(**plain)
    assert "DataCaptureConfig" not in sagemaker.describe_endpoint_config(EndpointConfigName="cfg-plain")
    missing = [{**variant, "ModelName": "missing"}]
    assert (
        error_code_of(sagemaker.create_endpoint_config, EndpointConfigName="x", ProductionVariants=missing)
        == "ValidationException"
    )


def test_registry_never_reuses_a_version_number(client: ClientFactory) -> None:
    sagemaker = client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="numbers")
    specification = {
        "Containers": [{"Image": "i", "ModelDataUrl": "s3://b/m"}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }

    def register(**fields: Any) -> str:
        response = sagemaker.create_model_package(
            ModelPackageGroupName="numbers", InferenceSpecification=specification, **fields
        )
        return str(response["ModelPackageArn"])

    first = register(CustomerMetadataProperties={"a": "1"})
    second = register()
    sagemaker.delete_model_package(ModelPackageName=second)
    assert register().endswith("/numbers/3")
    sagemaker.update_model_package(
        ModelPackageArn=first, ModelApprovalStatus="Approved", CustomerMetadataProperties={"b": "2"}
    )
    sagemaker.update_model_package(ModelPackageArn=first, CustomerMetadataProperties={"c": "3"})
    described = sagemaker.describe_model_package(ModelPackageName=first)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["CustomerMetadataProperties"] == {"a": "1", "b": "2", "c": "3"}
    approved = sagemaker.list_model_packages(ModelPackageGroupName="numbers", ModelApprovalStatus="Approved")
    assert [p["ModelPackageVersion"] for p in approved["ModelPackageSummaryList"]] == [1]
    assert error_code_of(sagemaker.delete_model_package_group, ModelPackageGroupName="numbers") == "ConflictException"


def test_model_package_group_has_a_policy_and_can_be_deleted_when_empty(client: ClientFactory) -> None:
    sagemaker = client("sagemaker")
    name = {"ModelPackageGroupName": "policed"}
    sagemaker.create_model_package_group(**name)
    assert error_code_of(sagemaker.get_model_package_group_policy, **name) == "ValidationException"
    sagemaker.put_model_package_group_policy(**name, ResourcePolicy='{"Version":"2012-10-17"}')
    assert sagemaker.get_model_package_group_policy(**name)["ResourcePolicy"] == '{"Version":"2012-10-17"}'
    sagemaker.delete_model_package_group_policy(**name)
    sagemaker.delete_model_package_group(**name)
    assert error_code_of(sagemaker.describe_model_package_group, **name) == "ValidationException"


def test_job_definition_and_schedule_can_be_created_stopped_and_deleted(client: ClientFactory) -> None:
    sagemaker = client("sagemaker")
    sagemaker.create_data_quality_job_definition(
        JobDefinitionName="dq",
        DataQualityAppSpecification={"ImageUri": "img"},
        DataQualityJobInput={"EndpointInput": {"EndpointName": "monitored", "LocalPath": "/opt/ml/processing/in"}},
        DataQualityJobOutputConfig={
            "MonitoringOutputs": [{"S3Output": {"S3Uri": "s3://b/o", "LocalPath": "/opt/ml/processing/out"}}]
        },
        JobResources={"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 20}},
        RoleArn=ROLE,
    )
    assert "NetworkConfig" not in sagemaker.describe_data_quality_job_definition(JobDefinitionName="dq")
    daily = {"ScheduleConfig": {"ScheduleExpression": "cron(0 0 ? * * *)"}, "MonitoringType": "DataQuality"}
    sagemaker.create_monitoring_schedule(
        MonitoringScheduleName="daily", MonitoringScheduleConfig={**daily, "MonitoringJobDefinitionName": "dq"}
    )
    described = sagemaker.describe_monitoring_schedule(MonitoringScheduleName="daily")
    assert (described["MonitoringScheduleStatus"], described["EndpointName"]) == ("Scheduled", "monitored")
    sagemaker.stop_monitoring_schedule(MonitoringScheduleName="daily")
    summaries = sagemaker.list_monitoring_schedules(EndpointName="monitored")["MonitoringScheduleSummaries"]
    assert summaries[0]["MonitoringScheduleStatus"] == "Stopped"
    assert sagemaker.list_monitoring_executions(MonitoringScheduleName="daily")["MonitoringExecutionSummaries"] == []
    sagemaker.delete_monitoring_schedule(MonitoringScheduleName="daily")
    sagemaker.delete_data_quality_job_definition(JobDefinitionName="dq")
    assert error_code_of(sagemaker.describe_monitoring_schedule, MonitoringScheduleName="daily") == "ResourceNotFound"


def test_invoking_a_missing_endpoint_fails(client: ClientFactory) -> None:
    runtime = client("sagemaker-runtime")
    assert error_code_of(runtime.invoke_endpoint, EndpointName="missing", Body=b"1") == "ValidationError"
