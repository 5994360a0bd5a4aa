from __future__ import annotations

from datetime import timedelta

import pytest

from bedplate.cli.pages.scorecard import render
from bedplate.errors import NotFound
from bedplate.ports import BudgetState
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.versions.approve import ApproveRequest, approve
from bedplate.workflows.watch.scorecard import scorecard
from fakes import FakeStackContext
from unit.workflows.versions.test_retrain import at, monitored

__all__ = ["at"]


def test_a_scorecard_answers_from_ledger_registry_budget_and_alarms(at: FakeStackContext) -> None:
    package = at.registry.get("bedplate-local-churn", 1)
    at.registry.annotate(package, {"verdict": "PASS", "metric.auc": "0.73"})
    judged = {"verdict": "PASS"}
    Ledger.of(at).record("evaluated", "judged", actor="ada", model="churn", version=1, data=judged)
    approve(at, ApproveRequest("churn", 1, force=True, reason="a drill"))
    live = at.endpoints.live["bedplate-local-churn"]
    Ledger.of(at).record("deployed", "v1", actor="ada", model="churn", version=1, data={"release": live, "live": live})
    seq = monitored(at, "drift")
    at.costs.held = [BudgetState("bedplate-local-churn", 100, 40, 80, ())]
    at.metrics.raise_alarm(at.names("churn").drift_alarm, "PSI")
    at.clock.at += timedelta(days=2)
    card = scorecard(at, "churn")
    told = {line.question: line for line in card.lines}
    assert told["live"].answer == "v1 since 2013-07-01 12:00 UTC"
    assert told["approved by"].answer.startswith("ada@example.com, 2013-07-01")
    assert told["approved by"].state == "OK", "there was no gate to force"
    assert told["age"].answer == "2 days of 30 allowed"
    assert told["gates of the live version"].answer == "PASS: auc 0.73"
    assert (told["drift"].state, told["drift"].source) == ("ALARM", f"ledger: record {seq}")
    assert told["performance on labels"].state == told["service"].state == "NO_DATA"
    assert told["spend this month"].answer == "$40.00 of $100.00 (40 %), forecast $80.00"
    assert at.names("churn").drift_alarm in told["open alerts"].answer
    assert "drift: PSI 0.4" in told["open alerts"].answer
    assert card.state == "ALARM"
    page = render([card], "local")
    assert "ALARM" in page
    assert "$40.00 of $100.00" in page


def test_the_fallback_is_never_ok_for_want_of_records(at: FakeStackContext) -> None:
    at.endpoints.live["bedplate-local-churn"] = "bedplate-local-churn-fallback"
    told = {line.question: line.state for line in scorecard(at, "churn").lines}
    assert told["approved by"] == told["age"] == told["gates of the live version"] == "NO_DATA"


def test_an_unknown_model_is_not_found(at: FakeStackContext) -> None:
    with pytest.raises(NotFound):
        scorecard(at, "nope")
