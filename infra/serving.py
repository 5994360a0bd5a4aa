"""What answers: release 0 (the fallback), the endpoint with its guard rails, autoscaling, the alarms that roll back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.domain.instances import has_local_disk
from bedplate.domain.names import VARIANT, ModelNames
from bedplate.settings import ModelSpec

SCALE_IN_COOLDOWN_S, SCALE_OUT_COOLDOWN_S = 300, 60
LOG_RETENTION_DAYS = 90
DRAIN_S = 300  # the old fleet stays this long after the traffic has moved: rolling back within it is instant


@dataclass(frozen=True)
class ServingArgs:
    names: ModelNames
    spec: ModelSpec
    image_uri: pulumi.Input[str]
    execution_role_arn: pulumi.Input[str]
    capture_bucket: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]
    tags: Mapping[str, str]


class Serving(pulumi.ComponentResource):
    """Outputs: `endpoint_name`, `fallback_release` (the name of release 0's EndpointConfig), `alarms`."""

    def __init__(self, name: str, args: ServingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Serving", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        config = self._release_zero(args)
        alarms = self._alarms(args)
        # SageMaker would make this group itself at the first line: unencrypted, untagged, and kept for ever.
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
            deployment_config=_deployment(args.spec, alarms),
            tags=args.tags,
            # Releases are the command line's: `up` must never undo a rollout or a rollback. Both are ignored,
            # for a changed deployment_config alone would call UpdateEndpoint with the config name of the state.
            opts=pulumi.ResourceOptions.merge(
                self._child,
                pulumi.ResourceOptions(ignore_changes=["endpointConfigName", "deploymentConfig"], depends_on=[logs]),
            ),
        )
        self._autoscaling(args, endpoint)
        self.endpoint_name = endpoint.name
        self.alarms = alarms
        self.fallback_release = config.name
        self.register_outputs({"endpointName": self.endpoint_name, "fallbackRelease": self.fallback_release})

    def _release_zero(self, args: ServingArgs) -> aws.sagemaker.EndpointConfiguration:
        """Named by Pulumi (`...-v0-1a2b3c4`), so that a change makes a new one beside the one that may be serving."""
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
            enable_network_isolation=True,
            tags=args.tags,
            opts=self._child,
        )
        return aws.sagemaker.EndpointConfiguration(
            release,
            production_variants=[
                {
                    "variant_name": VARIANT,
                    "model_name": model.name,
                    "instance_type": serving.instance_type,
                    "initial_instance_count": serving.instance_count,
                    "initial_variant_weight": 1,
                }
            ],
            data_capture_config={
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
            kms_key_arn=None if has_local_disk(serving.instance_type) else args.kms_key_arn,
            tags=args.tags,
            opts=self._child,
        )

    def _alarms(self, args: ServingArgs) -> list[aws.cloudwatch.MetricAlarm]:
        """Errors and latency against the SLO. No data is no alarm: a bake without traffic is the rollout's concern."""
        slo, names = args.spec.serving.slo, args.names
        errors = aws.cloudwatch.MetricAlarm(
            names.errors_alarm,
            name=names.errors_alarm,
            alarm_description=f"More than {slo.max_error_pct:g} % of the requests to {names.endpoint} fail (5xx).",
            namespace="AWS/SageMaker",
            metric_name="Invocation5XXErrors",
            dimensions={"EndpointName": names.endpoint, "VariantName": VARIANT},
            statistic="Average",  # SageMaker sends 1 for a failed request and 0 for any other: the mean is the share
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
            evaluate_low_sample_count_percentiles="ignore",  # a p99 of ten requests is the slowest of ten
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

    def _autoscaling(self, args: ServingArgs, endpoint: aws.sagemaker.Endpoint) -> None:
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
        aws.appautoscaling.Policy(
            args.names.endpoint,
            name=f"{args.names.endpoint}-invocations",
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration={
                "predefined_metric_specification": {"predefined_metric_type": "SageMakerVariantInvocationsPerInstance"},
                "target_value": serving.invocations_per_instance,
                "scale_in_cooldown": SCALE_IN_COOLDOWN_S,
                "scale_out_cooldown": SCALE_OUT_COOLDOWN_S,
            },
            opts=self._child,
        )


def _deployment(
    spec: ModelSpec, alarms: list[aws.cloudwatch.MetricAlarm]
) -> aws.sagemaker.EndpointDeploymentConfigArgsDict:
    """SageMaker's blue/green policy in the words of model.yaml's `rollout`."""
    rollout = spec.rollout
    return {
        "blue_green_update_policy": {
            "traffic_routing_configuration": {
                "type": rollout.shift.replace("-", "_").upper(),
                "wait_interval_in_seconds": rollout.bake_s,
                "canary_size": {"type": "CAPACITY_PERCENT", "value": rollout.canary_pct}
                if rollout.shift == "canary"
                else None,
                "linear_step_size": {"type": "CAPACITY_PERCENT", "value": rollout.canary_pct}
                if rollout.shift == "linear"
                else None,
            },
            "termination_wait_in_seconds": DRAIN_S,
        },
        "auto_rollback_configuration": {"alarms": [{"alarm_name": alarm.name} for alarm in alarms]},
    }
