"""What was spent, in Cost Explorer, and what may be, in AWS Budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal

from bedplate.aws.errors import translated
from bedplate.aws.session import Session
from bedplate.ports import BudgetState, Spend

_IN_FORCE = ("EXECUTION_SUCCESS", "REVERSE_FAILURE", "RESET_FAILURE")
UNTAGGED = "(untagged)"


class CostExplorerCosts:
    """The `Costs` port. On AWS the figures are a few hours to a day old, and each question costs $0.01."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def spend(
        self,
        *,
        start: datetime,
        end: datetime,
        group_by: Literal["Model", "UsageType", "Owner"],
        model: str | None,
        within: Mapping[str, str] = MappingProxyType({}),
    ) -> Sequence[Spend]:
        """Daily spend by group, groups without a figure left out; `end` counts as a whole day."""
        tags = {**within, **({"Model": model} if model else {})}
        question: dict[str, Any] = {
            "TimePeriod": {"Start": _day(start), "End": _day(end + timedelta(days=1))},
            "Granularity": "DAILY",
            "Metrics": ["UnblendedCost"],
            "GroupBy": [
                {"Type": "DIMENSION", "Key": "USAGE_TYPE"}
                if group_by == "UsageType"
                else {"Type": "TAG", "Key": group_by}
            ],
        }
        if tags:
            question["Filter"] = _all_of(tags)
        found: list[Spend] = []
        with translated("Cannot read what was spent"):
            while True:
                told = self._session.client("ce").get_cost_and_usage(**question)
                for day in told["ResultsByTime"]:
                    found += _spends(day)
                if not told.get("NextPageToken"):
                    return found
                question["NextPageToken"] = told["NextPageToken"]

    def budgets(self) -> Sequence[BudgetState]:
        """Every budget of the account, with the state of each threshold."""
        account = self._session.caller()["Account"]
        client = self._session.client("budgets")
        found = []
        with translated("Cannot read budgets"):
            stopped = {action["BudgetName"] for action in self._executed(client, account)}
            for page in client.get_paginator("describe_budgets").paginate(AccountId=account):
                for budget in page.get("Budgets", ()):
                    pages = client.get_paginator("describe_notifications_for_budget").paginate(
                        AccountId=account, BudgetName=budget["BudgetName"]
                    )
                    told = [n for p in pages for n in p.get("Notifications", ())]
                    found.append(_budget(budget, told, stopped=budget["BudgetName"] in stopped))
        return found

    def resume(self, budget: str) -> int:
        account = self._session.caller()["Account"]
        client = self._session.client("budgets")
        with translated(f"Cannot undo what budget {budget} stopped", next_step="bedplate budgets"):
            executed = [a for a in self._executed(client, account) if a["BudgetName"] == budget]
            for action in executed:
                client.execute_budget_action(
                    AccountId=account,
                    BudgetName=budget,
                    ActionId=action["ActionId"],
                    ExecutionType="REVERSE_BUDGET_ACTION",
                )
        return len(executed)

    def _executed(self, client: Any, account: str) -> list[Mapping[str, Any]]:
        """Actions whose policy is attached now."""
        pages = client.get_paginator("describe_budget_actions_for_account").paginate(AccountId=account)
        return [action for page in pages for action in page.get("Actions", ()) if action["Status"] in _IN_FORCE]


def _spends(day: Mapping[str, Any]) -> list[Spend]:
    start, end = (datetime.fromisoformat(day["TimePeriod"][k]).replace(tzinfo=UTC) for k in ("Start", "End"))
    rows = [(_group(g["Keys"][0]), float(g["Metrics"]["UnblendedCost"]["Amount"])) for g in day.get("Groups", ())]
    return [Spend(start, end, group, usd) for group, usd in rows if usd]


def _group(key: str) -> str:
    """Cost Explorer calls a tag's group `Model$flight-delay`, and `Model$` what has no such tag."""
    _, tagged, value = key.partition("$")
    return (value or UNTAGGED) if tagged else key


def _all_of(tags: Mapping[str, str]) -> dict[str, Any]:
    each = [{"Tags": {"Key": key, "Values": [value], "MatchOptions": ["EQUALS"]}} for key, value in tags.items()]
    return each[0] if len(each) == 1 else {"And": each}


def _budget(
    budget: Mapping[str, Any], notifications: Sequence[Mapping[str, Any]], *, stopped: bool = False
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
        stopped=stopped,
    )


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()
