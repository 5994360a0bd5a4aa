from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bedplate.domain.ledger import sha256
from bedplate.errors import ApprovalNeeded, Conflict, NotFound, UsageError
from bedplate.ports import Package
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.versions.approve import ApprovalResult, ApproveRequest, approve
from builders import a_package, a_spec, a_stack_context, settings
from fakes import FakeStackContext

GROUP = "bedplate-local-churn"
PASSED = {"verdict": "PASS", "evaluation_uri": "s3://artifacts/evaluations/1.json"}


def stage(
    tmp_path: Path, *, risk: str = "low", target: str = "local", rules: dict[str, Any] | None = None, **metadata: str
) -> FakeStackContext:
    changes = {"settings": settings(target=target)}
    at = a_stack_context(tmp_path, a_spec(risk=risk, approval=rules or {}), **changes)
    values = {**PASSED, **metadata}
    at.registry.packages[GROUP] = [a_package(1, metadata=values)]
    record_evaluation(at, 1, verdict=values["verdict"])
    return at


def record_evaluation(at: FakeStackContext, version: int, **payload: Any) -> None:
    """Writes the record of `bedplate evaluate` to the ledger."""
    data = {**PASSED, "evaluation_sha256": sha256(b"figures"), **payload}
    at.objects.put(str(data["evaluation_uri"]), b"figures")
    Ledger.of(at).record("evaluated", "judged", actor="ada", model="churn", version=version, data=data)


def approve_version(at: FakeStackContext, person: str | None = None, **changes: Any) -> ApprovalResult:
    return approve(at, replace(ApproveRequest("churn"), person=person, **changes))


def meanwhile(at: FakeStackContext, guard: Callable[[], AbstractContextManager[Any]], act: Callable[[], Any]) -> None:
    """Another person acts just before the next record is written."""
    put = at.objects.put_if_absent

    def put_late(uri: str, body: bytes) -> bool:
        at.objects.put_if_absent = put  # type: ignore[method-assign]
        with guard():
            act()
        return put(uri, body)

    at.objects.put_if_absent = put_late  # type: ignore[method-assign]


def kinds(at: FakeStackContext) -> list[str]:
    """The kinds of decision records, in order."""
    return [r.kind for r in Ledger(at.objects, "ledger", at.clock).records() if r.kind != "evaluated"]


def status(at: FakeStackContext) -> str:
    return at.registry.get(GROUP, 1).approval


def test_a_passing_version_is_approved_in_registry_and_ledger(tmp_path: Path) -> None:
    at = stage(tmp_path)
    result = approve_version(at)
    assert (result.outcome, status(at), kinds(at)) == ("approved", "Approved", ["approved"])
    assert at.registry.get(GROUP, 1).metadata["approved_by"] == "ada@example.com"


def test_approving_again_changes_nothing(tmp_path: Path) -> None:
    at = stage(tmp_path)
    approve_version(at)
    assert approve_version(at, version=1).outcome == "unchanged"
    assert kinds(at) == ["approved"]


def test_a_run_killed_before_the_registry_is_completed(tmp_path: Path) -> None:
    at = stage(tmp_path)
    stored = list(at.registry.packages[GROUP])
    approve_version(at)
    at.registry.packages[GROUP] = stored  # as if the command had been killed before
    assert approve_version(at, version=1).outcome == "approved"
    assert (status(at), kinds(at)) == ("Approved", ["approved"])


def test_the_command_records_an_approval_written_by_hand(tmp_path: Path) -> None:
    at = stage(tmp_path)
    at.registry.set_approval(at.registry.get(GROUP, 1), "Approved", "console")
    assert approve_version(at, version=1).outcome == "approved"
    assert kinds(at) == ["approved"]


def test_a_rejection_written_by_hand_revokes_every_approval(tmp_path: Path) -> None:
    at = stage(tmp_path, risk="high")
    for person in ("ada@example.com", "grace@example.com"):
        with contextlib.suppress(ApprovalNeeded):
            approve_version(at, person)
    at.registry.set_approval(at.registry.get(GROUP, 1), "Rejected", "console")
    with pytest.raises(ApprovalNeeded, match="1 more"):
        approve_version(at, "grace@example.com", version=1)
    assert (status(at), kinds(at)[2:]) == ("PendingManualApproval", ["rejected", "approved"])


