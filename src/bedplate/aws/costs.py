"""Reads spend from Cost Explorer, and budgets from AWS Budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal

from bedplate.aws.errors import map_client_errors
from bedplate.aws.session import Session
from bedplate.ports import BudgetState, Spend

_EXECUTED = ("EXECUTION_SUCCESS", "REVERSE_FAILURE", "RESET_FAILURE")
UNTAGGED = "(untagged)"


class CostExplorerCosts:
    """The `Costs` port. On AWS the amounts are a few hours to a day old, and each request costs $0.01."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list_spend(
        self,
        *,
        start: datetime,
        end: datetime,
        group_by: Literal["Model", "UsageType", "Owner"],
        model: str | None,
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> Sequence[Spend]:
        """Returns daily spend by group without the groups that cost nothing; the whole day of `end` is included."""
        filters = {**tags, **({"Model": model} if model else {})}
        request: dict[str, Any] = {
            "TimePeriod": {"Start": _format_day(start), "End": _format_day(end + timedelta(days=1))},
            "Granularity": "DAILY",
            "Metrics": ["UnblendedCost"],
            "GroupBy": [
                {"Type": "DIMENSION", "Key": "USAGE_TYPE"}
                if group_by == "UsageType"
                else {"Type": "TAG", "Key": group_by}
            ],
        }
        if filters:
            request["Filter"] = _tag_filter(filters)
        spends: list[Spend] = []
        with map_client_errors("Cannot read spend from Cost Explorer"):
            while True:
                response = self._session.client("ce").get_cost_and_usage(**request)
                for day in response["ResultsByTime"]:
                    spends += _parse_day(day)
                if not response.get("NextPageToken"):
                    return spends
                request["NextPageToken"] = response["NextPageToken"]

    def list_budgets(self) -> Sequence[BudgetState]:
        """Returns every budget of the account, with the state of each threshold."""
        account = self._session.caller_identity()["Account"]
        client = self._session.client("budgets")
        states = []
        with map_client_errors("Cannot read budgets"):
            blocking = {action["BudgetName"] for action in self._list_executed_actions(client, account)}
            for page in client.get_paginator("describe_budgets").paginate(AccountId=account):
                for budget in page.get("Budgets", ()):
                    name = budget["BudgetName"]
                    pages = client.get_paginator("describe_notifications_for_budget").paginate(
                        AccountId=account, BudgetName=name
                    )
                    notifications = [n for p in pages for n in p.get("Notifications", ())]
                    states.append(_parse_budget(budget, notifications, blocks_training=name in blocking))
        return states

    def reverse_budget_actions(self, budget: str) -> int:
        account = self._session.caller_identity()["Account"]
        client = self._session.client("budgets")
        with map_client_errors(f"Cannot reverse the actions of budget {budget}", next_step="bedplate budgets"):
            actions = [a for a in self._list_executed_actions(client, account) if a["BudgetName"] == budget]
            for action in actions:
                client.execute_budget_action(
                    AccountId=account,
                    BudgetName=budget,
                    ActionId=action["ActionId"],
                    ExecutionType="REVERSE_BUDGET_ACTION",
                )
        return len(actions)

    def _list_executed_actions(self, client: Any, account: str) -> list[Mapping[str, Any]]:
        """Returns the actions whose policy is attached now."""
        pages = client.get_paginator("describe_budget_actions_for_account").paginate(AccountId=account)
        return [action for page in pages for action in page.get("Actions", ()) if action["Status"] in _EXECUTED]


def _parse_day(day: Mapping[str, Any]) -> list[Spend]:
    start, end = (datetime.fromisoformat(day["TimePeriod"][k]).replace(tzinfo=UTC) for k in ("Start", "End"))
    rows = [(_group_name(g["Keys"][0]), float(g["Metrics"]["UnblendedCost"]["Amount"])) for g in day.get("Groups", ())]
    return [Spend(start, end, group, usd) for group, usd in rows if usd]


def _group_name(key: str) -> str:
    """Returns a group's name: Cost Explorer's keys are `Model$flight-delay` for a tag, `Model$` for untagged spend."""
    _, separator, value = key.partition("$")
    return (value or UNTAGGED) if separator else key


def _tag_filter(tags: Mapping[str, str]) -> dict[str, Any]:
    clauses = [{"Tags": {"Key": key, "Values": [value], "MatchOptions": ["EQUALS"]}} for key, value in tags.items()]
    return clauses[0] if len(clauses) == 1 else {"And": clauses}


def _parse_budget(
    budget: Mapping[str, Any], notifications: Sequence[Mapping[str, Any]], *, blocks_training: bool
) -> BudgetState:
    limit = float(budget["BudgetLimit"]["Amount"])
    spend = budget.get("CalculatedSpend", {})
    forecast = spend.get("ForecastedSpend", {}).get("Amount")
    thresholds = sorted(
        (
            n["NotificationType"],
            float(n["Threshold"])
            if n.get("ThresholdType") != "ABSOLUTE_VALUE"
            else 100 * float(n["Threshold"]) / limit,
            n.get("NotificationState", "OK"),
        )
        for n in notifications
    )
    return BudgetState(
        name=budget["BudgetName"],
        limit_usd=limit,
        actual_usd=float(spend.get("ActualSpend", {}).get("Amount", 0)),
        forecast_usd=None if forecast is None else float(forecast),
        thresholds=tuple(thresholds),
        blocks_training=blocks_training,
    )


def _format_day(time: datetime) -> str:
    return time.astimezone(UTC).date().isoformat()
