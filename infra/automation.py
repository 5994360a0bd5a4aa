"""EventBridge rules that notify people of events or start the reconciler, and the reconciler's SageMaker pipeline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.domain.names import ModelNames
from bedplate.settings import Automation as AutomationSettings
from iam import allow, deny_without_tls, policy_document, service_trust
from outputs import document, output_after

PROJECT = "/opt/ml/processing/input/project"
SNAPSHOT = "project/snapshot.tar.gz"
DEAD_LETTER_RETENTION_S = 14 * 24 * 3600  # SQS's maximum


@dataclass(frozen=True)
class Reconciler:
    """Arguments of the pipeline that runs `bedplate reconcile`."""

    snapshot: str
    """The project as a base64 tar.gz, see snapshot.py."""
    artifacts_bucket: pulumi.Input[str]
    image_uri: pulumi.Input[str]
    job_role_arn: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]
    boundary_arn: pulumi.Input[str]
    settings: AutomationSettings


@dataclass(frozen=True)
class AutomationArgs:
    prefix: str
    """Prefix of all resource names of the environment: `<project>-<stack>-`."""
    stack: str
    region: str
    account_id: str
    model_names: Sequence[ModelNames]
    alerts_topic_arn: pulumi.Input[str]
    reconciler: Reconciler | None
    """None where events only notify people."""
    tags: Mapping[str, str]


class Automation(pulumi.ComponentResource):
    """EventBridge rules that target the alerts topic and the reconciler.

    The program's own alarms publish to the topic themselves and need no rule.
    """

    def __init__(self, name: str, args: AutomationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Automation", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        for rule_name, (description, pattern) in _alert_rules(args).items():
            rule = self._create_rule(rule_name, description, pattern)
            aws.cloudwatch.EventTarget(
                rule_name, rule=rule.name, target_id="alerts", arn=args.alerts_topic_arn, opts=self._child
            )
        if args.reconciler:
            self._create_reconciler(args.reconciler)
        self.register_outputs({})

    def _create_rule(self, name: str, description: str, pattern: dict[str, object]) -> aws.cloudwatch.EventRule:
        return aws.cloudwatch.EventRule(
            name,
            name=f"{self._args.prefix}{name}",
            description=description,
            event_pattern=json.dumps(pattern, sort_keys=True),
            tags=self._args.tags,
            opts=self._child,
        )

    def _create_reconciler(self, reconciler: Reconciler) -> None:
        """Creates a pipeline with one step that runs `bedplate reconcile` in the image, and the rules that start it."""
        args = self._args
        pipeline = self._create_pipeline(reconciler)
        role_arn, queue_arn = self._create_start_role(reconciler, pipeline), self._create_dead_letter_queue()
        for rule_name, (description, pattern) in _reconcile_rules(args).items():
            rule = self._create_rule(rule_name, description, pattern)
            aws.cloudwatch.EventTarget(
                rule_name,
                rule=rule.name,
                target_id="reconciler",
                arn=pipeline.arn,
                role_arn=role_arn,
                sagemaker_pipeline_target={"pipeline_parameter_lists": [{"name": "Reason", "value": rule_name}]},
                dead_letter_config={"arn": queue_arn},
                retry_policy={"maximum_event_age_in_seconds": 3600, "maximum_retry_attempts": 10},
                opts=self._child,
            )

    def _create_pipeline(self, reconciler: Reconciler) -> aws.sagemaker.Pipeline:
        args = self._args
        project = aws.s3.BucketObjectv2(
            "project",
            bucket=reconciler.artifacts_bucket,
            key=SNAPSHOT,
            content_base64=reconciler.snapshot,
            content_type="application/gzip",
            tags=dict(list(args.tags.items())[:10]),  # S3 allows ten tags per object
            opts=self._child,
        )
        command = ["python", "-m", "bedplate", "reconcile", "--stack", args.stack, "--yes"]
        values = (project.bucket, reconciler.image_uri, reconciler.job_role_arn, reconciler.kms_key_arn)
        definition = pulumi.Output.all(*values).apply(lambda texts: _definition(reconciler.settings, command, *texts))
        return aws.sagemaker.Pipeline(
            "reconcile",
            pipeline_name=f"{args.prefix}reconcile",
            pipeline_display_name=f"{args.prefix}reconcile",
            pipeline_description="Runs bedplate reconcile; started by event rules.",
            pipeline_definition=document(definition, sort_keys=True),
            role_arn=reconciler.job_role_arn,
            tags=args.tags,
            opts=self._child,
        )

    def _create_start_role(self, reconciler: Reconciler, pipeline: aws.sagemaker.Pipeline) -> pulumi.Output[str]:
        """Creates EventBridge's role, which may only start this pipeline, and returns its ARN."""
        args = self._args
        role = aws.iam.Role(
            "start-reconciler",
            name=f"{args.prefix}start-reconciler",
            description="EventBridge: starts the reconciler",
            assume_role_policy=policy_document(service_trust(args.account_id, "events", self._rule_arns())),
            permissions_boundary=reconciler.boundary_arn,
            tags=args.tags,
            opts=self._child,
        )
        start = policy_document(allow("StartReconciler", "sagemaker:StartPipelineExecution", pipeline.arn))
        policy = aws.iam.RolePolicy(
            "start-reconciler", name="start-reconciler", role=role.name, policy=start, opts=self._child
        )
        return output_after(role.arn, policy.id)

    def _create_dead_letter_queue(self) -> pulumi.Output[str]:
        """Creates the queue of events that could not start a run, which keeps them for 14 days, and returns its ARN."""
        queue = aws.sqs.Queue(
            "dead-letters",
            name=f"{self._args.prefix}dead-letters",
            message_retention_seconds=DEAD_LETTER_RETENTION_S,
            sqs_managed_sse_enabled=True,
            tags=self._args.tags,
            opts=self._child,
        )
        send = allow(
            "UndeliveredEvents",
            "sqs:SendMessage",
            queue.arn,
            {"ArnLike": {"aws:SourceArn": self._rule_arns()}},
            principal={"Service": "events.amazonaws.com"},
        )
        statements = policy_document(send, deny_without_tls("sqs:*", queue.arn))
        policy = aws.sqs.QueuePolicy("dead-letters", queue_url=queue.id, policy=statements, opts=self._child)
        return output_after(queue.arn, policy.id)

    def _rule_arns(self) -> str:
        """Returns the ARN pattern of all event rules of the environment."""
        return f"arn:aws:events:{self._args.region}:{self._args.account_id}:rule/{self._args.prefix}*"


