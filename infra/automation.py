"""Which events reach people: a guard alarm, a deployment or endpoint in trouble, a model version's approval."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.domain.names import ModelNames


@dataclass(frozen=True)
class AutomationArgs:
    prefix: str
    """Of everything in this environment: `<project>-<stack>-`."""
    model_names: Sequence[ModelNames]
    alerts_topic_arn: pulumi.Input[str]
    tags: Mapping[str, str]


class Automation(pulumi.ComponentResource):
    """EventBridge rules to the alerts topic. The platform's own alarms publish there themselves and have no rule."""

    def __init__(self, name: str, args: AutomationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Automation", name, None, opts)
        for rule_name, (description, pattern) in _rules(args).items():
            rule = aws.cloudwatch.EventRule(
                rule_name,
                name=f"{args.prefix}{rule_name}",
                description=description,
                event_pattern=json.dumps(pattern, sort_keys=True),
                tags=args.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
            aws.cloudwatch.EventTarget(
                rule_name,
                rule=rule.name,
                target_id="alerts",
                arn=args.alerts_topic_arn,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})


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
