"""The alerts topic: one encrypted SNS topic with a subscription for every e-mail address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from iam import Statement, allow, deny_without_tls, policy_document


@dataclass(frozen=True)
class AlertsArgs:
    """`name` is the topic's name; each of `emails` gets a subscription."""

    name: str
    region: str
    account_id: str
    emails: Sequence[str]
    kms_key_arn: pulumi.Input[str]
    tags: Mapping[str, str]


class Alerts(pulumi.ComponentResource):
    """Outputs: `topic_arn`, which is the policy's output, so that publishers are created after the topic's policy."""

    def __init__(self, name: str, args: AlertsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Alerts", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        topic = aws.sns.Topic("alerts", name=args.name, kms_master_key_id=args.kms_key_arn, tags=args.tags, opts=child)
        statements = policy_document(*_publishers(topic.arn, args), deny_without_tls("sns:Publish", topic.arn))
        policy = aws.sns.TopicPolicy("alerts", arn=topic.arn, policy=statements, opts=child)
        for email in args.emails:  # SNS sends alerts to an address only after its owner confirmed SNS's first e-mail
            aws.sns.TopicSubscription(email, topic=topic.arn, protocol="email", endpoint=email, opts=child)
        self.topic_arn = policy.arn
        self.register_outputs({"topicArn": self.topic_arn})


def _publishers(topic_arn: pulumi.Output[str], args: AlertsArgs) -> list[Statement]:
    """Returns statements that allow this account's alarms, budgets, cost anomalies and event rules to publish.

    The source ARN is required because the services publish for every account (the confused-deputy problem).
    """
    account, region = args.account_id, args.region
    sources = {
        "cloudwatch": f"arn:aws:cloudwatch:{region}:{account}:alarm:*",
        "budgets": f"arn:aws:budgets::{account}:*",
        "costalerts": f"arn:aws:ce::{account}:*",
        "events": f"arn:aws:events:{region}:{account}:rule/*",
    }
    return [
        allow(
            f"PublishFrom{service.title()}",
            "sns:Publish",
            topic_arn,
            {"ArnLike": {"aws:SourceArn": source}},
            principal={"Service": f"{service}.amazonaws.com"},
        )
        for service, source in sources.items()
    ]
