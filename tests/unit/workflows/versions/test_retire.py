"""Versions and models are retired, now or on a date."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from bedplate.errors import ApprovalNeeded, NotFound, UsageError
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import DeployRequest, prepare
from bedplate.workflows.versions.card import load_card
from bedplate.workflows.versions.retire import RetirementResult, RetireRequest, retire
from bedplate.workflows.watch.status import read_status
from builders import a_spec
from fakes import EPOCH, FakeStackContext
from release_builders import ENDPOINT
from release_stack import deploy_version

TODAY = EPOCH.date()


def retire_version(stack: FakeStackContext, version: int | None = 1, **changes: Any) -> RetirementResult:
    return retire(stack, replace(RetireRequest("churn", version, "replaced"), **changes))


def record_kinds(stack: FakeStackContext) -> list[str]:
    return [r.kind for r in Ledger.of(stack).records() if r.kind == "retired"]


def test_an_unused_version_is_retired_and_cannot_be_deployed(stack: FakeStackContext) -> None:
    assert retire_version(stack) == RetirementResult("churn:1", TODAY, (), is_changed=True)
    assert not retire_version(stack).is_changed
    assert record_kinds(stack) == ["retired"]
    with pytest.raises(UsageError, match="churn:1 has been retired since") as error:
        prepare(stack, DeployRequest("churn", 1))
    assert "--cancel" in str(error.value.next_step)
    assert prepare(stack, DeployRequest("churn", 2)).version == 2
    assert stack.registry.get(ENDPOINT, 1).metadata["retire_on"] == TODAY.isoformat()


def test_a_cancelled_retirement_allows_deployment(stack: FakeStackContext) -> None:
    retire_version(stack)
    assert retire_version(stack, cancel=True).is_changed
    assert not retire_version(stack, cancel=True).is_changed
    assert prepare(stack, DeployRequest("churn", 1)).version == 1
    assert load_card(stack, "churn", 1).retire_on is None


def test_a_live_version_or_rollback_target_needs_force_today(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1)
    with pytest.raises(ApprovalNeeded, match="it is live"):
        retire_version(stack)
    stack.clock.sleep(600)
    deploy_version(stack, version=2)
    with pytest.raises(ApprovalNeeded, match="rollback candidate"):
        retire_version(stack)
    assert retire_version(stack, force=True).warnings
    record = Ledger.of(stack).records()[-1]
    assert (record.data["forced"], record.data["overridden"]) == (True, [f"it is rollback candidate on {ENDPOINT}"])


def test_a_future_date_is_accepted_while_live_and_applies_from_then(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1)
    result = retire_version(stack, on=TODAY + timedelta(days=40))
    assert (result.is_changed, result.warnings) == (True, (f"it is live on {ENDPOINT}",))
    assert read_status(stack, "churn").retirement is None
    stack.clock.sleep(86400 * 11)
    assert "retires in 29 days" in (read_status(stack, "churn").retirement or "")
    assert prepare(stack, DeployRequest("churn", 1)).version == 1
    stack.clock.sleep(86400 * 30)
    with pytest.raises(UsageError, match="has been retired since"):
        prepare(stack, DeployRequest("churn", 1))


def test_a_version_with_recent_predictions_is_in_use(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1)
    stack.clock.sleep(600)
    deploy_version(stack, version=2)
    stack.clock.sleep(600)
    version3 = stack.registry.get(ENDPOINT, 3)
    stack.registry.set_approval(version3, "Approved", "ada")
    payload = {"final": True}
    Ledger.of(stack).record("approved", "yes", actor="ada", model="churn", version=3, data=payload)
    deploy_version(stack, version=3)
    datapoints = [(stack.clock.now(), 12.0)]
    stack.metrics.list_datapoints = lambda *a, **k: datapoints  # type: ignore[method-assign]
    with pytest.raises(ApprovalNeeded, match="12 predictions in the last 7 days"):
        retire_version(stack)


def test_a_model_is_retired_with_all_its_versions(stack: FakeStackContext) -> None:
    assert retire_version(stack, None).target == "churn"
    for version in (1, 2, None):
        with pytest.raises(UsageError, match="churn has been retired"):
            prepare(stack, DeployRequest("churn", version))


def test_the_contracts_retirement_date_applies(stack: FakeStackContext) -> None:
    stack.specs["churn"] = a_spec(retire_on=str(TODAY))
    with pytest.raises(UsageError, match=r"model\.yaml") as error:
        prepare(stack, DeployRequest("churn", 1))
    assert "model.yaml" in str(error.value.next_step)
    assert "has been retired since" in (read_status(stack, "churn").retirement or "")


def test_the_earliest_date_counts(stack: FakeStackContext) -> None:
    stack.specs["churn"] = a_spec(retire_on="2999-01-01")
    retire_version(stack, on=date(2998, 1, 1))
    retire_version(stack, None, on=date(2997, 1, 1))
    assert load_card(stack, "churn", 1).retire_on == "2997-01-01"
    assert load_card(stack, "churn", 2).retire_on == "2997-01-01"


def test_a_reason_and_an_existing_version_are_required(stack: FakeStackContext) -> None:
    with pytest.raises(UsageError, match="reason"):
        retire_version(stack, reason=" ")
    with pytest.raises(NotFound):
        retire_version(stack, 9)
