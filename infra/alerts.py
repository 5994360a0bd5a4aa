"""How people are told: one encrypted SNS topic with e-mail subscriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from documents import document


@dataclass(frozen=True)
class AlertsArgs:
    name: str
    region: str
    account_id: str
    emails: Sequence[str]
    kms_key_arn: pulumi.Input[str]
    tags: Mapping[str, str]


class Alerts(pulumi.ComponentResource):
    """Output: `topic_arn`, known to work for publishers only once the topic's policy stands."""

    def __init__(self, name: str, args: AlertsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Alerts", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        topic = aws.sns.Topic("alerts", name=args.name, kms_master_key_id=args.kms_key_arn, tags=args.tags, opts=child)
        policy = aws.sns.TopicPolicy(
            "alerts", arn=topic.arn, policy=document(_topic_policy(topic.arn, args)), opts=child
        )
        for email in args.emails:  # AWS sends each a mail that must be confirmed once
            aws.sns.TopicSubscription(email, topic=topic.arn, protocol="email", endpoint=email, opts=child)
        self.topic_arn = policy.arn  # the policy's, so that whoever publishes waits for it
        self.register_outputs({"topicArn": self.topic_arn})


def _topic_policy(topic_arn: pulumi.Output[str], args: AlertsArgs) -> dict[str, object]:
    """Only this account's alarms, budgets and event rules publish, and only over TLS."""
    account, region = args.account_id, args.region
    sources = {
        "cloudwatch.amazonaws.com": f"arn:aws:cloudwatch:{region}:{account}:alarm:*",
        "budgets.amazonaws.com": f"arn:aws:budgets::{account}:*",
        "costalerts.amazonaws.com": f"arn:aws:ce::{account}:*",
        "events.amazonaws.com": f"arn:aws:events:{region}:{account}:rule/*",
    }
    publishers = [
        {
            "Sid": f"PublishFrom{service.split('.')[0].title()}",
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {"ArnLike": {"aws:SourceArn": source}},
        }
        for service, source in sources.items()
    ]
    tls_only = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sns:Publish",
        "Resource": topic_arn,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [*publishers, tls_only]}
