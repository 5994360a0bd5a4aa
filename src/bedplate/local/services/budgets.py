"""AWS Budgets: the whole API of budgets, notifications, subscribers, tags and actions, over what the charges say."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import moto.budgets.urls
from moto.budgets.models import BudgetsBackend
from moto.budgets.responses import BudgetsResponse

from bedplate.local.billing.budgets import period_of
from bedplate.local.services.installation import AwsApiError, lay

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform
    from bedplate.local.services.budget_alerts import BudgetAlerts

_FOREVER = 3706473600  # 15 June 2087, AWS's own default end of a budget
_COST_TYPES = {
    "IncludeCredit": True, "IncludeDiscount": True, "IncludeOtherSubscription": True, "IncludeRecurring": True,
    "IncludeRefund": True, "IncludeSubscription": True, "IncludeSupport": True, "IncludeTax": True,
    "IncludeUpfront": True, "UseAmortized": False, "UseBlended": False,
}  # fmt: skip
_IDENTITY = ("NotificationType", "ComparisonOperator", "Threshold")

Json = dict[str, Any]


class Backend(BudgetsBackend):  # type: ignore[misc]
    """A book is `{budget, notifications: [{notification, subscribers, told}], tags, actions: {id: action}}`."""

    _url_module = moto.budgets.urls

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.books: dict[str, Json] = {}
        self.action_count = 0


class Response(BudgetsResponse):  # type: ignore[misc]
    platform: ClassVar[LocalPlatform]
    watch: ClassVar[BudgetAlerts]

    @property
    def _in(self) -> Json:
        return json.loads(self.body or "{}")  # type: ignore[no-any-return]

    def _book(self, verb: str = "get") -> Json:
        name = self._in["BudgetName"]
        if name not in self.backend.books:
            raise AwsApiError("NotFoundException", f"Unable to {verb} budget: {name} - the budget doesn't exist.")
        return self.backend.books[name]  # type: ignore[no-any-return]

    # --- budgets ---------------------------------------------------------------------------------------------------

    def create_budget(self) -> str:
        asked = self._in
        budget = asked["Budget"]
        name = budget["BudgetName"]
        if name in self.backend.books:
            message = f"Error creating budget: {name} - the budget already exists."
            raise AwsApiError("DuplicateRecordException", message)
        self._check(budget)
        self.backend.books[name] = {
            "budget": self._dated(budget),
            "notifications": [
                _entry(row["Notification"], row["Subscribers"])
                for row in asked.get("NotificationsWithSubscribers") or ()
            ],
            "tags": {tag["Key"]: tag["Value"] for tag in asked.get("ResourceTags") or ()},
            "actions": {},
        }
        return "{}"

    def update_budget(self) -> str:
        budget = self._in["NewBudget"]
        name = budget["BudgetName"]
        if name not in self.backend.books:
            raise AwsApiError("NotFoundException", f"Unable to update budget: {name} - the budget doesn't exist.")
        self._check(budget)
        book = self.backend.books[name]
        if "TimePeriod" not in budget:
            budget["TimePeriod"] = book["budget"]["TimePeriod"]
        book["budget"] = self._dated(budget)
        return "{}"

    def describe_budget(self) -> str:
        return json.dumps({"Budget": self._shown(self._book())})

    def describe_budgets(self) -> str:
        return json.dumps({"Budgets": [self._shown(book) for book in self.backend.books.values()]})

    def delete_budget(self) -> str:
        book = self._book("delete")
        del self.backend.books[book["budget"]["BudgetName"]]
        return "{}"

    def describe_budget_performance_history(self) -> str:
        book = self._book()
        budget, now = book["budget"], self.platform.now()
        period = period_of(budget["TimeUnit"], now)
        actual = self.watch.spend_of(budget).actual_usd
        row = {
            "BudgetedAmount": budget.get("BudgetLimit", _usd(0)),
            "ActualAmount": _usd(actual),
            "TimePeriod": {"Start": period.start, "End": period.end},
        }
        shown = {k: budget[k] for k in ("BudgetName", "BudgetType", "TimeUnit", "CostFilters") if k in budget}
        return json.dumps({"BudgetPerformanceHistory": {**shown, "BudgetedAndActualAmountsList": [row]}})

    def _check(self, budget: Json) -> None:
        if not any(k in budget for k in ("BudgetLimit", "PlannedBudgetLimits", "AutoAdjustData")):
            message = (
                "Unable to create/update budget - please provide one of the followings: "
                "Budget Limit/ Planned Budget Limit/ Auto Adjust Data"
            )
            raise AwsApiError("InvalidParameterException", message)
        amount = budget.get("BudgetLimit", {}).get("Amount", "1")
        try:
            positive = float(amount) > 0
        except ValueError:
            positive = False
        if not positive:
            raise AwsApiError("InvalidParameterException", f"The budget's limit must be above 0, not {amount}.")

    def _dated(self, budget: Json) -> Json:
        now = self.platform.now()
        start = period_of(budget["TimeUnit"], now).start
        period = {"Start": start, "End": _FOREVER, **budget.get("TimePeriod", {})}
        return {**budget, "TimePeriod": period, "LastUpdatedTime": now}

    def _shown(self, book: Json) -> Json:
        budget = copy.deepcopy(book["budget"])
        now = self.watch.spend_of(budget)
        budget["CalculatedSpend"] = {"ActualSpend": _usd(now.actual_usd), "ForecastedSpend": _usd(now.forecast_usd)}
        if budget["BudgetType"] == "COST" and "FilterExpression" not in budget:
            budget["CostTypes"] = {**_COST_TYPES, **budget.get("CostTypes", {})}
            budget.setdefault("CostFilters", {})
        return budget  # type: ignore[no-any-return]

    # --- notifications and subscribers -----------------------------------------------------------------------------

    def create_notification(self) -> str:
        asked, book = self._in, self._book()
        if _find(book["notifications"], asked["Notification"]) is not None:
            raise AwsApiError("DuplicateRecordException", "Error creating notification: it already exists.")
        book["notifications"].append(_entry(asked["Notification"], asked["Subscribers"]))
        return "{}"

    def update_notification(self) -> str:
        asked = self._in
        entry = self._notification(asked["OldNotification"])
        entry["notification"], entry["told"] = asked["NewNotification"], None
        return "{}"

    def delete_notification(self) -> str:
        self._book()["notifications"].remove(self._notification(self._in["Notification"]))
        return "{}"

    def describe_notifications_for_budget(self) -> str:
        rows = [_state(entry) for entry in self._book()["notifications"]]
        return json.dumps({"Notifications": rows})

    def describe_budget_notifications_for_account(self) -> str:
        rows = [
            {"BudgetName": name, "Notifications": [_state(entry) for entry in book["notifications"]]}
            for name, book in self.backend.books.items()
        ]
        return json.dumps({"BudgetNotificationsForAccount": rows})

    def describe_subscribers_for_notification(self) -> str:
        return json.dumps({"Subscribers": self._notification(self._in["Notification"])["subscribers"]})

    def create_subscriber(self) -> str:
        self._notification(self._in["Notification"])["subscribers"].append(self._in["Subscriber"])
        return "{}"

    def update_subscriber(self) -> str:
        asked = self._in
        subscribers = self._notification(asked["Notification"])["subscribers"]
        subscribers[_position(subscribers, asked["OldSubscriber"])] = asked["NewSubscriber"]
        return "{}"

    def delete_subscriber(self) -> str:
        subscribers = self._notification(self._in["Notification"])["subscribers"]
        del subscribers[_position(subscribers, self._in["Subscriber"])]
        return "{}"

    def _notification(self, asked: Json) -> Json:
        entry = _find(self._book()["notifications"], asked)
        if entry is None:
            raise AwsApiError("NotFoundException", "Unable to find notification - the notification doesn't exist.")
        return entry

    # --- tags ------------------------------------------------------------------------------------------------------

    def list_tags_for_resource(self) -> str:
        tags = self._tags_of(self._in["ResourceARN"])
        return json.dumps({"ResourceTags": [{"Key": k, "Value": v} for k, v in tags.items()]})

    def tag_resource(self) -> str:
        asked = self._in
        self._tags_of(asked["ResourceARN"]).update({t["Key"]: t["Value"] for t in asked["ResourceTags"]})
        return "{}"

    def untag_resource(self) -> str:
        asked = self._in
        tags = self._tags_of(asked["ResourceARN"])
        for key in asked["ResourceTagKeys"]:
            tags.pop(key, None)
        return "{}"

    def _tags_of(self, arn: str) -> dict[str, str]:
        """Of `arn:aws:budgets::<account>:budget/<name>`, or of an action: `.../budget/<name>/action/<id>`."""
        name, _, action = arn.split(":budget/", 1)[-1].partition("/action/")
        book = self.backend.books.get(name)
        if book is None or (action and action not in book["actions"]):
            raise AwsApiError("NotFoundException", f"Unable to find {arn}.")
        return book["actions"][action]["tags"] if action else book["tags"]  # type: ignore[no-any-return]

    # --- actions ---------------------------------------------------------------------------------------------------

    def create_budget_action(self) -> str:
        asked, book = self._in, self._book()
        self.backend.action_count += 1
        action_id = f"00000000-0000-4000-8000-{self.backend.action_count:012d}"
        kept = {k: v for k, v in asked.items() if k not in ("AccountId", "ResourceTags")}
        tags = {t["Key"]: t["Value"] for t in asked.get("ResourceTags") or ()}
        shown = {**kept, "ActionId": action_id, "Status": "STANDBY"}
        book["actions"][action_id] = {"action": shown, "tags": tags, "history": [], "told": None, "done_in": None}
        return self._action_answer(action_id)

    def describe_budget_action(self) -> str:
        return json.dumps(self._out({"Action": self._action()["action"]}))

    def describe_budget_actions_for_budget(self) -> str:
        return json.dumps({"Actions": [a["action"] for a in self._book()["actions"].values()]})

    def describe_budget_actions_for_account(self) -> str:
        rows = [a["action"] for book in self.backend.books.values() for a in book["actions"].values()]
        return json.dumps({"Actions": rows})

    def describe_budget_action_histories(self) -> str:
        return json.dumps({"ActionHistories": self._action()["history"]})

    def update_budget_action(self) -> str:
        entry, asked = self._action(), self._in
        old = copy.deepcopy(entry["action"])
        entry["action"].update({k: v for k, v in asked.items() if k not in ("AccountId", "BudgetName", "ActionId")})
        return json.dumps(self._out({"OldAction": old, "NewAction": entry["action"]}))

    def delete_budget_action(self) -> str:
        entry = self._action()
        del self._book()["actions"][entry["action"]["ActionId"]]
        return json.dumps(self._out({"Action": entry["action"]}))

    def execute_budget_action(self) -> str:
        entry, asked = self._action(), self._in
        self.watch.execute(entry, asked["ExecutionType"])
        return json.dumps(self._out({"ActionId": asked["ActionId"], "ExecutionType": asked["ExecutionType"]}))

    def _action(self) -> Json:
        book, action_id = self._book(), self._in["ActionId"]
        if action_id not in book["actions"]:
            raise AwsApiError("NotFoundException", f"Unable to find action {action_id}.")
        return book["actions"][action_id]  # type: ignore[no-any-return]

    def _action_answer(self, action_id: str) -> str:
        return json.dumps(self._out({"ActionId": action_id}))

    def _out(self, answer: Json) -> Json:
        return {"AccountId": self.current_account, "BudgetName": self._in["BudgetName"], **answer}


def install(platform: LocalPlatform) -> None:
    from bedplate.local.services.budget_alerts import BudgetAlerts

    Response.platform, Response.watch = platform, BudgetAlerts(platform)
    platform.loops.append(("budgets", Response.watch.step, 1.0))
    platform.stopped_by_budget = Response.watch.refusal
    lay("budgets", response=Response, backend=Backend)


def _entry(notification: Json, subscribers: Iterable[Json]) -> Json:
    return {"notification": notification, "subscribers": list(subscribers), "told": None}


def _find(entries: Iterable[Json], asked: Json) -> Json | None:
    return next((e for e in entries if all(e["notification"].get(k) == asked.get(k) for k in _IDENTITY)), None)


def _position(subscribers: list[Json], asked: Json) -> int:
    if asked not in subscribers:
        raise AwsApiError("NotFoundException", f"Unable to find subscriber {asked.get('Address')}.")
    return subscribers.index(asked)


def _state(entry: Json) -> Json:
    return {**entry["notification"], "NotificationState": "ALARM" if entry["told"] is not None else "OK"}


def _usd(amount: float) -> Json:
    return {"Amount": f"{amount:.10f}".rstrip("0").rstrip("."), "Unit": "USD"}
