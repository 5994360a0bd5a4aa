"""AWS Budgets by environment, model and stage, their alerts, the actions that stop trainings, and cost anomalies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.domain.names import stage_budget
from bedplate.settings import Budget, CostAnomalies, LifeStage, PlatformBudget
from iam import allow, deny, policy_document, service_trust
from outputs import document, output_after

TRAINING_ACTIONS = ["sagemaker:CreateTrainingJob", "sagemaker:CreateHyperParameterTuningJob"]
"""Denied when a budget is exhausted. Processing jobs stay allowed, because a rollback scores its target with one."""
STAGE_DIMENSIONS: dict[LifeStage, tuple[str, list[str]]] = {
    "training": ("USAGE_TYPE", ["Train:"]),
    "monitoring": ("USAGE_TYPE", ["Processing:"]),
    "endpoints": ("USAGE_TYPE", ["Host:", "ServerlessInf"]),
    "storage": ("SERVICE", ["Amazon Simple Storage Service"]),
}
"""By stage: the dimension of Cost Explorer that tells its spend apart, and the values of the dimension."""


@dataclass(frozen=True)
class BudgetsArgs:
    project: str
    stack: str
    account_id: str
    platform_name: str
    platform: PlatformBudget
    models: Mapping[str, tuple[str, Budget]]
    """By model: the name of its budget, and the budget."""
    anomalies: CostAnomalies
    emails: Sequence[str]
    alerts_topic_arn: pulumi.Input[str]
    trainer_role_arns: Sequence[pulumi.Input[str]]
    """Roles that start trainings; a budget action attaches its policy to them."""
    boundary_arn: pulumi.Input[str]
    platform_tags: Mapping[str, str]
    model_tags: Mapping[str, Mapping[str, str]]


class Budgets(pulumi.ComponentResource):
    """Output: `platform_budget`. Budgets filter by the cost-allocation tags Project and Model, which must be active."""

    def __init__(self, name: str, args: BudgetsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Budgets", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        budgets = (args.platform, *(budget for _, budget in args.models.values()))
        has_actions = any(budget.stop_training_at_pct for budget in budgets)
        self._action_role_arn = self._create_action_role() if has_actions else None
        platform = self._create_budgets(
            args.platform_name, args.platform, ("Project", args.project), args.platform_tags
        )
        for model, (budget_name, budget) in args.models.items():
            self._create_budgets(budget_name, budget, ("Model", model), args.model_tags[model])
        if args.anomalies.enabled:
            self._create_anomaly_detection()
        self.platform_budget = platform.name
        self.register_outputs({"platformBudget": self.platform_budget})

    def _create_budgets(
        self, name: str, budget: PlatformBudget, tag: tuple[str, str], tags: Mapping[str, str]
    ) -> aws.budgets.Budget:
        """Creates the budget for spend with `tag`, one per stage with its own limit, and the actions. Returns the
        first.

        The whole budget and the training stage's stop trainings.
        """
        whole = self._create_budget(name, budget.monthly_usd, budget, tag, None, tags)
        with_action = [whole]
        for stage, usd in budget.stages.items():
            stage_resource = self._create_budget(stage_budget(name, stage), usd, budget, tag, stage, tags)
            if stage == "training":
                with_action.append(stage_resource)
        if budget.stop_training_at_pct:
            policy = self._create_stop_policy(name, tag, tags)
            for resource in with_action:
                self._create_action(resource, budget.stop_training_at_pct, policy, tags)
        return whole

    def _create_budget(
        self,
        name: str,
        limit_usd: float,
        budget: PlatformBudget,
        tag: tuple[str, str],
        stage: LifeStage | None,
        tags: Mapping[str, str],
    ) -> aws.budgets.Budget:
        thresholds = [("ACTUAL", pct) for pct in budget.actual_thresholds_pct]
        thresholds += [("FORECASTED", pct) for pct in budget.forecast_thresholds_pct]
        cost_filter: aws.budgets.BudgetArgsDict = (  # type: ignore[assignment]
            {"cost_filters": [{"name": "TagKeyValue", "values": ["user:{}${}".format(*tag)]}]}
            if stage is None
            else {"filter_expression": _filter_expression(*tag, stage), "metrics": "UnblendedCost"}
        )
        return aws.budgets.Budget(
            name,
            name=name,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=f"{limit_usd:.2f}",
            limit_unit="USD",
            **cost_filter,
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

    def _create_action_role(self) -> pulumi.Output[str]:
        """Creates the role of AWS Budgets, which may only attach and detach the stop policies, and returns its ARN."""
        args = self._args
        budgets = f"arn:aws:budgets::{args.account_id}:budget/{args.platform_name}*"
        role = aws.iam.Role(
            "budget-actions",
            name=f"{args.platform_name}-budget-actions",
            description="AWS Budgets: denies new trainings when a budget is exhausted",
            assume_role_policy=policy_document(service_trust(args.account_id, "budgets", budgets)),
            permissions_boundary=args.boundary_arn,
            tags=args.platform_tags,
            opts=self._child,
        )
        statement = allow(
            "StopAndResume",
            ["iam:AttachRolePolicy", "iam:DetachRolePolicy"],
            list(args.trainer_role_arns),
            {
                "ArnLike": {
                    "iam:PolicyARN": f"arn:aws:iam::{args.account_id}:policy/{args.platform_name}*-stop-training"
                }
            },
        )
        policy = aws.iam.RolePolicy(
            "budget-actions",
            name="budget-actions",
            role=role.name,
            policy=policy_document(statement),
            opts=self._child,
        )
        return output_after(role.arn, policy.id)

    def _create_stop_policy(self, name: str, tag: tuple[str, str], tags: Mapping[str, str]) -> aws.iam.Policy:
        """Creates a policy that denies trainings: of one model by the tag of its jobs, of the platform by job name."""
        args, (key, value) = self._args, tag
        jobs = [
            f"arn:aws:sagemaker:*:{args.account_id}:{kind}/{args.platform_name}-*"
            for kind in ("training-job", "hyper-parameter-tuning-job")
        ]
        condition = {"StringEquals": {"aws:RequestTag/Model": value}} if key == "Model" else None
        return aws.iam.Policy(
            f"{name}-stop-training",
            name=f"{name}-stop-training",
            description=f"Denies new trainings; attached by budget {name} when it is exhausted.",
            policy=policy_document(deny("BudgetUsedUp", TRAINING_ACTIONS, jobs, condition)),
            tags=tags,
            opts=self._child,
        )

    def _create_action(
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

    def _create_anomaly_detection(self) -> None:
        """Detect anomalies in all spend with the project's tag. AWS sends immediate alerts to topics only."""
        args = self._args
        specification = {"Tags": {"Key": "Project", "Values": [args.project], "MatchOptions": ["EQUALS"]}}
        monitor = aws.costexplorer.AnomalyMonitor(
            "cost-anomalies",
            name=f"{args.platform_name}-cost-anomalies",
            monitor_type="CUSTOM",
            monitor_specification=document(specification, sort_keys=True),
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


def _filter_expression(key: str, value: str, stage: LifeStage) -> aws.budgets.BudgetFilterExpressionArgsDict:
    """Returns the filter for one stage's spend with the tag."""
    dimension, values = STAGE_DIMENSIONS[stage]
    match = "CONTAINS" if dimension == "USAGE_TYPE" else "EQUALS"
    return {
        "ands": [
            {"tags": {"key": f"user:{key}", "values": [value], "match_options": ["EQUALS"]}},
            {"dimensions": {"key": dimension, "values": values, "match_options": [match]}},
        ]
    }


def _role_name(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.from_input(arn).apply(lambda text: text.rsplit("/", 1)[-1])
