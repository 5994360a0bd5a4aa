"""Which events reach people, and which start the reconciler."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.domain.names import ModelNames
from bedplate.settings import Automation as AutomationSettings
from documents import document, policy_document

PROJECT = "/opt/ml/processing/input/project"
SNAPSHOT = "project/snapshot.tar.gz"
DEAD_LETTERS_KEPT_S = 14 * 24 * 3600  # the longest that SQS keeps a message


@dataclass(frozen=True)
class Reconciler:
    """What a run of `bedplate reconcile` on SageMaker needs."""

    snapshot: str
    """The project as base64 of a tar.gz: see snapshot.py."""
    artifacts_bucket: pulumi.Input[str]
    image_uri: pulumi.Input[str]
    job_role_arn: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]
    boundary_arn: pulumi.Input[str]
    settings: AutomationSettings


@dataclass(frozen=True)
class AutomationArgs:
    prefix: str
    """Of everything in this environment: `<project>-<stack>-`."""
    stack: str
    region: str
    account_id: str
    model_names: Sequence[ModelNames]
    alerts_topic_arn: pulumi.Input[str]
    reconciler: Reconciler | None
    """None: events reach people and start nothing."""
    tags: Mapping[str, str]


class Automation(pulumi.ComponentResource):
    """EventBridge rules to the alerts topic, and to the reconciler. The platform's own alarms publish to the topic
    themselves and have no rule there."""

    def __init__(self, name: str, args: AutomationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Automation", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        for rule_name, (description, pattern) in _rules(args).items():
            rule = self._rule(rule_name, description, pattern)
            aws.cloudwatch.EventTarget(
                rule_name, rule=rule.name, target_id="alerts", arn=args.alerts_topic_arn, opts=self._child
            )
        if args.reconciler:
            self._reconcile(args.reconciler)
        self.register_outputs({})

    def _rule(self, name: str, description: str, pattern: dict[str, object]) -> aws.cloudwatch.EventRule:
        return aws.cloudwatch.EventRule(
            name,
            name=f"{self._args.prefix}{name}",
            description=description,
            event_pattern=json.dumps(pattern, sort_keys=True),
            tags=self._args.tags,
            opts=self._child,
        )

    def _reconcile(self, wanted: Reconciler) -> None:
        """A pipeline of one step that runs `bedplate reconcile` in the image, and the rules that start it."""
        args = self._args
        pipeline = self._pipeline(wanted)
        role_arn, letters = self._starter(wanted, pipeline), self._dead_letters()
        for rule_name, (description, pattern) in _triggers(args).items():
            rule = self._rule(rule_name, description, pattern)
            aws.cloudwatch.EventTarget(
                rule_name,
                rule=rule.name,
                target_id="reconciler",
                arn=pipeline.arn,
                role_arn=role_arn,
                sagemaker_pipeline_target={"pipeline_parameter_lists": [{"name": "Reason", "value": rule_name}]},
                dead_letter_config={"arn": letters},
                retry_policy={"maximum_event_age_in_seconds": 3600, "maximum_retry_attempts": 10},
                opts=self._child,
            )

    def _pipeline(self, wanted: Reconciler) -> aws.sagemaker.Pipeline:
        args = self._args
        project = aws.s3.BucketObjectv2(
            "project",
            bucket=wanted.artifacts_bucket,
            key=SNAPSHOT,
            content_base64=wanted.snapshot,
            content_type="application/gzip",
            tags=dict(list(args.tags.items())[:10]),  # S3 gives an object ten tags at most
            opts=self._child,
        )
        command = ["python", "-m", "bedplate", "reconcile", "--stack", args.stack, "--yes"]
        known = pulumi.Output.all(project.bucket, wanted.image_uri, wanted.job_role_arn, wanted.kms_key_arn)
        definition = known.apply(lambda all_: _definition(wanted.settings, command, *all_))
        return aws.sagemaker.Pipeline(
            "reconcile",
            pipeline_name=f"{args.prefix}reconcile",
            pipeline_display_name=f"{args.prefix}reconcile",
            pipeline_description="Brings what runs to what was approved; started by event rules.",
            pipeline_definition=document(definition, sort_keys=True),
            role_arn=wanted.job_role_arn,
            tags=args.tags,
            opts=self._child,
        )

    def _starter(self, wanted: Reconciler, pipeline: aws.sagemaker.Pipeline) -> pulumi.Output[str]:
        """EventBridge's role: may start this pipeline, and nothing else."""
        args = self._args
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": args.account_id},
                "ArnLike": {"aws:SourceArn": f"arn:aws:events:{args.region}:{args.account_id}:rule/{args.prefix}*"},
            },
        }
        role = aws.iam.Role(
            "start-reconciler",
            name=f"{args.prefix}start-reconciler",
            description="EventBridge: starts the reconciler",
            assume_role_policy=policy_document(trust),
            permissions_boundary=wanted.boundary_arn,
            tags=args.tags,
            opts=self._child,
        )
        start = {
            "Sid": "StartReconciler",
            "Effect": "Allow",
            "Action": "sagemaker:StartPipelineExecution",
            "Resource": pipeline.arn,
        }
        policy = aws.iam.RolePolicy(
            "start-reconciler", name="start-reconciler", role=role.name, policy=policy_document(start), opts=self._child
        )
        return pulumi.Output.all(role.arn, policy.id).apply(lambda both: str(both[0]))

    def _dead_letters(self) -> pulumi.Output[str]:
        """Events that could not start a run, for fourteen days."""
        args = self._args
        queue = aws.sqs.Queue(
            "dead-letters",
            name=f"{args.prefix}dead-letters",
            message_retention_seconds=DEAD_LETTERS_KEPT_S,
            sqs_managed_sse_enabled=True,
            tags=args.tags,
            opts=self._child,
        )
        rules = f"arn:aws:events:{args.region}:{args.account_id}:rule/{args.prefix}*"
        send = {
            "Sid": "EventsThatNobodyTook",
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue.arn,
            "Condition": {"ArnLike": {"aws:SourceArn": rules}},
        }
        tls_only = {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": queue.arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        policy = aws.sqs.QueuePolicy(
            "dead-letters", queue_url=queue.id, policy=policy_document(send, tls_only), opts=self._child
        )
        return pulumi.Output.all(queue.arn, policy.id).apply(lambda both: str(both[0]))