def test_two_simultaneous_approvals_both_count(tmp_path: Path) -> None:
    at = stage(tmp_path, risk="high")
    meanwhile(at, partial(contextlib.suppress, ApprovalNeeded), lambda: approve_version(at, "grace@example.com"))
    assert approve_version(at, "ada@example.com").people == ("grace@example.com", "ada@example.com")
    assert (status(at), kinds(at)) == ("Approved", ["approved", "approved"])


def test_a_simultaneous_rejection_cancels_the_approval(tmp_path: Path) -> None:
    at = stage(tmp_path, risk="high")
    meanwhile(
        at,
        contextlib.nullcontext,
        lambda: approve_version(at, "grace@example.com", reject=True, reason="broken", version=1),
    )
    with pytest.raises(ApprovalNeeded, match="1 more"):
        approve_version(at, "ada@example.com")
    assert kinds(at) == ["rejected", "approved"]


def test_the_registry_gets_the_ledgers_last_decision(tmp_path: Path) -> None:
    at = stage(tmp_path)
    write = at.registry.set_approval

    def set_late(package: Package, approval: Any, note: str) -> Package:
        at.registry.set_approval = write  # type: ignore[method-assign]
        approve_version(at, "grace@example.com", reject=True, reason="broken", version=1)
        return write(package, approval, note)

    at.registry.set_approval = set_late  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="grace"):
        approve_version(at)
    assert (status(at), kinds(at)) == ("Rejected", ["approved", "rejected"])


def test_an_approval_is_not_written_after_a_newer_evaluation(tmp_path: Path) -> None:
    at = stage(tmp_path)

    def fails() -> None:
        at.registry.update_metadata(at.registry.get(GROUP, 1), {"verdict": "FAIL"})
        record_evaluation(at, 1, verdict="FAIL")

    meanwhile(at, contextlib.nullcontext, fails)
    with pytest.raises(ApprovalNeeded, match="its gates' verdict is FAIL"):
        approve_version(at)
    assert (status(at), kinds(at)) == ("PendingManualApproval", [])


def test_the_trainer_and_unlisted_approvers_are_refused(tmp_path: Path) -> None:
    at = stage(tmp_path, rules={"not_trainer": True, "approvers": ["grace@example.com", "ada@example.com"]})
    with pytest.raises(ApprovalNeeded, match="trained it"):
        approve_version(at, "ada@example.com", force=True, reason="mine")
    with pytest.raises(ApprovalNeeded, match="approvers"):
        approve_version(at, "bob@example.com")
    assert approve_version(at, "grace@example.com").outcome == "approved"


@pytest.mark.parametrize("verdict", ["FAIL", "NO_DATA"])
def test_a_failed_gate_is_not_approved_without_force(tmp_path: Path, verdict: str) -> None:
    at = stage(tmp_path, verdict=verdict)
    with pytest.raises(ApprovalNeeded, match=verdict) as error:
        approve_version(at)
    assert error.value.exit_code == 4
    assert (status(at), kinds(at)) == ("PendingManualApproval", [])


def test_force_needs_a_reason_and_records_it(tmp_path: Path) -> None:
    at = stage(tmp_path, verdict="FAIL")
    with pytest.raises(UsageError, match="reason"):
        approve_version(at, force=True)
    result = approve_version(at, force=True, reason="a drill")
    assert result.waived
    assert kinds(at) == ["forced"]
    assert at.registry.get(GROUP, 1).metadata["force_reason"] == "a drill"


def test_uncommitted_code_is_not_approved_without_force(tmp_path: Path) -> None:
    with pytest.raises(ApprovalNeeded, match="changed after the recorded commit"):
        approve_version(stage(tmp_path, code_dirty="true"))


def test_high_risk_needs_two_people_in_two_commands(tmp_path: Path) -> None:
    at = stage(tmp_path, risk="high")
    with pytest.raises(ApprovalNeeded, match="1 more person"):
        approve_version(at, "ada@example.com")
    with pytest.raises(ApprovalNeeded):
        approve_version(at, "ada@example.com")
    assert (status(at), kinds(at)) == ("PendingManualApproval", ["approved"])
    result = approve_version(at, "grace@example.com")
    assert result.people == ("ada@example.com", "grace@example.com")
    assert (status(at), kinds(at)) == ("Approved", ["approved", "approved"])


