"""A model's scorecard combines ledger, registry, budget and alarms."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bedplate.cli.pages.scorecard import render
from bedplate.errors import NotFound
from bedplate.ports import BudgetState
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.versions.approve import ApproveRequest, approve
from bedplate.workflows.watch.scorecard import build_scorecard
from fakes import FakeStackContext
from training_stack import build_trained_stack, record_drift


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    return build_trained_stack(tmp_path)


def test_a_scorecard_combines_ledger_registry_budget_and_alarms(stack: FakeStackContext) -> None:
    package = stack.registry.get("bedplate-local-churn", 1)
    stack.registry.update_metadata(package, {"verdict": "PASS", "metric.auc": "0.73"})
    verdict = {"verdict": "PASS"}
    Ledger.of(stack).record("evaluated", "judged", actor="ada", model="churn", version=1, data=verdict)
    approve(stack, ApproveRequest("churn", 1, force=True, reason="a drill"))
    live = stack.endpoints.live["bedplate-local-churn"]
    Ledger.of(stack).record(
        "deployed", "v1", actor="ada", model="churn", version=1, data={"release": live, "live": live}
    )
    seq = record_drift(stack, "drift")
    stack.costs.budgets = [BudgetState("bedplate-local-churn", 100, 40, 80, ())]
    stack.metrics.raise_alarm(stack.names("churn").drift_alarm, "PSI")
    stack.clock.at += timedelta(days=2)
    card = build_scorecard(stack, "churn")
    lines = {line.topic: line for line in card.lines}
    assert lines["live"].detail == "v1 since 2013-07-01 12:00 UTC"
    assert lines["approved by"].detail.startswith("ada@example.com, 2013-07-01")
    assert lines["approved by"].state == "OK", "there was no gate to force"
    assert lines["age"].detail == "2 days of 30 allowed"
    assert lines["gates of the live version"].detail == "PASS: auc 0.73"
    assert (lines["drift"].state, lines["drift"].source) == ("ALARM", f"ledger: record {seq}")
    assert lines["performance on labels"].state == lines["service"].state == "NO_DATA"
    assert lines["spend this month"].detail == "$40.00 of $100.00 (40 %), forecast $80.00"
    assert stack.names("churn").drift_alarm in lines["open alerts"].detail
    assert "drift: PSI 0.4" in lines["open alerts"].detail
    assert card.state == "ALARM"
    page = render([card], "local")
    assert "ALARM" in page
    assert "$40.00 of $100.00" in page


def test_the_fallback_without_records_is_not_ok(stack: FakeStackContext) -> None:
    stack.endpoints.live["bedplate-local-churn"] = "bedplate-local-churn-fallback"
    lines = {line.topic: line.state for line in build_scorecard(stack, "churn").lines}
    assert lines["approved by"] == lines["age"] == lines["gates of the live version"] == "NO_DATA"


def test_an_unknown_model_is_not_found(stack: FakeStackContext) -> None:
    with pytest.raises(NotFound):
        build_scorecard(stack, "nope")
