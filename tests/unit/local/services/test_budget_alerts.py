"""A budget action executes when its threshold is crossed, can be reversed, and is reset in a new month."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from bedplate.local.billing.charges import Charge
from bedplate.local.services.budget_alerts import BudgetAlerts

ARN = "arn:aws:iam::1:policy/stop"
DENY = {"Effect": "Deny", "Action": "sagemaker:CreateTrainingJob", "Resource": "*"}


class BudgetScenario:
    """A platform with a monthly budget of one dollar and one action, which attaches a policy to a role."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
        self.spent_usd = 0.0
        self.attached: list[str] = []
        version = SimpleNamespace(is_default=True, document=json.dumps({"Statement": DENY}))
        iam = SimpleNamespace(
            managed_policies={ARN: SimpleNamespace(versions=[version])},
            attach_role_policy=lambda arn, role: self.attached.append(role),
            detach_role_policy=lambda arn, role: self.attached.remove(role),
        )
        action = {
            "NotificationType": "ACTUAL",
            "ActionThreshold": {"ActionThresholdValue": 100, "ActionThresholdType": "PERCENTAGE"},
            "ApprovalModel": "AUTOMATIC",
            "Definition": {"IamActionDefinition": {"PolicyArn": ARN, "Roles": ["trainers"]}},
            "Status": "STANDBY",
        }
        self.entry: dict[str, Any] = {"action": action, "history": [], "alerted_period": None, "executed_period": None}
        limit = {"Amount": "1", "Unit": "USD"}
        budget = {"BudgetName": "b", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
        books = {"b": {"budget": budget, "notifications": [], "actions": {"1": self.entry}}}
        backends = {"budgets": SimpleNamespace(books=books), "iam": iam}
        platform: Any = SimpleNamespace(
            lock=nullcontext(),
            backend=lambda service, _region=None: backends[service],
            now=lambda: self.now,
            store=SimpleNamespace(mark=lambda *_: None),
            charges=SimpleNamespace(list_charges=lambda *_: [self.charge]),
            emit_event=lambda *_: None,
        )
        self.alerts = BudgetAlerts(platform)

    @property
    def charge(self) -> Charge:
        hour = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp())
        return Charge(hour, "arn", "training", "ml.m5.large", 1, 1, self.spent_usd)

    def denying_budget(self) -> str | None:
        return self.alerts.find_denying_budget("sagemaker:CreateTrainingJob", "arn", {})


def test_action_stays_on_standby_below_the_threshold() -> None:
    scenario = BudgetScenario()
    scenario.spent_usd = 0.99
    scenario.alerts.step()
    assert (scenario.entry["action"]["Status"], scenario.attached, scenario.denying_budget()) == ("STANDBY", [], None)


def test_action_attaches_its_policy_once_and_denies_calls() -> None:
    scenario = BudgetScenario()
    scenario.spent_usd = 1.01
    scenario.alerts.step()
    scenario.alerts.step()
    assert (scenario.entry["action"]["Status"], scenario.attached) == ("EXECUTION_SUCCESS", ["trainers"])
    assert scenario.denying_budget() == "b"
    assert scenario.alerts.find_denying_budget("sagemaker:CreateProcessingJob", "arn", {}) is None


def test_reversed_action_stays_reversed_for_the_rest_of_the_month() -> None:
    scenario = BudgetScenario()
    scenario.spent_usd = 1.01
    scenario.alerts.step()
    scenario.alerts.execute(scenario.entry, "REVERSE_BUDGET_ACTION")
    scenario.alerts.step()
    assert (scenario.entry["action"]["Status"], scenario.attached, scenario.denying_budget()) == (
        "REVERSE_SUCCESS",
        [],
        None,
    )


def test_new_month_resets_the_action_and_allows_trainings() -> None:
    scenario = BudgetScenario()
    scenario.spent_usd = 1.01
    scenario.alerts.step()
    scenario.now = datetime(2026, 12, 1, 1, tzinfo=UTC).timestamp()
    scenario.alerts.step()
    assert (scenario.entry["action"]["Status"], scenario.attached, scenario.denying_budget()) == ("STANDBY", [], None)
