"""Data-quality monitoring of a model: a job definition, its schedule, and the alarm on drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.domain.names import ModelNames
from bedplate.settings import Monitor

INSTANCE_TYPE, INSTANCE_COUNT, VOLUME_GB = "ml.m5.large", 1, 20
MAX_RUNTIME_S = 3600  # SageMaker's limit for an hourly schedule
METRICS_NAMESPACE = "aws/sagemaker/Endpoints/data-metrics"  # Model Monitor's
PROCESSING = "/opt/ml/processing"


@dataclass(frozen=True)
class MonitoringArgs:
    names: ModelNames
    monitors: Monitor
    endpoint: pulumi.Input[str]
    image_uri: pulumi.Input[str]
    execution_role_arn: pulumi.Input[str]
    artifacts_bucket: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]
    vpc_config: Mapping[str, list[pulumi.Input[str]]] | None
    tags: Mapping[str, str]


class Monitoring(pulumi.ComponentResource):
    """Output: `alarm`, the drift alarm. `bedplate baseline` writes the baseline that the executions compare with."""

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Monitoring", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names = args.names
        definition = aws.sagemaker.DataQualityJobDefinition(  # named by Pulumi, because every change replaces it
            names.monitoring_schedule,
            role_arn=args.execution_role_arn,
            data_quality_app_specification={
                "image_uri": args.image_uri,
                "environment": {"BEDPLATE_MODEL": names.model, "publish_cloudwatch_metrics": "Enabled"},
            },
            data_quality_baseline_config={
                "statistics_resource": {"s3_uri": self._s3(args, f"{names.baseline_prefix}statistics.json")},
                "constraints_resource": {"s3_uri": self._s3(args, f"{names.baseline_prefix}constraints.json")},
            },
            data_quality_job_input={
                "endpoint_input": {
                    "endpoint_name": args.endpoint,
                    "local_path": f"{PROCESSING}/input/endpoint",
                    "s3_input_mode": "File",
                    "s3_data_distribution_type": "FullyReplicated",
                }
            },
            data_quality_job_output_config={
                "kms_key_id": args.kms_key_arn,
                "monitoring_outputs": {
                    "s3_output": {
                        "s3_uri": self._s3(args, names.monitoring_prefix.rstrip("/")),
                        "local_path": f"{PROCESSING}/output",
                        "s3_upload_mode": "EndOfJob",
                    }
                },
            },
            job_resources={
                "cluster_config": {
                    "instance_type": INSTANCE_TYPE,
                    "instance_count": INSTANCE_COUNT,
                    "volume_size_in_gb": VOLUME_GB,
                    "volume_kms_key_id": args.kms_key_arn,
                }
            },
            network_config=aws.sagemaker.DataQualityJobDefinitionNetworkConfigArgs(
                enable_network_isolation=True,
                vpc_config=aws.sagemaker.DataQualityJobDefinitionNetworkConfigVpcConfigArgs(**args.vpc_config)
                if args.vpc_config
                else None,
            ),
            stopping_condition={"max_runtime_in_seconds": MAX_RUNTIME_S},
            tags=args.tags,
            opts=child,
        )
        schedule = aws.sagemaker.MonitoringSchedule(
            names.monitoring_schedule,
            name=names.monitoring_schedule,
            monitoring_schedule_config={
                "monitoring_type": "DataQuality",
                "monitoring_job_definition_name": definition.name,
                "schedule_config": {"schedule_expression": args.monitors.schedule},
            },
            tags=args.tags,
            opts=child,
        )
        self.alarm = aws.cloudwatch.MetricAlarm(
            names.drift_alarm,
            name=names.drift_alarm,
            alarm_description=f"A feature of {names.endpoint} has drifted: PSI above {args.monitors.psi_alert:g}. "
            f"Next: bedplate monitor report {names.model}",
            namespace=METRICS_NAMESPACE,
            metric_name="bedplate_max_psi",
            dimensions={"Endpoint": args.endpoint, "MonitoringSchedule": schedule.name},
            statistic="Maximum",
            period=3600,
            evaluation_periods=1,
            comparison_operator="GreaterThanThreshold",
            threshold=args.monitors.psi_alert,
            treat_missing_data="notBreaching",
            tags=args.tags,
            opts=child,
        )
        self.register_outputs({"schedule": schedule.name})

    @staticmethod
    def _s3(args: MonitoringArgs, key: str) -> pulumi.Output[str]:
        return pulumi.Output.format("s3://{0}/{1}", args.artifacts_bucket, key)
