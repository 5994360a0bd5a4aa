"""Who may do what: the execution role of jobs and endpoints, and a role for each persona (statements: policies.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

import policies
from bedplate.domain import names


@dataclass(frozen=True)
class IdentityArgs:
    project: str
    stack: str
    region: str
    account_id: str
    bucket_arns: Mapping[str, pulumi.Input[str]]
    kms_key_arn: pulumi.Input[str]
    signing_key_arn: pulumi.Input[str]
    repository_arn: pulumi.Input[str]
    tags: Mapping[str, str]


class Identity(pulumi.ComponentResource):
    """Outputs: `execution_role_arn`, `boundary_arn`, `persona_role_arns`. Who uses a role waits for its policies."""

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Identity", name, None, opts)
        prefix = f"{args.project}-{args.stack}"
        boundary = aws.iam.Policy(
            "boundary",
            name=f"{prefix}-boundary",
            description=f"The most that any role of {prefix} can do, whatever its own policies say.",
            policy=self._document(policies.boundary(self._scope(args, ""))),
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.boundary_arn = boundary.arn
        execution = self._role("execution", args, policies.service_trust(args.account_id), boundary)
        execution_arn = self._granted("execution", execution, policies.execution(self._scope(args, "")))
        self.execution_role_arn = execution_arn
        self.persona_role_arns: dict[str, pulumi.Output[str]] = {}
        for persona in names.PERSONAS:
            role = self._role(persona, args, policies.persona_trust(args.account_id, persona), boundary)
            statements = policies.PERSONAS[persona](self._scope(args, execution.arn))
            self.persona_role_arns[persona] = self._granted(persona, role, statements)
        self.register_outputs({"executionRoleArn": self.execution_role_arn, "personaRoleArns": self.persona_role_arns})

    @staticmethod
    def _scope(args: IdentityArgs, execution_role_arn: pulumi.Input[str]) -> policies.Scope:
        return policies.Scope(
            project=args.project,
            stack=args.stack,
            region=args.region,
            account_id=args.account_id,
            bucket_arns=args.bucket_arns,
            kms_key_arn=args.kms_key_arn,
            signing_key_arn=args.signing_key_arn,
            repository_arn=args.repository_arn,
            execution_role_arn=execution_role_arn,
        )

    def _role(self, who: str, args: IdentityArgs, trust: policies.Statement, boundary: aws.iam.Policy) -> aws.iam.Role:
        return aws.iam.Role(
            who,
            name=f"{args.project}-{args.stack}-{who}",
            description=policies.PURPOSE[who],
            assume_role_policy=self._document([trust]),
            permissions_boundary=boundary.arn,
            max_session_duration=3600 if who != "execution" else 43200,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _granted(self, who: str, role: aws.iam.Role, statements: list[policies.Statement]) -> pulumi.Output[str]:
        policy = aws.iam.RolePolicy(
            who, name=who, role=role.name, policy=self._document(statements), opts=pulumi.ResourceOptions(parent=self)
        )
        return pulumi.Output.all(role.arn, policy.id).apply(lambda both: str(both[0]))

    @staticmethod
    def _document(statements: list[policies.Statement]) -> pulumi.Output[str]:
        return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements})