def test_an_approval_of_other_evidence_does_not_count(tmp_path: Path) -> None:
    at = stage(tmp_path, risk="high")
    with pytest.raises(ApprovalNeeded):
        approve_version(at, "ada@example.com")
    at.registry.update_metadata(at.registry.get(GROUP, 1), {"evaluation_uri": "s3://artifacts/new.json"})
    record_evaluation(at, 1, evaluation_uri="s3://artifacts/new.json")
    with pytest.raises(ApprovalNeeded, match="1 more person"):
        approve_version(at, "grace@example.com")


def test_a_rejection_needs_a_reason_and_revokes_the_first_approval(tmp_path: Path) -> None:
    at = stage(tmp_path, risk="high")
    with pytest.raises(ApprovalNeeded):
        approve_version(at, "ada@example.com")
    with pytest.raises(UsageError):
        approve_version(at, reject=True)
    assert approve_version(at, reject=True, reason="broken feed", version=1).outcome == "rejected"
    assert status(at) == "Rejected"
    with pytest.raises(ApprovalNeeded):
        approve_version(at, "grace@example.com", version=1)


def test_the_newest_waiting_version_is_the_default(tmp_path: Path) -> None:
    at = stage(tmp_path)
    at.registry.packages[GROUP] += [
        a_package(2, metadata=PASSED),
        a_package(3, metadata=PASSED, approval="Rejected"),
    ]
    record_evaluation(at, 2)
    assert approve_version(at).package.version == 2


@pytest.mark.parametrize(
    ("by_hand", "message"),
    [
        ({"verdict": "PASS"}, "it says PASS, and record 1 of the ledger says FAIL"),
        ({"evaluation_uri": "s3://artifacts/other.json"}, "it names s3://artifacts/other.json, and record 1 names"),
    ],
)
def test_a_verdict_written_by_hand_is_refused(tmp_path: Path, by_hand: dict[str, str], message: str) -> None:
    at = stage(tmp_path, verdict="FAIL")
    at.registry.update_metadata(at.registry.get(GROUP, 1), by_hand)
    for force in (False, True):
        with pytest.raises(ApprovalNeeded, match=message) as error:
            approve_version(at, force=force, reason="it is fine")
    assert error.value.next_step == "bedplate evaluate churn:1"
    assert (status(at), kinds(at)) == ("PendingManualApproval", [])


@pytest.mark.parametrize(("body", "message"), [(b"better figures", "hashes to"), (None, "is gone")])
def test_a_changed_evaluation_file_is_refused(tmp_path: Path, body: bytes | None, message: str) -> None:
    at = stage(tmp_path)
    del at.objects.contents[PASSED["evaluation_uri"]]
    if body:
        at.objects.put(PASSED["evaluation_uri"], body)
    with pytest.raises(ApprovalNeeded, match=message) as error:
        approve_version(at)
    assert error.value.next_step == "bedplate evaluate churn:1 --again"


def test_a_verdict_without_a_ledger_record_is_refused(tmp_path: Path) -> None:
    at = stage(tmp_path)
    at.registry.packages[GROUP].append(a_package(2, metadata=PASSED))  # an evaluation killed before its record
    with pytest.raises(ApprovalNeeded, match="the ledger holds no evaluation") as error:
        approve_version(at, version=2)
    assert error.value.next_step == "bedplate evaluate churn:2"
    record_evaluation(at, 2)
    assert approve_version(at, version=2).outcome == "approved"


def test_only_the_last_evaluation_counts(tmp_path: Path) -> None:
    at = stage(tmp_path)
    record_evaluation(at, 1, verdict="FAIL")
    with pytest.raises(ApprovalNeeded, match="record 2 of the ledger says FAIL"):
        approve_version(at)


def test_an_unevaluated_version_needs_force(tmp_path: Path) -> None:
    at = a_stack_context(tmp_path, a_spec())
    at.registry.packages[GROUP] = [a_package(1)]
    with pytest.raises(ApprovalNeeded, match="never evaluated"):
        approve_version(at)
    assert approve_version(at, force=True, reason="a drill").waived == ("it was never evaluated",)


def test_no_waiting_version_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="waits"):
        approve_version(a_stack_context(tmp_path))


def test_the_option_as_is_rejected_on_aws(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--as"):
        approve_version(stage(tmp_path, target="aws"), "grace@example.com")
