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


def asked(at: FakeStackContext, version: int | None = 1, **changes: Any) -> RetirementResult:
    return retire(at, replace(RetireRequest("churn", version, "replaced"), **changes))


def kinds(at: FakeStackContext) -> list[str]:
    return [r.kind for r in Ledger.of(at).records() if r.kind == "retired"]


def test_a_version_that_nobody_uses_is_retired_and_not_deployed_any_more(stack: FakeStackContext) -> None:
    assert asked(stack) == RetirementResult("churn:1", TODAY, (), is_changed=True)
    assert not asked(stack).is_changed
    assert kinds(stack) == ["retired"]
    with pytest.raises(UsageError, match="churn:1 is retired since") as refused:
        prepare(stack, DeployRequest("churn", 1))
    assert "--cancel" in str(refused.value.next_step)
    assert prepare(stack, DeployRequest("churn", 2)).version == 2
    assert stack.registry.get(ENDPOINT, 1).metadata["retire_on"] == TODAY.isoformat()


def test_taken_back_it_is_deployed_again(stack: FakeStackContext) -> None:
    asked(stack)
    assert asked(stack, cancel=True).is_changed
    assert not asked(stack, cancel=True).is_changed
    assert prepare(stack, DeployRequest("churn", 1)).version == 1
    assert load_card(stack, "churn", 1).retire_on is None


def test_what_is_live_or_a_rollbacks_target_is_not_retired_today_without_force(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1)
    with pytest.raises(ApprovalNeeded, match="it is live"):
        asked(stack)
    stack.clock.sleep(600)
    deploy_version(stack, version=2)
    with pytest.raises(ApprovalNeeded, match="rollback candidate"):
        asked(stack)
    assert asked(stack, force=True).warnings
    record = Ledger.of(stack).records()[-1]
    assert (record.data["forced"], record.data["overridden"]) == (True, [f"it is rollback candidate on {ENDPOINT}"])


def test_a_day_to_come_is_announced_whatever_is_live_and_holds_from_that_day_on(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1)
    done = asked(stack, on=TODAY + timedelta(days=40))
    assert (done.is_changed, done.warnings) == (True, (f"it is live on {ENDPOINT}",))
    assert read_status(stack, "churn").retirement is None
    stack.clock.sleep(86400 * 11)
    assert "retires in 29 days" in (read_status(stack, "churn").retirement or "")
    assert prepare(stack, DeployRequest("churn", 1)).version == 1
    stack.clock.sleep(86400 * 30)
    with pytest.raises(UsageError, match="is retired since"):
        prepare(stack, DeployRequest("churn", 1))


def test_what_gave_answers_in_the_last_days_is_still_in_use(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1)
    stack.clock.sleep(600)
    deploy_version(stack, version=2)
    stack.clock.sleep(600)
    version3 = stack.registry.get(ENDPOINT, 3)
    stack.registry.set_approval(version3, "Approved", "ada")
    told = {"final": True}
    Ledger.of(stack).record("approved", "yes", actor="ada", model="churn", version=3, data=told)
    deploy_version(stack, version=3)
    answered = [(stack.clock.now(), 12.0)]
    stack.metrics.list_datapoints = lambda *a, **k: answered  # type: ignore[method-assign]
    with pytest.raises(ApprovalNeeded, match="12 answers in the last 7 days"):
        asked(stack)


def test_a_model_is_retired_with_all_its_versions(stack: FakeStackContext) -> None:
    assert asked(stack, None).target == "churn"
    for version in (1, 2, None):
        with pytest.raises(UsageError, match="churn is retired"):
            prepare(stack, DeployRequest("churn", version))


def test_the_contracts_own_date_is_heeded(stack: FakeStackContext) -> None:
    stack.specs["churn"] = a_spec(retire_on=str(TODAY))
    with pytest.raises(UsageError, match=r"model\.yaml") as refused:
        prepare(stack, DeployRequest("churn", 1))
    assert "model.yaml" in str(refused.value.next_step)
    assert "is retired since" in (read_status(stack, "churn").retirement or "")


def test_the_earliest_date_counts(stack: FakeStackContext) -> None:
    stack.specs["churn"] = a_spec(retire_on="2999-01-01")
    asked(stack, on=date(2998, 1, 1))
    asked(stack, None, on=date(2997, 1, 1))
    assert load_card(stack, "churn", 1).retire_on == "2997-01-01"
    assert load_card(stack, "churn", 2).retire_on == "2997-01-01"


def test_a_reason_is_wanted_and_the_version_must_exist(stack: FakeStackContext) -> None:
    with pytest.raises(UsageError, match="reason"):
        asked(stack, reason=" ")
    with pytest.raises(NotFound):
        asked(stack, 9)
