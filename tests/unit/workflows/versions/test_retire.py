from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from bedplate.errors import ApprovalNeeded, NotFound, UsageError
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import DeployRequest, prepare
from bedplate.workflows.versions.card import gather
from bedplate.workflows.versions.retire import RetirementResult, RetireRequest, retire
from bedplate.workflows.watch.status import status
from builders import a_spec
from fakes import EPOCH, FakeStackContext
from unit.workflows.release.test_deploy import E, platform, run

__all__ = ["platform"]

TODAY = EPOCH.date()


def asked(at: FakeStackContext, version: int | None = 1, **changes: Any) -> RetirementResult:
    return retire(at, replace(RetireRequest("churn", version, "replaced"), **changes))


def kinds(at: FakeStackContext) -> list[str]:
    return [r.kind for r in Ledger.of(at).records() if r.kind == "retired"]


def test_a_version_that_nobody_uses_is_retired_and_not_deployed_any_more(platform: FakeStackContext) -> None:
    assert asked(platform) == RetirementResult("churn:1", TODAY, (), changed=True)
    assert not asked(platform).changed
    assert kinds(platform) == ["retired"]
    with pytest.raises(UsageError, match="churn:1 is retired since") as refused:
        prepare(platform, DeployRequest("churn", 1))
    assert "--cancel" in str(refused.value.next_step)
    assert prepare(platform, DeployRequest("churn", 2)).version == 2
    assert platform.registry.get(E, 1).metadata["retire_on"] == TODAY.isoformat()


def test_taken_back_it_is_deployed_again(platform: FakeStackContext) -> None:
    asked(platform)
    assert asked(platform, cancel=True).changed
    assert not asked(platform, cancel=True).changed
    assert prepare(platform, DeployRequest("churn", 1)).version == 1
    assert gather(platform, "churn", 1).retire_on is None


def test_what_is_live_or_a_rollbacks_target_is_not_retired_today_without_force(platform: FakeStackContext) -> None:
    run(platform, version=1)
    with pytest.raises(ApprovalNeeded, match="it is live"):
        asked(platform)
    platform.clock.sleep(600)
    run(platform, version=2)
    with pytest.raises(ApprovalNeeded, match="rollback candidate"):
        asked(platform)
    assert asked(platform, force=True).objections
    record = Ledger.of(platform).records()[-1]
    assert (record.data["forced"], record.data["although"]) == (True, [f"it is rollback candidate on {E}"])


def test_a_day_to_come_is_announced_whatever_is_live_and_holds_from_that_day_on(platform: FakeStackContext) -> None:
    run(platform, version=1)
    done = asked(platform, on=TODAY + timedelta(days=40))
    assert (done.changed, done.objections) == (True, (f"it is live on {E}",))
    assert status(platform, "churn").retires is None
    platform.clock.sleep(86400 * 11)
    assert "retires in 29 days" in (status(platform, "churn").retires or "")
    assert prepare(platform, DeployRequest("churn", 1)).version == 1
    platform.clock.sleep(86400 * 30)
    with pytest.raises(UsageError, match="is retired since"):
        prepare(platform, DeployRequest("churn", 1))


def test_what_gave_answers_in_the_last_days_is_still_in_use(platform: FakeStackContext) -> None:
    run(platform, version=1)
    platform.clock.sleep(600)
    run(platform, version=2)
    platform.clock.sleep(600)
    version3 = platform.registry.get(E, 3)
    platform.registry.set_approval(version3, "Approved", "ada")
    told = {"final": True}
    Ledger.of(platform).record("approved", "yes", actor="ada", model="churn", version=3, data=told)
    run(platform, version=3)
    answered = [(platform.clock.now(), 12.0)]
    platform.metrics.series = lambda *a, **k: answered  # type: ignore[method-assign]
    with pytest.raises(ApprovalNeeded, match="12 answers in the last 7 days"):
        asked(platform)


def test_a_model_is_retired_with_all_its_versions(platform: FakeStackContext) -> None:
    assert asked(platform, None).what == "churn"
    for version in (1, 2, None):
        with pytest.raises(UsageError, match="churn is retired"):
            prepare(platform, DeployRequest("churn", version))


def test_the_contracts_own_date_is_heeded(platform: FakeStackContext) -> None:
    platform.specs["churn"] = a_spec(retire_on=str(TODAY))
    with pytest.raises(UsageError, match=r"model\.yaml") as refused:
        prepare(platform, DeployRequest("churn", 1))
    assert "model.yaml" in str(refused.value.next_step)
    assert "is retired since" in (status(platform, "churn").retires or "")


def test_the_earliest_date_counts(platform: FakeStackContext) -> None:
    platform.specs["churn"] = a_spec(retire_on="2999-01-01")
    asked(platform, on=date(2998, 1, 1))
    asked(platform, None, on=date(2997, 1, 1))
    assert gather(platform, "churn", 1).retire_on == "2997-01-01"
    assert gather(platform, "churn", 2).retire_on == "2997-01-01"


def test_a_reason_is_wanted_and_the_version_must_exist(platform: FakeStackContext) -> None:
    with pytest.raises(UsageError, match="reason"):
        asked(platform, reason=" ")
    with pytest.raises(NotFound):
        asked(platform, 9)
