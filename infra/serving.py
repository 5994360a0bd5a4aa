"""A model's endpoint: release 0 (the fallback), deployment guardrails, autoscaling, and the alarms that roll back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from bedplate.domain.money.instances import has_local_disk
from bedplate.domain.names import VARIANT, ModelNames
from bedplate.settings import ModelSpec
from bedplate.settings import Serving as ServingSettings

SCALE_IN_COOLDOWN_S, SCALE_OUT_COOLDOWN_S = 300, 60
LOG_RETENTION_DAYS = 90
DRAIN_S = 300  # the old fleet is kept this long after the traffic shift, so that a rollback within it is instant


@dataclass(frozen=True)
class ServingArgs:
    names: ModelNames
    spec: ModelSpec
    image_uri: pulumi.Input[str]
    execution_role_arn: pulumi.Input[str]
    capture_bucket: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]
    vpc_config: Mapping[str, list[pulumi.Input[str]]] | None
    """Subnets and security groups of the instances; None, and always for serverless, is SageMaker's own network."""
    alerts_topic_arn: pulumi.Input[str]
    tags: Mapping[str, str]


class Serving(pulumi.ComponentResource):
    """Outputs: `endpoint_name`, `fallback_release` (the name of release 0's EndpointConfig), `alarms`."""

    def __init__(self, name: str, args: ServingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Serving", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        config = self._create_release_zero(args)
        alarms = self._create_alarms(args)
        # Otherwise SageMaker creates this log group at the first line: unencrypted, untagged, and without retention.
        logs = aws.cloudwatch.LogGroup(
            args.names.endpoint,
            name=f"/aws/sagemaker/Endpoints/{args.names.endpoint}",
            retention_in_days=LOG_RETENTION_DAYS,
            kms_key_id=args.kms_key_arn,
            tags=args.tags,
            opts=self._child,
        )
        endpoint = aws.sagemaker.Endpoint(
            args.names.endpoint,
            name=args.names.endpoint,
            endpoint_config_name=config.name,
            deployment_config=None if args.spec.serving.mode == "serverless" else _deployment_config(args.spec, alarms),
            tags=args.tags,
            # `bedplate deploy` and `rollback` change the release, and `up` must never revert it. Both are ignored,
            # because a changed deployment_config alone would call UpdateEndpoint with the config name in the state.
            opts=pulumi.ResourceOptions.merge(
                self._child,
                pulumi.ResourceOptions(ignore_changes=["endpointConfigName", "deploymentConfig"], depends_on=[logs]),
            ),
        )
        if args.spec.serving.mode != "serverless":
            self._create_autoscaling(args, endpoint)
        self.endpoint_name = endpoint.name
        self.alarms = alarms
        self.fallback_release = config.name
        self.register_outputs({"endpointName": self.endpoint_name, "fallbackRelease": self.fallback_release})

    def _create_release_zero(self, args: ServingArgs) -> aws.sagemaker.EndpointConfiguration:
        """Creates the model and EndpointConfig of release 0, which predicts the constant `fallback`.

        Pulumi names them (`...-v0-1a2b3c4`), so that a change creates new ones beside those that may be live.
        """
        serving, release = args.spec.serving, f"{args.names.endpoint}-v0"
        model = aws.sagemaker.Model(
            release,
            execution_role_arn=args.execution_role_arn,
            primary_container={
                "image": args.image_uri,
                "environment": {
                    "BEDPLATE_RELEASE": release,
                    "BEDPLATE_VERSION": "0",
                    "BEDPLATE_MODEL": args.names.model,
                    "BEDPLATE_ENDPOINT": args.names.endpoint,
                    "BEDPLATE_FALLBACK": f"{args.spec.fallback:g}",
                },
            },
            enable_network_isolation=serving.mode != "serverless",  # for instances only, as is the VPC
            vpc_config=_vpc_config(args),
            tags=args.tags,
            opts=self._child,
        )
        return aws.sagemaker.EndpointConfiguration(
            release,
            production_variants=[
                {
                    "variant_name": VARIANT,
                    "model_name": model.name,
                    "initial_variant_weight": 1,
                    **_capacity(serving),
                }
            ],
            async_inference_config=_async_inference_config(args) if serving.mode == "async" else None,
            data_capture_config=None
            if serving.mode == "serverless"
            else {
                "enable_capture": True,
                "initial_sampling_percentage": round(serving.capture_pct),
                "destination_s3_uri": pulumi.Output.format(
                    "s3://{0}/{1}", args.capture_bucket, args.names.capture_prefix.rstrip("/")
                ),
                "kms_key_id": args.kms_key_arn,
                "capture_options": [{"capture_mode": "Input"}, {"capture_mode": "Output"}],
                "capture_content_type_header": {
                    "json_content_types": ["application/json", "application/jsonlines"],
                    "csv_content_types": ["text/csv"],
                },
            },
            # The key encrypts storage volumes: serverless has none, and SageMaker rejects a key for instances with
            # local disks, which encrypt themselves.
            kms_key_arn=None
            if serving.mode == "serverless" or has_local_disk(serving.instance_type)
            else args.kms_key_arn,
            tags=args.tags,
            opts=self._child,
        )

    def _create_alarms(self, args: ServingArgs) -> list[aws.cloudwatch.MetricAlarm]:
        """Creates the alarms on errors and latency. Missing data is no alarm: `deploy` checks the traffic of a bake."""
        slo, names = args.spec.serving.slo, args.names
        errors = aws.cloudwatch.MetricAlarm(
            names.errors_alarm,
            name=names.errors_alarm,
            alarm_description=f"More than {slo.max_error_pct:g} % of the requests to {names.endpoint} fail (5xx).",
            namespace="AWS/SageMaker",
            metric_name="Invocation5XXErrors",
            dimensions={"EndpointName": names.endpoint, "VariantName": VARIANT},
            statistic="Average",  # SageMaker records 1 for a failed request and 0 otherwise, so the mean is the share
            period=60,
            evaluation_periods=1,
            comparison_operator="GreaterThanThreshold",
            threshold=slo.max_error_pct / 100,
            treat_missing_data="notBreaching",
            tags=args.tags,
            opts=self._child,
        )
        latency = aws.cloudwatch.MetricAlarm(
            names.latency_alarm,
            name=names.latency_alarm,
            alarm_description=f"1 % of the requests to {names.endpoint} take longer than {slo.latency_p99_ms:g} ms.",
            namespace="AWS/SageMaker",
            metric_name="ModelLatency",
            dimensions={"EndpointName": names.endpoint, "VariantName": VARIANT},
            extended_statistic="p99",
            evaluate_low_sample_count_percentiles="ignore",  # the p99 of ten requests is only the slowest one
            period=60,
            evaluation_periods=3,
            datapoints_to_alarm=2,
            comparison_operator="GreaterThanThreshold",
            threshold=slo.latency_p99_ms * 1000,  # ModelLatency is in microseconds
            treat_missing_data="notBreaching",
            tags=args.tags,
            opts=self._child,
        )
        return [errors, latency]

    def _create_autoscaling(self, args: ServingArgs, endpoint: aws.sagemaker.Endpoint) -> None:
        serving = args.spec.serving
        target = aws.appautoscaling.Target(
            args.names.endpoint,
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=pulumi.Output.concat("endpoint/", endpoint.name, "/variant/", VARIANT),
            min_capacity=serving.min_instances,
            max_capacity=serving.max_instances,
            tags=args.tags,
            opts=self._child,
        )
        scalable_target = {
            "service_namespace": target.service_namespace,
            "scalable_dimension": target.scalable_dimension,
            "resource_id": target.resource_id,
        }
        if serving.mode == "async":
            metric, target_value = _backlog_metric(args.names), serving.asynchronous.backlog_per_instance
        else:
            kind = "SageMakerVariantInvocationsPerInstance"
            metric = {"predefined_metric_specification": {"predefined_metric_type": kind}}
            target_value = serving.invocations_per_instance
        aws.appautoscaling.Policy(
            args.names.endpoint,
            name=f"{args.names.endpoint}-{'backlog' if serving.mode == 'async' else 'invocations'}",
            policy_type="TargetTrackingScaling",
            **scalable_target,
            target_tracking_scaling_policy_configuration={
                **metric,
                "target_value": target_value,
                "scale_in_cooldown": SCALE_IN_COOLDOWN_S,
                "scale_out_cooldown": SCALE_OUT_COOLDOWN_S,
            },
            opts=self._child,
        )
        if serving.min_instances == 0 or any(entry.min_instances == 0 for entry in serving.schedule):
            self._scale_from_zero(args, scalable_target)
        for entry in serving.schedule:
            aws.appautoscaling.ScheduledAction(
                f"{args.names.endpoint}-{entry.name}",
                name=f"{args.names.endpoint}-{entry.name}",
                **scalable_target,
                schedule=entry.at,
                timezone=entry.timezone,
                scalable_target_action={"min_capacity": entry.min_instances, "max_capacity": entry.max_instances},
                opts=self._child,
            )

    def _scale_from_zero(self, args: ServingArgs, scalable_target: Mapping[str, Any]) -> None:
        """Adds the first instance when a request waits; without instances there is no backlog per instance to track."""
        policy = aws.appautoscaling.Policy(
            f"{args.names.endpoint}-wake-up",
            name=f"{args.names.endpoint}-wake-up",
            policy_type="StepScaling",
            **scalable_target,
            step_scaling_policy_configuration={
                "adjustment_type": "ChangeInCapacity",
                "metric_aggregation_type": "Average",
                "cooldown": SCALE_IN_COOLDOWN_S,
                "step_adjustments": [{"metric_interval_lower_bound": "0", "scaling_adjustment": 1}],
            },
            opts=self._child,
        )
        aws.cloudwatch.MetricAlarm(
            args.names.backlog_alarm,
            name=args.names.backlog_alarm,
            alarm_description=f"Requests to {args.names.endpoint} wait, and it has no instance: adds the first one.",
            namespace="AWS/SageMaker",
            metric_name="HasBacklogWithoutCapacity",
            dimensions={"EndpointName": args.names.endpoint},
            statistic="Average",
            period=60,
            evaluation_periods=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=1,
            treat_missing_data="notBreaching",
            alarm_actions=[policy.arn],
            tags=args.tags,
            opts=self._child,
        )


def _capacity(serving: ServingSettings) -> dict[str, Any]:
    """Returns the instances of a variant, or its serverless configuration, as EndpointConfig takes them."""
    if serving.mode != "serverless":
        return {"instance_type": serving.instance_type, "initial_instance_count": serving.instance_count}
    serverless = serving.serverless
    config = {"memory_size_in_mb": serverless.memory_mb, "max_concurrency": serverless.max_concurrency}
    if serverless.provisioned_concurrency:
        config["provisioned_concurrency"] = serverless.provisioned_concurrency
    return {"serverless_config": config}


def _async_inference_config(args: ServingArgs) -> aws.sagemaker.EndpointConfigurationAsyncInferenceConfigArgsDict:
    asynchronous = args.spec.serving.asynchronous
    topics = {
        "success_topic": asynchronous.success_topic_arn,
        "error_topic": args.alerts_topic_arn if asynchronous.notify_errors else None,
    }
    notification = {key: arn for key, arn in topics.items() if arn}
    prefix = pulumi.Output.format("s3://{0}/{1}", args.capture_bucket, args.names.async_prefix)
    return {
        "output_config": {
            "s3_output_path": pulumi.Output.concat(prefix, "output"),
            "s3_failure_path": pulumi.Output.concat(prefix, "failed"),
            "kms_key_id": args.kms_key_arn,
            **({"notification_config": notification} if notification else {}),
        },
        "client_config": {"max_concurrent_invocations_per_instance": asynchronous.max_concurrent_per_instance},
    }


def _backlog_metric(names: ModelNames) -> dict[str, Any]:
    return {
        "customized_metric_specification": {
            "metric_name": "ApproximateBacklogSizePerInstance",
            "namespace": "AWS/SageMaker",
            "dimensions": [{"name": "EndpointName", "value": names.endpoint}],
            "statistic": "Average",
        }
    }


def _deployment_config(
    spec: ModelSpec, alarms: list[aws.cloudwatch.MetricAlarm]
) -> aws.sagemaker.EndpointDeploymentConfigArgsDict:
    """Returns SageMaker's blue/green policy for model.yaml's `rollout`."""
    rollout = spec.rollout
    return {
        "blue_green_update_policy": {
            "traffic_routing_configuration": {
                "type": rollout.traffic_routing.replace("-", "_").upper(),
                "wait_interval_in_seconds": rollout.bake_s,
                "canary_size": {"type": "CAPACITY_PERCENT", "value": rollout.canary_pct}
                if rollout.traffic_routing == "canary"
                else None,
                "linear_step_size": {"type": "CAPACITY_PERCENT", "value": rollout.canary_pct}
                if rollout.traffic_routing == "linear"
                else None,
            },
            "termination_wait_in_seconds": DRAIN_S,
        },
        "auto_rollback_configuration": {"alarms": [{"alarm_name": alarm.name} for alarm in alarms]},
    }


def _vpc_config(args: ServingArgs) -> aws.sagemaker.ModelVpcConfigArgs | None:
    if args.vpc_config is None or args.spec.serving.mode == "serverless":
        return None
    return aws.sagemaker.ModelVpcConfigArgs(**args.vpc_config)
