"""Who is told before the money is gone, and what stops when it is: budgets by model and stage, and actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.domain.names import stage_budget
from bedplate.settings import Budget, CostAnomalies, LifeStage, PlatformBudget
from documents import document, policy_document

STOPPED = ["sagemaker:CreateTrainingJob", "sagemaker:CreateHyperParameterTuningJob"]
"""Not processing jobs: a rollback re-scores by one, and no budget may stand between a bad release and its end."""
USAGE: dict[LifeStage, tuple[str, list[str]]] = {
    "training": ("USAGE_TYPE", ["Train:"]),
    "monitoring": ("USAGE_TYPE", ["Processing:"]),
    "endpoints": ("USAGE_TYPE", ["Host:", "ServerlessInf"]),
    "storage": ("SERVICE", ["Amazon Simple Storage Service"]),
}
"""What a stage is called on the bill: a dimension of Cost Explorer, and words in it."""


@dataclass(frozen=True)
class BudgetsArgs:
    project: str
    stack: str
    account_id: str
    platform_name: str
    platform: PlatformBudget
    models: Mapping[str, tuple[str, Budget]]
    """Model -> name of its budget, and the budget."""
    anomalies: CostAnomalies
    emails: Sequence[str]
    alerts_topic_arn: pulumi.Input[str]
    trainer_role_arns: Sequence[pulumi.Input[str]]
    """Roles that start trainings: what an action denies, it denies to them."""
    boundary_arn: pulumi.Input[str]
    platform_tags: Mapping[str, str]
    model_tags: Mapping[str, Mapping[str, str]]


class Budgets(pulumi.ComponentResource):
    """Output: `platform_budget`. Spend is found by cost-allocation tag: Project and Model must be active in billing."""

    def __init__(self, name: str, args: BudgetsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Budgets", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        stops = [b for b in (args.platform, *(b for _, b in args.models.values())) if b.stop_training_at_pct]
        self._action_role_arn = self._action_role() if stops else None
        project = {"Project": args.project}
        platform = self._budgets(args.platform_name, args.platform, project, args.platform_tags)
        for model, (budget_name, budget) in args.models.items():
            self._budgets(budget_name, budget, {"Model": model}, args.model_tags[model])
        if args.anomalies.enabled:
            self._anomalies()
        self.platform_budget = platform.name
        self.register_outputs({"platformBudget": self.platform_budget})

    def _budgets(
        self, name: str, budget: PlatformBudget, of: Mapping[str, str], tags: Mapping[str, str]
    ) -> aws.budgets.Budget:
        """The whole budget, one for each stage that has a limit of its own, and what stops trainings."""
        whole = self._budget(name, budget.monthly_usd, budget, of, None, tags)
        stopping = [whole]
        for stage, usd in budget.stages.items():
            part = self._budget(stage_budget(name, stage), usd, budget, of, stage, tags)
            if stage == "training":
                stopping.append(part)
        if budget.stop_training_at_pct:
            policy = self._stop_policy(name, of, tags)
            for each in stopping:
                self._action(each, budget.stop_training_at_pct, policy, tags)
        return whole

    def _budget(
        self,
        name: str,
        limit_usd: float,
        budget: PlatformBudget,
        of: Mapping[str, str],
        stage: LifeStage | None,
        tags: Mapping[str, str],
    ) -> aws.budgets.Budget:
        thresholds = [("ACTUAL", pct) for pct in budget.actual_thresholds_pct]
        thresholds += [("FORECASTED", pct) for pct in budget.forecast_thresholds_pct]
        ((key, value),) = of.items()
        counted: aws.budgets.BudgetArgsDict = (  # type: ignore[assignment]
            {"cost_filters": [{"name": "TagKeyValue", "values": [f"user:{key}${value}"]}]}
            if stage is None
            else {"filter_expression": _expression(key, value, stage), "metrics": "UnblendedCost"}
        )
        return aws.budgets.Budget(
            name,
            name=name,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=f"{limit_usd:.2f}",
            limit_unit="USD",
            **counted,
            notifications=[
                {
                    "notification_type": kind,
                    "comparison_operator": "GREATER_THAN",
                    "threshold": pct,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_sns_topic_arns": [self._args.alerts_topic_arn],
                    "subscriber_email_addresses": list(self._args.emails),
                }
                for kind, pct in thresholds
            ],
            tags=tags,
            opts=self._child,
        )

    # --- what stops -------------------------------------------------------------------------------------------------

    def _action_role(self) -> pulumi.Output[str]:
        """Budgets' own role: it attaches and detaches the policies below to the trainers' roles, nothing else."""
        args = self._args
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "budgets.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": args.account_id},
                "ArnLike": {"aws:SourceArn": f"arn:aws:budgets::{args.account_id}:budget/{args.platform_name}*"},
            },
        }
        role = aws.iam.Role(
            "budget-actions",
            name=f"{args.platform_name}-budget-actions",
            description="AWS Budgets: stops new trainings when a budget is used up",
            assume_role_policy=policy_document(trust),
            permissions_boundary=args.boundary_arn,
            tags=args.platform_tags,
            opts=self._child,
        )
        policies = f"arn:aws:iam::{args.account_id}:policy/{args.platform_name}*-stop-training"
        policy = aws.iam.RolePolicy(
            "budget-actions",
            name="budget-actions",
            role=role.name,
            policy=policy_document(
                {
                    "Sid": "StopAndResume",
                    "Effect": "Allow",
                    "Action": ["iam:AttachRolePolicy", "iam:DetachRolePolicy"],
                    "Resource": list(args.trainer_role_arns),
                    "Condition": {"ArnLike": {"iam:PolicyARN": policies}},
                }
            ),
            opts=self._child,
        )
        return pulumi.Output.all(role.arn, policy.id).apply(lambda both: str(both[0]))

    def _stop_policy(self, name: str, of: Mapping[str, str], tags: Mapping[str, str]) -> aws.iam.Policy:
        """Denies what begins a training: of one model by the tag that every job carries, of the platform by name."""
        args = self._args
        ours = f"arn:aws:sagemaker:*:{args.account_id}:{{}}/{args.platform_name}-*"
        statement: dict[str, object] = {
            "Sid": "BudgetUsedUp",
            "Effect": "Deny",
            "Action": STOPPED,
            "Resource": [ours.format(kind) for kind in ("training-job", "hyper-parameter-tuning-job")],
        }
        if "Model" in of:
            statement["Condition"] = {"StringEquals": {"aws:RequestTag/Model": of["Model"]}}
        return aws.iam.Policy(
            f"{name}-stop-training",
            name=f"{name}-stop-training",
            description=f"Attached by budget {name} when it is used up: no new trainings.",
            policy=policy_document(statement),
            tags=tags,
            opts=self._child,
        )

    def _action(
        self, budget: aws.budgets.Budget, at_pct: float, policy: aws.iam.Policy, tags: Mapping[str, str]
    ) -> None:
        args = self._args
        subscribers = [{"subscription_type": "SNS", "address": args.alerts_topic_arn}]
        subscribers += [{"subscription_type": "EMAIL", "address": email} for email in args.emails[:10]]
        aws.budgets.BudgetAction(
            budget._name,
            budget_name=budget.name,
            action_type="APPLY_IAM_POLICY",
            approval_model="AUTOMATIC",
            notification_type="ACTUAL",
            action_threshold={"action_threshold_type": "PERCENTAGE", "action_threshold_value": at_pct},
            definition={
                "iam_action_definition": {
                    "policy_arn": policy.arn,
                    "roles": [_role_name(arn) for arn in args.trainer_role_arns],
                }
            },
            execution_role_arn=self._action_role_arn,
            subscribers=subscribers,
            tags=tags,
            opts=self._child,
        )

    # --- anomalies --------------------------------------------------------------------------------------------------

    def _anomalies(self) -> None:
        """One detector for all that carries the project's tag. Immediate alerts are possible to a topic only."""
        args = self._args
        watched = {"Tags": {"Key": "Project", "Values": [args.project], "MatchOptions": ["EQUALS"]}}
        monitor = aws.costexplorer.AnomalyMonitor(
            "cost-anomalies",
            name=f"{args.platform_name}-cost-anomalies",
            monitor_type="CUSTOM",
            monitor_specification=document(watched, sort_keys=True),
            tags=args.platform_tags,
            opts=self._child,
        )
        aws.costexplorer.AnomalySubscription(
            "cost-anomalies",
            name=f"{args.platform_name}-cost-anomalies",
            frequency="IMMEDIATE",
            monitor_arn_lists=[monitor.arn],
            subscribers=[{"type": "SNS", "address": args.alerts_topic_arn}],
            threshold_expression={
                "dimension": {
                    "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                    "values": [f"{args.anomalies.min_impact_usd:g}"],
                    "match_options": ["GREATER_THAN_OR_EQUAL"],
                }
            },
            tags=args.platform_tags,
            opts=self._child,
        )


def _expression(key: str, value: str, stage: LifeStage) -> aws.budgets.BudgetFilterExpressionArgsDict:
    """What carries the tag and is of this stage."""
    dimension, words = USAGE[stage]
    match = "CONTAINS" if dimension == "USAGE_TYPE" else "EQUALS"
    return {
        "ands": [
            {"tags": {"key": f"user:{key}", "values": [value], "match_options": ["EQUALS"]}},
            {"dimensions": {"key": dimension, "values": words, "match_options": [match]}},
        ]
    }


def _role_name(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.from_input(arn).apply(lambda known: known.rsplit("/", 1)[-1])
