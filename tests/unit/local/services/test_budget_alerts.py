"""What a budget's action does when its threshold is passed, when somebody undoes it, and when a new month begins."""

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


class World:
    """A platform with one budget of a dollar, one action, and a role that policies are attached to."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
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
        self.entry: dict[str, Any] = {"action": action, "history": [], "told": None, "done_in": None}
        limit = {"Amount": "1", "Unit": "USD"}
        budget = {"BudgetName": "b", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
        books = {"b": {"budget": budget, "notifications": [], "actions": {"1": self.entry}}}
        backends = {"budgets": SimpleNamespace(books=books), "iam": iam}
        platform: Any = SimpleNamespace(
            lock=nullcontext(),
            backend=lambda service, _region=None: backends[service],
            now=lambda: self.moment,
            store=SimpleNamespace(mark=lambda *_: None),
            charges=SimpleNamespace(between=lambda *_: [self.charge]),
            emit_event=lambda *_: None,
        )
        self.watch = BudgetAlerts(platform)

    @property
    def charge(self) -> Charge:
        hour = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp())
        return Charge(hour, "arn", "training", "ml.m5.large", 1, 1, self.spent_usd)

    def refused(self) -> str | None:
        return self.watch.refusal("sagemaker:CreateTrainingJob", "arn", {})


def test_below_the_threshold_nothing_is_stopped() -> None:
    world = World()
    world.spent_usd = 0.99
    world.watch.step()
    assert (world.entry["action"]["Status"], world.attached, world.refused()) == ("STANDBY", [], None)


def test_the_action_attaches_its_policy_once_and_denies() -> None:
    world = World()
    world.spent_usd = 1.01
    world.watch.step()
    world.watch.step()
    assert (world.entry["action"]["Status"], world.attached) == ("EXECUTION_SUCCESS", ["trainers"])
    assert world.refused() == "b"
    assert world.watch.refusal("sagemaker:CreateProcessingJob", "arn", {}) is None


def test_what_somebody_has_undone_stays_undone_in_this_month() -> None:
    world = World()
    world.spent_usd = 1.01
    world.watch.step()
    world.watch.execute(world.entry, "REVERSE_BUDGET_ACTION")
    world.watch.step()
    assert (world.entry["action"]["Status"], world.attached, world.refused()) == ("REVERSE_SUCCESS", [], None)


def test_a_new_month_lets_trainings_go_on() -> None:
    world = World()
    world.spent_usd = 1.01
    world.watch.step()
    world.moment = datetime(2026, 12, 1, 1, tzinfo=UTC).timestamp()
    world.watch.step()
    assert (world.entry["action"]["Status"], world.attached, world.refused()) == ("STANDBY", [], None)