def _definition(
    settings: AutomationSettings, command: list[str], bucket: str, image_uri: str, role_arn: str, kms_key_arn: str
) -> dict[str, object]:
    """SageMaker's pipeline definition, version 2020-12-01: one parameter, one Processing step."""
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


def _triggers(args: AutomationArgs) -> dict[str, tuple[str, dict[str, object]]]:
    """Which events start the reconciler."""
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
        # AWS Budgets sends no events of its own; that its action attached a policy stands in CloudTrail, whose events
        # of IAM exist in us-east-1 only, and only where a trail records.
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


def _rules(args: AutomationArgs) -> dict[str, tuple[str, dict[str, object]]]:
    ours = [{"prefix": args.prefix}]
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
                    "EndpointName": ours,
                    "EndpointStatus": ["FAILED", "ROLLING_BACK", "UPDATE_ROLLBACK_FAILED"],
                },
            },
        ),
        "deployments": (
            "A deployment to an endpoint began, baked, ended or was rolled back.",
            {
                "source": ["aws.sagemaker"],
                "detail-type": ["SageMaker Endpoint Deployment State Change"],
                "detail": {"EndpointName": ours},
            },
        ),
        "model-packages": (
            "A model version was registered, approved or rejected.",
            {
                "source": ["aws.sagemaker"],
                "detail-type": ["SageMaker Model Package State Change"],
                "detail": {"ModelPackageGroupName": ours},
            },
        ),
    }