def _definition(
    settings: AutomationSettings, command: list[str], bucket: str, image_uri: str, role_arn: str, kms_key_arn: str
) -> dict[str, object]:
    """Returns a SageMaker pipeline definition (version 2020-12-01) with one parameter and one Processing step."""
    return {
        "Version": "2020-12-01",
        "Parameters": [{"Name": "Reason", "Type": "String", "DefaultValue": "by hand"}],
        "Steps": [
            {
                "Name": "reconcile",
                "Type": "Processing",
                "Arguments": {
                    "AppSpecification": {"ImageUri": image_uri, "ContainerEntrypoint": command},
                    "Environment": {
                        "BEDPLATE_PROJECT": f"{PROJECT}/{SNAPSHOT.rpartition('/')[2]}",
                        "BEDPLATE_ACTOR": "reconciler",
                        "BEDPLATE_REASON": {"Get": "Parameters.Reason"},
                    },
                    "ProcessingInputs": [
                        {
                            "InputName": "project",
                            "S3Input": {
                                "S3Uri": f"s3://{bucket}/{SNAPSHOT}",
                                "LocalPath": PROJECT,
                                "S3DataType": "S3Prefix",
                                "S3InputMode": "File",
                                "S3DataDistributionType": "FullyReplicated",
                            },
                        }
                    ],
                    "ProcessingResources": {
                        "ClusterConfig": {
                            "InstanceType": settings.instance_type,
                            "InstanceCount": 1,
                            "VolumeSizeInGB": 20,
                            "VolumeKmsKeyId": kms_key_arn,
                        }
                    },
                    "RoleArn": role_arn,
                    "StoppingCondition": {"MaxRuntimeInSeconds": settings.max_runtime_s},
                },
            }
        ],
    }


