"""IAM roles: one execution role per model (execution.py) and one role per persona (personas/), under one boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

import boundary
import execution
import iam
from bedplate.domain import names
from outputs import output_after
from personas import PERSONAS


@dataclass(frozen=True)
class IdentityArgs:
    scope: iam.Scope
    models: Mapping[str, tuple[names.ModelNames, Mapping[str, str]]]
    """Names and tags of every model; each has its own execution role."""
    tags: Mapping[str, str]


class Identity(pulumi.ComponentResource):
    """Outputs: `execution_role_arns` by model, `boundary_arn`, `persona_role_arns`.

    The ARN of a role becomes known after its policies are attached.
    """

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Identity", name, None, opts)
        self._scope, self._tags, self._child = args.scope, args.tags, pulumi.ResourceOptions(parent=self)
        scope = args.scope
        policy = aws.iam.Policy(
            "boundary",
            name=f"{scope.prefix}-boundary",
            description=f"Permissions boundary of every role of {scope.prefix}",
            policy=iam.policy_document(*boundary.statements(scope)),
            tags=args.tags,
            opts=self._child,
        )
        self.boundary_arn = policy.arn
        self.execution_role_arns: dict[str, pulumi.Output[str]] = {}
        for model, (model_names, model_tags) in args.models.items():
            role = self._service_role(
                f"execution-{model}",
                model_names.execution_role,
                f"SageMaker: training, processing, monitoring and serving of {model}",
                model_tags,
            )
            attached = self._attach(f"execution-{model}", "execution", role, execution.statements(scope, model_names))
            self.execution_role_arns[model] = output_after(role.arn, attached.id)
        self.persona_role_arns: dict[str, pulumi.Output[str]] = {}
        for name in names.PERSONAS:
            trust = iam.persona_trust(scope.account_id, name)
            role = self._role(name, f"{scope.prefix}-{name}", PERSONAS[name].purpose, trust, args.tags, hours=1)
            attached = self._attach(name, name, role, PERSONAS[name].statements(scope))
            self.persona_role_arns[name] = output_after(role.arn, attached.id)
        self.register_outputs(
            {"executionRoleArns": self.execution_role_arns, "personaRoleArns": self.persona_role_arns}
        )

    def create_reconcile_job_role(self) -> pulumi.Output[str]:
        """Creates the role of the reconciler's processing job and returns its ARN.

        It may do what the persona `reconciler` may, and what its container needs.
        """
        scope, name = self._scope, "reconcile-job"
        purpose = "The reconciler as a SageMaker job, started by events"
        role = self._service_role(name, f"{scope.prefix}-{name}", purpose, self._tags)
        container = execution.container_statements(scope, "ProcessingJobs")
        policies = (
            self._attach(name, name, role, PERSONAS["reconciler"].statements(scope)),
            self._attach(f"{name}-container", f"{name}-container", role, container),
        )
        return output_after(role.arn, *(policy.id for policy in policies))

    def _service_role(self, resource: str, name: str, description: str, tags: Mapping[str, str]) -> aws.iam.Role:
        """Creates a role that SageMaker assumes; its sessions last up to 12 hours, as long as a job may run."""
        trust = iam.service_trust(self._scope.account_id)
        return self._role(resource, name, description, trust, tags, hours=12)

    def _role(
        self, resource: str, name: str, description: str, trust: iam.Statement, tags: Mapping[str, str], hours: int
    ) -> aws.iam.Role:
        return aws.iam.Role(
            resource,
            name=name,
            description=description,
            assume_role_policy=iam.policy_document(trust),
            permissions_boundary=self.boundary_arn,
            max_session_duration=hours * 3600,
            tags=tags,
            opts=self._child,
        )

    def _attach(
        self, resource: str, name: str, role: aws.iam.Role, statements: list[iam.Statement]
    ) -> aws.iam.RolePolicy:
        policy = iam.policy_document(*statements)
        return aws.iam.RolePolicy(resource, name=name, role=role.name, policy=policy, opts=self._child)
