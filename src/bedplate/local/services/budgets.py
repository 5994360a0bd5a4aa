"""Patches moto's AWS Budgets: budgets, notifications, subscribers, tags and actions, over the platform's charges."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import moto.budgets.urls
from moto.budgets.models import BudgetsBackend
from moto.budgets.responses import BudgetsResponse

from bedplate.local.billing.budgets import budget_period
from bedplate.local.services.installation import AwsApiError, patch_service

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform
    from bedplate.local.services.budget_alerts import BudgetAlerts

_DEFAULT_END = 3706473600  # 15 June 2087, AWS's own default end of a budget
_COST_TYPES = {
    "IncludeCredit": True, "IncludeDiscount": True, "IncludeOtherSubscription": True, "IncludeRecurring": True,
    "IncludeRefund": True, "IncludeSubscription": True, "IncludeSupport": True, "IncludeTax": True,
    "IncludeUpfront": True, "UseAmortized": False, "UseBlended": False,
}  # fmt: skip
_NOTIFICATION_KEY = ("NotificationType", "ComparisonOperator", "Threshold")

Json = dict[str, Any]


class Backend(BudgetsBackend):  # type: ignore[misc]
    """Stores one book per budget name.

    A book is `{budget, notifications: [{notification, subscribers, alerted_period}], tags, actions}`; `actions` maps an
    action id to `{action, tags, history, alerted_period, executed_period}`. `BudgetAlerts` explains the periods.
    """

    _url_module = moto.budgets.urls

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.books: dict[str, Json] = {}
        self.action_count = 0


class Response(BudgetsResponse):  # type: ignore[misc]
    platform: ClassVar[LocalPlatform]
    alerts: ClassVar[BudgetAlerts]

    @property
    def _request(self) -> Json:
        return json.loads(self.body or "{}")  # type: ignore[no-any-return]

    def _find_book(self, verb: str = "get", name: str | None = None) -> Json:
        name = name or self._request["BudgetName"]
        if name not in self.backend.books:
            raise AwsApiError("NotFoundException", f"Unable to {verb} budget: {name} - the budget doesn't exist.")
        return self.backend.books[name]  # type: ignore[no-any-return]

    # --- budgets ---------------------------------------------------------------------------------------------------

    def create_budget(self) -> str:
        request = self._request
        budget = request["Budget"]
        name = budget["BudgetName"]
        if name in self.backend.books:
            message = f"Error creating budget: {name} - the budget already exists."
            raise AwsApiError("DuplicateRecordException", message)
        self._check(budget)
        self.backend.books[name] = {
            "budget": self._fill_dates(budget),
            "notifications": [
                _build_entry(row["Notification"], row["Subscribers"])
                for row in request.get("NotificationsWithSubscribers") or ()
            ],
            "tags": {tag["Key"]: tag["Value"] for tag in request.get("ResourceTags") or ()},
            "actions": {},
        }
        return "{}"

    def update_budget(self) -> str:
        budget = self._request["NewBudget"]
        book = self._find_book("update", budget["BudgetName"])
        self._check(budget)
        if "TimePeriod" not in budget:
            budget["TimePeriod"] = book["budget"]["TimePeriod"]
        book["budget"] = self._fill_dates(budget)
        return "{}"

    def describe_budget(self) -> str:
        return json.dumps({"Budget": self._describe(self._find_book())})

    def describe_budgets(self) -> str:
        return json.dumps({"Budgets": [self._describe(book) for book in self.backend.books.values()]})

    def delete_budget(self) -> str:
        book = self._find_book("delete")
        del self.backend.books[book["budget"]["BudgetName"]]
        return "{}"

    def describe_budget_performance_history(self) -> str:
        book = self._find_book()
        budget, now = book["budget"], self.platform.now()
        period = budget_period(budget["TimeUnit"], now)
        actual = self.alerts.compute_spend(budget).actual_usd
        row = {
            "BudgetedAmount": budget.get("BudgetLimit", _usd(0)),
            "ActualAmount": _usd(actual),
            "TimePeriod": {"Start": period.start, "End": period.end},
        }
        fields = {k: budget[k] for k in ("BudgetName", "BudgetType", "TimeUnit", "CostFilters") if k in budget}
        return json.dumps({"BudgetPerformanceHistory": {**fields, "BudgetedAndActualAmountsList": [row]}})

    def _check(self, budget: Json) -> None:
        """Raises InvalidParameterException unless the budget has a limit and the limit is above 0."""
        if not any(k in budget for k in ("BudgetLimit", "PlannedBudgetLimits", "AutoAdjustData")):
            message = (
                "Unable to create/update budget - please provide one of the followings: "
                "Budget Limit/ Planned Budget Limit/ Auto Adjust Data"
            )
            raise AwsApiError("InvalidParameterException", message)
        amount = budget.get("BudgetLimit", {}).get("Amount", "1")
        try:
            is_positive = float(amount) > 0
        except ValueError:
            is_positive = False
        if not is_positive:
            raise AwsApiError("InvalidParameterException", f"The budget's limit must be greater than 0, not {amount}.")

    def _fill_dates(self, budget: Json) -> Json:
        now = self.platform.now()
        start = budget_period(budget["TimeUnit"], now).start
        period = {"Start": start, "End": _DEFAULT_END, **budget.get("TimePeriod", {})}
        return {**budget, "TimePeriod": period, "LastUpdatedTime": now}

    def _describe(self, book: Json) -> Json:
        budget = copy.deepcopy(book["budget"])
        spend = self.alerts.compute_spend(budget)
        budget["CalculatedSpend"] = {"ActualSpend": _usd(spend.actual_usd), "ForecastedSpend": _usd(spend.forecast_usd)}
        # AWS fills in the cost types of a cost budget, except with a FilterExpression, which replaces them.
        if budget["BudgetType"] == "COST" and "FilterExpression" not in budget:
            budget["CostTypes"] = {**_COST_TYPES, **budget.get("CostTypes", {})}
            budget.setdefault("CostFilters", {})
        return budget  # type: ignore[no-any-return]

    # --- notifications and subscribers -----------------------------------------------------------------------------

    def create_notification(self) -> str:
        request, book = self._request, self._find_book()
        if _find_entry(book["notifications"], request["Notification"]) is not None:
            raise AwsApiError("DuplicateRecordException", "Error creating notification: it already exists.")
        book["notifications"].append(_build_entry(request["Notification"], request["Subscribers"]))
        return "{}"

    def update_notification(self) -> str:
        request = self._request
        entry = self._find_notification(request["OldNotification"])
        entry["notification"], entry["alerted_period"] = request["NewNotification"], None
        return "{}"

    def delete_notification(self) -> str:
        self._find_book()["notifications"].remove(self._find_notification(self._request["Notification"]))
        return "{}"

    def describe_notifications_for_budget(self) -> str:
        rows = [_notification_state(entry) for entry in self._find_book()["notifications"]]
        return json.dumps({"Notifications": rows})

    def describe_budget_notifications_for_account(self) -> str:
        rows = [
            {"BudgetName": name, "Notifications": [_notification_state(entry) for entry in book["notifications"]]}
            for name, book in self.backend.books.items()
        ]
        return json.dumps({"BudgetNotificationsForAccount": rows})

    def describe_subscribers_for_notification(self) -> str:
        return json.dumps({"Subscribers": self._find_notification(self._request["Notification"])["subscribers"]})

    def create_subscriber(self) -> str:
        self._find_notification(self._request["Notification"])["subscribers"].append(self._request["Subscriber"])
        return "{}"

    def update_subscriber(self) -> str:
        request = self._request
        subscribers = self._find_notification(request["Notification"])["subscribers"]
        subscribers[_index_of(subscribers, request["OldSubscriber"])] = request["NewSubscriber"]
        return "{}"

    def delete_subscriber(self) -> str:
        subscribers = self._find_notification(self._request["Notification"])["subscribers"]
        del subscribers[_index_of(subscribers, self._request["Subscriber"])]
        return "{}"

    def _find_notification(self, notification: Json) -> Json:
        entry = _find_entry(self._find_book()["notifications"], notification)
        if entry is None:
            raise AwsApiError("NotFoundException", "Unable to find notification - the notification doesn't exist.")
        return entry

    # --- tags ------------------------------------------------------------------------------------------------------

    def list_tags_for_resource(self) -> str:
        tags = self._tags_of(self._request["ResourceARN"])
        return json.dumps({"ResourceTags": [{"Key": k, "Value": v} for k, v in tags.items()]})

    def tag_resource(self) -> str:
        request = self._request
        self._tags_of(request["ResourceARN"]).update({t["Key"]: t["Value"] for t in request["ResourceTags"]})
        return "{}"

    def untag_resource(self) -> str:
        request = self._request
        tags = self._tags_of(request["ResourceARN"])
        for key in request["ResourceTagKeys"]:
            tags.pop(key, None)
        return "{}"

    def _tags_of(self, arn: str) -> dict[str, str]:
        """Returns the tags of a budget, `arn:aws:budgets::<account>:budget/<name>`, or of an action of it.

        An action's ARN ends in `budget/<name>/action/<id>`.
        """
        name, _, action = arn.split(":budget/", 1)[-1].partition("/action/")
        book = self.backend.books.get(name)
        if book is None or (action and action not in book["actions"]):
            raise AwsApiError("NotFoundException", f"Unable to find {arn}.")
        return book["actions"][action]["tags"] if action else book["tags"]  # type: ignore[no-any-return]

    # --- actions ---------------------------------------------------------------------------------------------------

    def create_budget_action(self) -> str:
        request, book = self._request, self._find_book()
        self.backend.action_count += 1
        action_id = f"00000000-0000-4000-8000-{self.backend.action_count:012d}"
        fields = {k: v for k, v in request.items() if k not in ("AccountId", "ResourceTags")}
        book["actions"][action_id] = {
            "action": {**fields, "ActionId": action_id, "Status": "STANDBY"},
            "tags": {t["Key"]: t["Value"] for t in request.get("ResourceTags") or ()},
            "history": [],
            "alerted_period": None,
            "executed_period": None,
        }
        return self._action_response({"ActionId": action_id})

    def describe_budget_action(self) -> str:
        return self._action_response({"Action": self._find_action()["action"]})

    def describe_budget_actions_for_budget(self) -> str:
        return json.dumps({"Actions": [a["action"] for a in self._find_book()["actions"].values()]})

    def describe_budget_actions_for_account(self) -> str:
        rows = [a["action"] for book in self.backend.books.values() for a in book["actions"].values()]
        return json.dumps({"Actions": rows})

    def describe_budget_action_histories(self) -> str:
        return json.dumps({"ActionHistories": self._find_action()["history"]})

    def update_budget_action(self) -> str:
        entry, request = self._find_action(), self._request
        old = copy.deepcopy(entry["action"])
        entry["action"].update({k: v for k, v in request.items() if k not in ("AccountId", "BudgetName", "ActionId")})
        return self._action_response({"OldAction": old, "NewAction": entry["action"]})

    def delete_budget_action(self) -> str:
        entry = self._find_action()
        del self._find_book()["actions"][entry["action"]["ActionId"]]
        return self._action_response({"Action": entry["action"]})

    def execute_budget_action(self) -> str:
        entry, request = self._find_action(), self._request
        self.alerts.execute(entry, request["ExecutionType"])
        return self._action_response({"ActionId": request["ActionId"], "ExecutionType": request["ExecutionType"]})

    def _find_action(self) -> Json:
        book, action_id = self._find_book(), self._request["ActionId"]
        if action_id not in book["actions"]:
            raise AwsApiError("NotFoundException", f"Unable to find action {action_id}.")
        return book["actions"][action_id]  # type: ignore[no-any-return]

    def _action_response(self, fields: Json) -> str:
        return json.dumps({"AccountId": self.current_account, "BudgetName": self._request["BudgetName"], **fields})


def install(platform: LocalPlatform) -> None:
    from bedplate.local.services.budget_alerts import BudgetAlerts

    Response.platform, Response.alerts = platform, BudgetAlerts(platform)
    platform.loops.append(("budgets", Response.alerts.step, 1.0))
    platform.find_blocking_budget = Response.alerts.find_denying_budget
    patch_service("budgets", response=Response, backend=Backend)


def _build_entry(notification: Json, subscribers: Iterable[Json]) -> Json:
    return {"notification": notification, "subscribers": list(subscribers), "alerted_period": None}


def _find_entry(entries: Iterable[Json], notification: Json) -> Json | None:
    """Returns the entry of a notification; AWS identifies one by its type, operator and threshold."""
    key = [notification.get(field) for field in _NOTIFICATION_KEY]
    return next((e for e in entries if [e["notification"].get(field) for field in _NOTIFICATION_KEY] == key), None)


def _index_of(subscribers: list[Json], subscriber: Json) -> int:
    if subscriber not in subscribers:
        raise AwsApiError("NotFoundException", f"Unable to find subscriber {subscriber.get('Address')}.")
    return subscribers.index(subscriber)


def _notification_state(entry: Json) -> Json:
    return {**entry["notification"], "NotificationState": "ALARM" if entry["alerted_period"] is not None else "OK"}


def _usd(amount: float) -> Json:
    return {"Amount": f"{amount:.10f}".rstrip("0").rstrip("."), "Unit": "USD"}
