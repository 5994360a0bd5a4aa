"""IAM building blocks: policy statements, trust policies, and the ARNs of one environment's resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from bedplate.domain import names
from outputs import document

Statement = dict[str, Any]
PERSONA_TAG = "bedplate-persona"


def allow(
    sid: str, action: str | list[str], resource: Any, condition: Statement | None = None, *, principal: Any = None
) -> Statement:
    """Returns an Allow statement; `principal` is for policies of resources, which ECR attaches without a resource."""
    return _statement("Allow", sid, action, resource, condition, principal)


def deny(
    sid: str, action: str | list[str], resource: Any, condition: Statement | None = None, *, principal: Any = None
) -> Statement:
    """Returns a Deny statement, which overrides every Allow."""
    return _statement("Deny", sid, action, resource, condition, principal)


def deny_without_tls(action: str, resource: Any) -> Statement:
    """Returns the statement of a resource's policy that denies all requests without TLS."""
    return deny("TlsOnly", action, resource, {"Bool": {"aws:SecureTransport": "false"}}, principal="*")


def _statement(effect: str, sid: str, action: Any, resource: Any, condition: Any, principal: Any) -> Statement:
    optional = {"Principal": principal, "Resource": resource, "Condition": condition}
    return {
        "Sid": sid,
        "Effect": effect,
        "Action": action,
        **{key: value for key, value in optional.items() if value is not None},
    }


def policy_document(*statements: Mapping[str, Any]) -> pulumi.Output[str]:
    """Returns the JSON text of a policy with these statements."""
    return document({"Version": "2012-10-17", "Statement": list(statements)})


def service_trust(account_id: str, service: str = "sagemaker", source_arn: str | None = None) -> Statement:
    """Returns a trust policy for an AWS service, which may act for this account only (the confused-deputy guard)."""
    condition: Statement = {"StringEquals": {"aws:SourceAccount": account_id}}
    return {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {**condition, "ArnLike": {"aws:SourceArn": source_arn}} if source_arn else condition,
    }


def persona_trust(account_id: str, persona: str) -> Statement:
    """Returns a trust policy for this account's principals with the persona's tag, which the identity provider sets."""
    return {
        "Effect": "Allow",
        "Principal": {"AWS": account_root(account_id)},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {f"aws:PrincipalTag/{PERSONA_TAG}": persona}},
    }


def account_root(account_id: str) -> str:
    """Returns the ARN that stands for a whole account, whose own IAM policies then decide."""
    return f"arn:aws:iam::{account_id}:root"


@dataclass(frozen=True)
class Scope:
    """The resources of one environment that statements may name."""

    project: str
    stack: str
    region: str
    account_id: str
    bucket_arns: Mapping[str, pulumi.Input[str]]
    """By purpose: artifacts, data, capture, ledger."""
    kms_key_arn: pulumi.Input[str]
    signing_key_arn: pulumi.Input[str]
    repository_arn: pulumi.Input[str]
    in_network: bool
    """Whether jobs and endpoints run in subnets of this account."""

    @property
    def prefix(self) -> str:
        """What the name of every resource of the environment begins with."""
        return f"{self.project}-{self.stack}"

    @property
    def execution_roles(self) -> str:
        """ARN pattern of the execution roles of all models, see names.ModelNames.execution_role."""
        return f"arn:aws:iam::{self.account_id}:role/{self.prefix}.*"

    @property
    def all_roles(self) -> list[str]:
        return [f"arn:aws:iam::{self.account_id}:role/{self.prefix}-*", self.execution_roles]

    @property
    def trail_arn(self) -> str:
        return names.trail_arn(self.project, self.stack, self.region, self.account_id)

    @property
    def audit_buckets(self) -> list[str]:
        """ARNs of the buckets of access logs and of the trail, and of their objects."""
        buckets = [names.bucket(self.project, self.stack, purpose, self.account_id) for purpose in ("logs", "trail")]
        return [f"arn:aws:s3:::{bucket}{suffix}" for bucket in buckets for suffix in ("", "/*")]

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"

    def sagemaker(self, *resource_types: str) -> list[str]:
        """Returns ARN patterns of all SageMaker resources of these types with the environment's prefix."""
        return [self.arn("sagemaker", f"{resource_type}/{self.prefix}-*") for resource_type in resource_types]

    def buckets(self, *purposes: str) -> list[pulumi.Input[str]]:
        return [self.bucket_arns[purpose] for purpose in purposes]

    def objects(self, *purposes: str, key: str = "*") -> list[pulumi.Input[str]]:
        return [pulumi.Output.concat(self.bucket_arns[purpose], "/", key) for purpose in purposes]
