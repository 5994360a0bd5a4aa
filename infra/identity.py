"""Who may do what: an execution role for each model (execution.py) and a role for each persona (policies.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

import boundary as ceiling
import execution
import policies
from bedplate.domain import names
from documents import policy_document


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
    models: Mapping[str, tuple[names.ModelNames, Mapping[str, str]]]
    """Names and tags of every model: each has an execution role of its own."""
    in_network: bool
    """Whether jobs and endpoints run in subnets of this account."""
    tags: Mapping[str, str]


class Identity(pulumi.ComponentResource):
    """Outputs: `execution_role_arns` by model, `boundary_arn`, `persona_role_arns`. Who uses a role waits for its
    policies."""

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Identity", name, None, opts)
        prefix = f"{args.project}-{args.stack}"
        boundary = aws.iam.Policy(
            "boundary",
            name=f"{prefix}-boundary",
            description=f"The most that any role of {prefix} can do, whatever its own policies say.",
            policy=policy_document(*ceiling.statements(self._scope(args))),
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.boundary_arn = boundary.arn
        self._args, self._boundary = args, boundary
        scope = self._scope(args)
        self.execution_role_arns: dict[str, pulumi.Output[str]] = {}
        for model, (of, model_tags) in args.models.items():
            role = self._role(
                f"execution-{model}",
                of.execution_role,
                f"SageMaker: training, processing, monitoring and serving of {model}",
                policies.service_trust(args.account_id),
                boundary,
                model_tags,
                hours=12,
            )
            self.execution_role_arns[model] = self._granted("execution", model, role, execution.statements(scope, of))
        self.persona_role_arns: dict[str, pulumi.Output[str]] = {}
        for persona in names.PERSONAS:
            trust = policies.persona_trust(args.account_id, persona)
            role = self._role(persona, f"{prefix}-{persona}", policies.PURPOSE[persona], trust, boundary, args.tags)
            statements = policies.PERSONAS[persona](scope)
            self.persona_role_arns[persona] = self._granted(persona, "", role, statements)
        self.register_outputs(
            {"executionRoleArns": self.execution_role_arns, "personaRoleArns": self.persona_role_arns}
        )

    def reconcile_job_role_arn(self) -> pulumi.Output[str]:
        """The reconciler as a job: what the persona may, and what its container needs. Made when it is asked for."""
        args, who = self._args, "reconcile-job"
        role = self._role(
            who,
            f"{args.project}-{args.stack}-{who}",
            policies.PURPOSE[who],
            policies.service_trust(args.account_id),
            self._boundary,
            args.tags,
            hours=12,
        )
        scope = self._scope(args)
        acting = self._granted(who, "", role, policies.reconciler(scope))
        running = self._granted(f"{who}-container", "", role, execution.running(scope, "ProcessingJobs"))
        return pulumi.Output.all(acting, running).apply(lambda both: str(both[0]))

    @staticmethod
    def _scope(args: IdentityArgs) -> policies.Scope:
        return policies.Scope(
            project=args.project,
            stack=args.stack,
            region=args.region,
            account_id=args.account_id,
            bucket_arns=args.bucket_arns,
            kms_key_arn=args.kms_key_arn,
            signing_key_arn=args.signing_key_arn,
            repository_arn=args.repository_arn,
            in_network=args.in_network,
        )

    def _role(
        self,
        who: str,
        name: str,
        purpose: str,
        trust: policies.Statement,
        boundary: aws.iam.Policy,
        tags: Mapping[str, str],
        hours: int = 1,
    ) -> aws.iam.Role:
        return aws.iam.Role(
            who,
            name=name,
            description=purpose,
            assume_role_policy=policy_document(trust),
            permissions_boundary=boundary.arn,
            max_session_duration=hours * 3600,
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _granted(
        self, who: str, model: str, role: aws.iam.Role, statements: list[policies.Statement]
    ) -> pulumi.Output[str]:
        policy = aws.iam.RolePolicy(
            f"{who}-{model}" if model else who,
            name=who,
            role=role.name,
            policy=policy_document(*statements),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return pulumi.Output.all(role.arn, policy.id).apply(lambda both: str(both[0]))