def _reconcile_rules(args: AutomationArgs) -> dict[str, tuple[str, dict[str, object]]]:
    """Returns (description, event pattern) of the rules that start the reconciler, by rule name."""
    return {
        "reconcile-alarms": (
            "One of a model's alarms (errors, latency, drift) went off: reconcile.",
            {
                "source": ["aws.cloudwatch"],
                "detail-type": ["CloudWatch Alarm State Change"],
                "detail": {
                    "alarmName": [
                        alarm for name in args.model_names for alarm in (*name.rollback_alarms, name.drift_alarm)
                    ],
                    "state": {"value": ["ALARM"]},
                },
            },
        ),
        "reconcile-approvals": (
            "A model version was approved or rejected: reconcile.",
            {
                "source": ["aws.sagemaker"],
                "detail-type": ["SageMaker Model Package State Change"],
                "detail": {
                    "ModelPackageGroupName": [{"prefix": args.prefix}],
                    "ModelApprovalStatus": ["Approved", "Rejected"],
                },
            },
        ),
        # AWS Budgets sends no events. CloudTrail records that its action attached a policy; these IAM events exist in
        # us-east-1 only, and only where a trail records them.
        "reconcile-budgets": (
            "A budget's action stopped trainings, or let them go on: reconcile.",
            {
                "source": ["aws.iam"],
                "detail-type": ["AWS API Call via CloudTrail"],
                "detail": {
                    "eventName": ["AttachRolePolicy", "DetachRolePolicy"],
                    "requestParameters": {
                        "policyArn": [{"prefix": f"arn:aws:iam::{args.account_id}:policy/{args.prefix.rstrip('-')}"}],
                        "roleName": [f"{args.prefix}data-scientist"],
                    },
                },
            },
        ),
    }


def _alert_rules(args: AutomationArgs) -> dict[str, tuple[str, dict[str, object]]]:
    """Returns (description, event pattern) of the rules that notify people, by rule name."""
    own_names = [{"prefix": args.prefix}]
    return {
        "guard-alarms": (
            "A release's guard alarm, which the command line makes with the release, went off.",
            {
                "source": ["aws.cloudwatch"],
                "detail-type": ["CloudWatch Alarm State Change"],
                "detail": {
                    "alarmName": [{"prefix": f"{name.base}-v"} for name in args.model_names],
                    "state": {"value": ["ALARM"]},
                },
            },
        ),
        "endpoint-states": (
            "An endpoint failed or is rolling back.",
            {
                "source": ["aws.sagemaker"],
                "detail-type": ["SageMaker Endpoint State Change"],
                "detail": {
                    "EndpointName": own_names,
                    "EndpointStatus": ["FAILED", "ROLLING_BACK", "UPDATE_ROLLBACK_FAILED"],
                },
            },
        ),
        "deployments": (
            "A deployment to an endpoint began, baked, ended or was rolled back.",
            {
                "source": ["aws.sagemaker"],
                "detail-type": ["SageMaker Endpoint Deployment State Change"],
                "detail": {"EndpointName": own_names},
            },
        ),
        "model-packages": (
            "A model version was registered, approved or rejected.",
            {
                "source": ["aws.sagemaker"],
                "detail-type": ["SageMaker Model Package State Change"],
                "detail": {"ModelPackageGroupName": own_names},
            },
        ),
    }
