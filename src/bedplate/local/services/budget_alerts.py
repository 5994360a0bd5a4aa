"""Evaluates budgets: computes their spend, sends alerts when thresholds are crossed, and executes budget actions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from bedplate.local.billing.budgets import (
    BudgetSpend,
    budget_period,
    compute_spend,
    filter_charges,
    is_threshold_crossed,
    threshold_usd,
)
from bedplate.local.services.iam_policies import PolicyDecision, evaluate

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_OPERATOR_WORDS = {"GREATER_THAN": (">", "exceeded"), "LESS_THAN": ("<", "fallen below"), "EQUAL_TO": ("=", "reached")}
_PERIOD_NAMES = {"DAILY": "day", "MONTHLY": "month", "QUARTERLY": "quarter", "ANNUALLY": "year"}


class BudgetAlerts:
    """Sends each alert once per threshold and budget period.

    An entry of a budget holds `alerted_period`, the start of the period in which its threshold was crossed, and that of
    an action also `executed_period`, the start of the period in which it was executed or reversed; both may be None.
    """

    def __init__(self, platform: LocalPlatform) -> None:
        self._platform = platform

    def step(self) -> None:
        """Evaluates every budget and sends the alerts of thresholds crossed since the last step."""
        with self._platform.lock:
            alerts = [alert for book in self._books() for alert in self._collect_due(book)]
        for send_alert in alerts:  # without the lock: publishing may take a while
            send_alert()

    def compute_spend(self, budget: Mapping[str, Any]) -> BudgetSpend:
        """Returns the spend of a budget in the current period; the forecast also needs the charges of the last day."""
        now = self._platform.now()
        period = budget_period(budget["TimeUnit"], now)
        charges = self._platform.charges.list_charges(min(period.start, now - 86400), period.end)
        return compute_spend(filter_charges(charges, budget), period, now)

    def _collect_due(self, book: dict[str, Any]) -> list[Callable[[], None]]:
        """Executes the budget's actions that are due, and returns one function for each alert to send."""
        budget = book["budget"]
        limit = float(budget.get("BudgetLimit", {}).get("Amount", "inf"))
        spend, period = self.compute_spend(budget), budget_period(budget["TimeUnit"], self._platform.now())
        alerts: list[Callable[[], None]] = []
        for entry in book["notifications"]:
            notification = entry["notification"]
            if not self._is_newly_crossed(entry, is_threshold_crossed(notification, limit, spend), period.start):
                continue
            subject, message = _format_alert(budget, notification, limit, spend, self._platform)
            alerts += [partial(self._deliver, subscriber, subject, message) for subscriber in entry["subscribers"]]
        for entry in book["actions"].values():
            action = entry["action"]
            threshold = action["ActionThreshold"]
            alert = {
                "NotificationType": action["NotificationType"],
                "Threshold": threshold["ActionThresholdValue"],
                "ThresholdType": threshold["ActionThresholdType"],
            }
            # AWS resets an action in a new period: what the last period denied is allowed again.
            if entry.get("executed_period") not in (None, period.start):
                self.execute(entry, "RESET_BUDGET_ACTION")
            if self._is_newly_crossed(entry, is_threshold_crossed(alert, limit, spend), period.start):
                if action["ApprovalModel"] == "AUTOMATIC":
                    self.execute(entry, "APPROVE_BUDGET_ACTION")
                else:
                    self._set_status(entry, "PENDING", "The budget's threshold was crossed.")
        return alerts

    def _is_newly_crossed(self, entry: dict[str, Any], is_crossed: bool, period_start: float) -> bool:
        """Returns whether a threshold is crossed and was not yet crossed in this period, and records that.

        A threshold that is no longer crossed (the limit was raised, a filter changed) can alert again.
        """
        alerted_period = period_start if is_crossed else None
        if entry["alerted_period"] == alerted_period:
            return False
        entry["alerted_period"] = alerted_period
        self._platform.store.mark("budgets")
        return is_crossed

    def _deliver(self, subscriber: Mapping[str, str], subject: str, message: str) -> None:
        try:
            if subscriber["SubscriptionType"] == "SNS":
                self._platform.publish(subscriber["Address"], subject, message)
            else:
                self._platform.outbox.send(subscriber["Address"], subject, message, self._platform.now())
        except Exception as exc:  # a missing topic must not keep the alert from the other subscribers
            self._platform.log(f"budget alert to {subscriber['Address']} failed: {type(exc).__name__}: {exc}")

    def execute(self, entry: dict[str, Any], execution: str) -> None:
        """Executes, reverses or resets an action that attaches an IAM policy; other types of action are only recorded.

        `execution` is AWS's ExecutionType. A reset detaches the policy and executes again at the next crossing of the
        threshold; a reversal detaches it for the rest of the period.
        """
        is_reset, reverses = execution.startswith("RESET"), not execution.startswith(("APPROVE", "RETRY"))
        definition = entry["action"]["Definition"].get("IamActionDefinition")
        try:
            if definition and (not reverses or entry["action"]["Status"] == "EXECUTION_SUCCESS"):
                self._apply_policy(definition, "detach" if reverses else "attach")
        except Exception as exc:  # like AWS, a failure becomes the action's status
            failure = "RESET_FAILURE" if is_reset else "REVERSE_FAILURE" if reverses else "EXECUTION_FAILURE"
            self._set_status(entry, failure, str(exc))
            return
        unit = next(b["budget"]["TimeUnit"] for b in self._books() if entry in b["actions"].values())
        entry["executed_period"] = None if is_reset else budget_period(unit, self._platform.now()).start
        success = "STANDBY" if is_reset else "REVERSE_SUCCESS" if reverses else "EXECUTION_SUCCESS"
        self._set_status(entry, success, execution)

    def find_denying_budget(self, action: str, resource: str, tags: Mapping[str, str]) -> str | None:
        """Returns the name of the budget whose executed action denies a call, or None.

        Callers of the local platform assume no roles, so every caller counts as one of the roles that the action
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

    def _apply_policy(self, definition: Mapping[str, Any], verb: Literal["attach", "detach"]) -> None:
        """Attaches or detaches the policy, and sends the CloudTrail event that AWS sends for each call."""
        iam, arn = self._platform.backend("iam", "aws"), definition["PolicyArn"]
        for kind in ("role", "user", "group"):
            for name in definition.get(f"{kind.capitalize()}s") or ():
                getattr(iam, f"{verb}_{kind}_policy")(arn, name)
                detail = {
                    "eventSource": "iam.amazonaws.com",
                    "eventName": f"{verb.title()}{kind.title()}Policy",
                    "userIdentity": {"invokedBy": "budgets.amazonaws.com"},
                    "requestParameters": {f"{kind}Name": name, "policyArn": arn},
                }
                self._platform.emit_event("aws.iam", "AWS API Call via CloudTrail", detail)
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


def _format_alert(
    budget: Mapping[str, Any],
    notification: Mapping[str, Any],
    limit_usd: float,
    spend: BudgetSpend,
    platform: LocalPlatform,
) -> tuple[str, str]:
    """Returns the subject (SNS allows 100 characters) and the text of an alert, in the format of AWS Budgets."""
    kind = notification["NotificationType"]
    amount = _format_usd(spend.actual_usd if kind == "ACTUAL" else spend.forecast_usd)
    sign, verb = _OPERATOR_WORDS[notification.get("ComparisonOperator", "GREATER_THAN")]
    bound = _format_usd(threshold_usd(notification, limit_usd))
    day = datetime.fromtimestamp(platform.now(), UTC)
    name = budget["BudgetName"]
    text = (
        f"AWS Budget Notification {day:%B %d, %Y}\nAWS Account {platform.account_id}\n\nDear AWS Customer,\n\n"
        f"You requested that we alert you when the {kind} Cost associated with your {name} budget has {verb} "
        f"${bound} for the current {_PERIOD_NAMES[budget['TimeUnit']]}. "
        f"The {kind} Cost associated with this budget is ${amount}. You can find additional details below.\n\n"
        f"Budget Name: {name}\nBudget Type: {budget['BudgetType'].capitalize()}\n"
        f"Budgeted Amount: ${_format_usd(limit_usd)}\n"
        f"Alert Type: {kind}\nAlert Threshold: {sign} ${bound}\n{kind} Amount: ${amount}\n"
    )
    return f"AWS Budgets: {name} has {verb} your alert threshold"[:100], text


def _format_usd(amount: float) -> str:
    """Returns cents from one dollar on, and up to six decimals below: local runs cost fractions of a cent."""
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.6f}".rstrip("0").rstrip(".")
