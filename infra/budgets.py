"""Who is told before the money is gone: a monthly budget for each model and one for the platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.settings import Budget, PlatformBudget


@dataclass(frozen=True)
class BudgetsArgs:
    project: str
    platform_name: str
    platform: PlatformBudget
    models: Mapping[str, tuple[str, Budget]]
    """Model -> name of its budget, and the budget."""
    emails: Sequence[str]
    alerts_topic_arn: pulumi.Input[str]
    platform_tags: Mapping[str, str]
    model_tags: Mapping[str, Mapping[str, str]]


class Budgets(pulumi.ComponentResource):
    """Output: `platform_budget`. Spend is found by cost-allocation tag: Project and Model must be active in billing."""

    def __init__(self, name: str, args: BudgetsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Budgets", name, None, opts)
        platform = self._budget(
            args.platform_name, args.platform, f"user:Project${args.project}", args, args.platform_tags
        )
        for model, (budget_name, budget) in args.models.items():
            self._budget(budget_name, budget, f"user:Model${model}", args, args.model_tags[model])
        self.platform_budget = platform.name
        self.register_outputs({"platformBudget": self.platform_budget})

    def _budget(
        self, name: str, budget: Budget | PlatformBudget, tag: str, args: BudgetsArgs, tags: Mapping[str, str]
    ) -> aws.budgets.Budget:
        thresholds = [("ACTUAL", pct) for pct in budget.actual_thresholds_pct]
        thresholds += [("FORECASTED", pct) for pct in budget.forecast_thresholds_pct]
        return aws.budgets.Budget(
            name,
            name=name,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=f"{budget.monthly_usd:.2f}",
            limit_unit="USD",
            cost_filters=[{"name": "TagKeyValue", "values": [tag]}],
            notifications=[
                {
                    "notification_type": kind,
                    "comparison_operator": "GREATER_THAN",
                    "threshold": pct,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_sns_topic_arns": [args.alerts_topic_arn],
                    "subscriber_email_addresses": list(args.emails),
                }
                for kind, pct in thresholds
            ],
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
