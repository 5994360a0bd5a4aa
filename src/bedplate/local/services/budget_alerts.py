"""Watching budgets: what each has spent, whom a crossed threshold is told to, and what its actions do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bedplate.local.billing.budgets import BudgetSpend, counted, crossed, period_of, spend, threshold_usd
from bedplate.local.services.iam_policies import PolicyDecision, evaluate

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_SIGNS = {"GREATER_THAN": ">", "LESS_THAN": "<", "EQUAL_TO": "="}
_UNITS = {"DAILY": "day", "MONTHLY": "month", "QUARTERLY": "quarter", "ANNUALLY": "year"}


class BudgetAlerts:
    """Each alert is sent once for each threshold and period; a new period starts with every threshold armed."""

    def __init__(self, platform: LocalPlatform) -> None:
        self._platform = platform

    def step(self) -> None:
        """Look at every budget, and tell about the thresholds crossed since the last look."""
        with self._platform.lock:
            due = [alert for book in self._books() for alert in self._due(book)]
        for send in due:
            send()

    def spend_of(self, budget: Mapping[str, Any]) -> BudgetSpend:
        now = self._platform.now()
        period = period_of(budget["TimeUnit"], now)
        charges = self._platform.charges.between(min(period.start, now - 86400), period.end)
        return spend(counted(charges, budget), period, now)

    def _due(self, book: dict[str, Any]) -> list[Any]:
        budget = book["budget"]
        limit = float(budget.get("BudgetLimit", {}).get("Amount", "inf"))
        now, period = self.spend_of(budget), period_of(budget["TimeUnit"], self._platform.now())
        due: list[Any] = []
        for entry in book["notifications"]:
            if not self._newly(entry, crossed(entry["notification"], limit, now), period.start):
                continue
            subject, message = _letter(budget, entry["notification"], limit, now, self._platform)
            for subscriber in entry["subscribers"]:
                due.append(lambda s=subscriber, t=subject, m=message: self._deliver(s, t, m))
        for entry in book["actions"].values():
            action = entry["action"]
            threshold = action["ActionThreshold"]
            alert = {
                "NotificationType": action["NotificationType"],
                "Threshold": threshold["ActionThresholdValue"],
                "ThresholdType": threshold["ActionThresholdType"],
            }
            if entry.get("done_in") not in (None, period.start):  # a new period: what the last one stopped may go on
                self.execute(entry, "RESET_BUDGET_ACTION")
            if self._newly(entry, crossed(alert, limit, now), period.start):
                if action["ApprovalModel"] == "AUTOMATIC":
                    self.execute(entry, "APPROVE_BUDGET_ACTION")
                else:
                    self._set_status(entry, "PENDING", "The budget's threshold was crossed.")
        return due

    def _newly(self, entry: dict[str, Any], is_crossed: bool, period_start: float) -> bool:
        """Whether to tell now: crossed, and not told in this period. A threshold that is no longer crossed (the limit
        was raised, a filter changed) is armed again."""
        if not is_crossed:
            if entry["told"] is not None:
                entry["told"] = None
                self._platform.store.mark("budgets")
            return False
        if entry["told"] == period_start:
            return False
        entry["told"] = period_start
        self._platform.store.mark("budgets")
        return True

    def _deliver(self, subscriber: Mapping[str, str], subject: str, message: str) -> None:
        try:
            if subscriber["SubscriptionType"] == "SNS":
                self._platform.publish(subscriber["Address"], subject, message)
            else:
                self._platform.outbox.send(subscriber["Address"], subject, message, self._platform.now())
        except Exception as exc:  # a topic that is gone must not keep the other subscribers from hearing
            self._platform.log(f"budget alert to {subscriber['Address']} failed: {type(exc).__name__}: {exc}")

    def execute(self, entry: dict[str, Any], execution: str) -> None:
        """Do, or undo, what an action is for: attach an IAM policy. Other kinds of action are only recorded.

        A reset undoes what is done and waits for the threshold again; a reversal does not wait for it in this period.
        """
        undo, reset = not execution.startswith(("APPROVE", "RETRY")), execution.startswith("RESET")
        definition = entry["action"]["Definition"].get("IamActionDefinition")
        try:
            if definition and (not undo or entry["action"]["Status"] == "EXECUTION_SUCCESS"):
                self._attach(definition, undo=undo)
        except Exception as exc:  # its failure is the action's status, as on AWS
            failure = "RESET_FAILURE" if reset else "REVERSE_FAILURE" if undo else "EXECUTION_FAILURE"
            self._set_status(entry, failure, str(exc))
            return
        unit = next(b["budget"]["TimeUnit"] for b in self._books() if entry in b["actions"].values())
        entry["done_in"] = None if reset else period_of(unit, self._platform.now()).start
        self._set_status(entry, "STANDBY" if reset else "REVERSE_SUCCESS" if undo else "EXECUTION_SUCCESS", execution)

    def refusal(self, action: str, resource: str, tags: Mapping[str, str]) -> str | None:
        """The budget whose executed action denies a call; None when none does.

        A laptop has no roles to assume, so whoever asks the local platform counts as one of the roles that the action
        attached its policy to.
        """
        context = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
        iam = self._platform.backend("iam", "aws")
        for book in self._books():
            for entry in book["actions"].values():
                definition = entry["action"]["Definition"].get("IamActionDefinition")
                if entry["action"]["Status"] != "EXECUTION_SUCCESS" or not definition:
                    continue
                policy = iam.managed_policies.get(definition["PolicyArn"])
                documents = [json.loads(v.document) for v in policy.versions if v.is_default] if policy else []
                if evaluate(documents, action, resource, context=context) is PolicyDecision.DENY:
                    return str(book["budget"]["BudgetName"])
        return None

    def _books(self) -> list[dict[str, Any]]:
        return list(self._platform.backend("budgets", "aws").books.values())

    def _attach(self, definition: Mapping[str, Any], *, undo: bool) -> None:
        iam, arn = self._platform.backend("iam", "aws"), definition["PolicyArn"]
        for kind in ("role", "user", "group"):
            for name in definition.get(f"{kind.capitalize()}s") or ():
                verb = "detach" if undo else "attach"
                getattr(iam, f"{verb}_{kind}_policy")(arn, name)
                self._platform.emit_event(
                    "aws.iam",
                    "AWS API Call via CloudTrail",
                    {
                        "eventSource": "iam.amazonaws.com",
                        "eventName": f"{verb.title()}{kind.title()}Policy",
                        "userIdentity": {"invokedBy": "budgets.amazonaws.com"},
                        "requestParameters": {f"{kind}Name": name, "policyArn": arn},
                    },
                )
        self._platform.store.mark("iam")

    def _set_status(self, entry: dict[str, Any], status: str, message: str) -> None:
        entry["action"]["Status"] = status
        entry["history"].append(
            {
                "Timestamp": self._platform.now(),
                "Status": status,
                "EventType": "SYSTEM",
                "ActionHistoryDetails": {"Message": message, "Action": dict(entry["action"])},
            }
        )
        self._platform.store.mark("budgets")


def _letter(
    budget: Mapping[str, Any], notification: Mapping[str, Any], limit: float, now: BudgetSpend, platform: LocalPlatform
) -> tuple[str, str]:
    """Subject and text of an alert, in the form in which AWS Budgets writes them."""
    kind = notification["NotificationType"]
    amount = now.actual_usd if kind == "ACTUAL" else now.forecast_usd
    sign = _SIGNS[notification.get("ComparisonOperator", "GREATER_THAN")]
    bound = threshold_usd(notification, limit)
    day = datetime.fromtimestamp(platform.now(), UTC)
    words = {">": "exceeded", "<": "fallen below", "=": "reached"}[sign]
    name = budget["BudgetName"]
    text = (
        f"AWS Budget Notification {day:%B %d, %Y}\nAWS Account {platform.account_id}\n\nDear AWS Customer,\n\n"
        f"You requested that we alert you when the {kind} Cost associated with your {name} budget has {words} "
        f"${_money(bound)} for the current {_UNITS[budget['TimeUnit']]}. "
        f"The {kind} Cost associated with this budget is ${_money(amount)}. You can find additional details below.\n\n"
        f"Budget Name: {name}\nBudget Type: {budget['BudgetType'].capitalize()}\nBudgeted Amount: ${_money(limit)}\n"
        f"Alert Type: {kind}\nAlert Threshold: {sign} ${_money(bound)}\n{kind} Amount: ${_money(amount)}\n"
    )
    return f"AWS Budgets: {name} has {words} your alert threshold"[:100], text


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.6f}".rstrip("0").rstrip(".")
