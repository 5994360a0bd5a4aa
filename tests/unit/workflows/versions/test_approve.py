"""Approvals and rejections in registry and ledger, and the rules that prevent them."""

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


def build_stack(
    tmp_path: Path, *, risk: str = "low", target: str = "local", rules: dict[str, Any] | None = None, **metadata: str
) -> FakeStackContext:
    changes = {"settings": settings(target=target)}
    stack = a_stack_context(tmp_path, a_spec(risk=risk, approval=rules or {}), **changes)
    values = {**PASSED, **metadata}
    stack.registry.packages[GROUP] = [a_package(1, metadata=values)]
    record_evaluation(stack, 1, verdict=values["verdict"])
    return stack


def record_evaluation(stack: FakeStackContext, version: int, **payload: Any) -> None:
    """Writes the record of `bedplate evaluate` to the ledger."""
    data = {**PASSED, "evaluation_sha256": sha256(b"figures"), **payload}
    stack.objects.put(str(data["evaluation_uri"]), b"figures")
    Ledger.of(stack).record("evaluated", "judged", actor="ada", model="churn", version=version, data=data)


def approve_version(stack: FakeStackContext, person: str | None = None, **changes: Any) -> ApprovalResult:
    return approve(stack, replace(ApproveRequest("churn"), person=person, **changes))


def meanwhile(
    stack: FakeStackContext, guard: Callable[[], AbstractContextManager[Any]], act: Callable[[], Any]
) -> None:
    """Another person acts just before the next record is written."""
    put = stack.objects.put_if_absent

    def put_late(uri: str, body: bytes) -> bool:
        stack.objects.put_if_absent = put  # type: ignore[method-assign]
        with guard():
            act()
        return put(uri, body)

    stack.objects.put_if_absent = put_late  # type: ignore[method-assign]


def record_kinds(stack: FakeStackContext) -> list[str]:
    """The kinds of decision records, in order."""
    return [r.kind for r in Ledger(stack.objects, "ledger", stack.clock).records() if r.kind != "evaluated"]


def approval_status(stack: FakeStackContext) -> str:
    return stack.registry.get(GROUP, 1).approval


def test_a_passing_version_is_approved_in_registry_and_ledger(tmp_path: Path) -> None:
    stack = build_stack(tmp_path)
    result = approve_version(stack)
    assert (result.outcome, approval_status(stack), record_kinds(stack)) == ("approved", "Approved", ["approved"])
    assert stack.registry.get(GROUP, 1).metadata["approved_by"] == "ada@example.com"


def test_approving_again_changes_nothing(tmp_path: Path) -> None:
    stack = build_stack(tmp_path)
    approve_version(stack)
    assert approve_version(stack, version=1).outcome == "unchanged"
    assert record_kinds(stack) == ["approved"]


def test_a_run_killed_before_the_registry_is_completed(tmp_path: Path) -> None:
    stack = build_stack(tmp_path)
    packages_before = list(stack.registry.packages[GROUP])
    approve_version(stack)
    stack.registry.packages[GROUP] = packages_before  # as if the command had been killed before the update
    assert approve_version(stack, version=1).outcome == "approved"
    assert (approval_status(stack), record_kinds(stack)) == ("Approved", ["approved"])


def test_the_command_records_an_approval_written_by_hand(tmp_path: Path) -> None:
    stack = build_stack(tmp_path)
    stack.registry.set_approval(stack.registry.get(GROUP, 1), "Approved", "console")
    assert approve_version(stack, version=1).outcome == "approved"
    assert record_kinds(stack) == ["approved"]


def test_a_rejection_written_by_hand_revokes_every_approval(tmp_path: Path) -> None:
    stack = build_stack(tmp_path, risk="high")
    for person in ("ada@example.com", "grace@example.com"):
        with contextlib.suppress(ApprovalNeeded):
            approve_version(stack, person)
    stack.registry.set_approval(stack.registry.get(GROUP, 1), "Rejected", "console")
    with pytest.raises(ApprovalNeeded, match="1 more"):
        approve_version(stack, "grace@example.com", version=1)
    assert (approval_status(stack), record_kinds(stack)[2:]) == ("PendingManualApproval", ["rejected", "approved"])


def test_two_simultaneous_approvals_both_count(tmp_path: Path) -> None:
    stack = build_stack(tmp_path, risk="high")
    meanwhile(stack, partial(contextlib.suppress, ApprovalNeeded), lambda: approve_version(stack, "grace@example.com"))
    assert approve_version(stack, "ada@example.com").people == ("grace@example.com", "ada@example.com")
    assert (approval_status(stack), record_kinds(stack)) == ("Approved", ["approved", "approved"])


def test_a_simultaneous_rejection_cancels_the_approval(tmp_path: Path) -> None:
    stack = build_stack(tmp_path, risk="high")
    meanwhile(
        stack,
        contextlib.nullcontext,
        lambda: approve_version(stack, "grace@example.com", reject=True, reason="broken", version=1),
    )
    with pytest.raises(ApprovalNeeded, match="1 more"):
        approve_version(stack, "ada@example.com")
    assert record_kinds(stack) == ["rejected", "approved"]


def test_the_registry_gets_the_ledgers_last_decision(tmp_path: Path) -> None:
    stack = build_stack(tmp_path)
    write = stack.registry.set_approval

    def set_late(package: Package, approval: Any, note: str) -> Package:
        stack.registry.set_approval = write  # type: ignore[method-assign]
        approve_version(stack, "grace@example.com", reject=True, reason="broken", version=1)
        return write(package, approval, note)

    stack.registry.set_approval = set_late  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="grace"):
        approve_version(stack)
    assert (approval_status(stack), record_kinds(stack)) == ("Rejected", ["approved", "rejected"])


def test_an_approval_is_not_written_after_a_newer_evaluation(tmp_path: Path) -> None:
    stack = build_stack(tmp_path)

    def fails() -> None:
        stack.registry.update_metadata(stack.registry.get(GROUP, 1), {"verdict": "FAIL"})
        record_evaluation(stack, 1, verdict="FAIL")

    meanwhile(stack, contextlib.nullcontext, fails)
    with pytest.raises(ApprovalNeeded, match="its gates' verdict is FAIL"):
        approve_version(stack)
    assert (approval_status(stack), record_kinds(stack)) == ("PendingManualApproval", [])


def test_the_trainer_and_unlisted_approvers_are_refused(tmp_path: Path) -> None:
    stack = build_stack(tmp_path, rules={"not_trainer": True, "approvers": ["grace@example.com", "ada@example.com"]})
    with pytest.raises(ApprovalNeeded, match="trained it"):
        approve_version(stack, "ada@example.com", force=True, reason="mine")
    with pytest.raises(ApprovalNeeded, match="approvers"):
        approve_version(stack, "bob@example.com")
    assert approve_version(stack, "grace@example.com").outcome == "approved"


@pytest.mark.parametrize("verdict", ["FAIL", "NO_DATA"])
def test_a_failed_gate_is_not_approved_without_force(tmp_path: Path, verdict: str) -> None:
    stack = build_stack(tmp_path, verdict=verdict)
    with pytest.raises(ApprovalNeeded, match=verdict) as error:
        approve_version(stack)
    assert error.value.exit_code == 4
    assert (approval_status(stack), record_kinds(stack)) == ("PendingManualApproval", [])


def test_force_needs_a_reason_and_records_it(tmp_path: Path) -> None:
    stack = build_stack(tmp_path, verdict="FAIL")
    with pytest.raises(UsageError, match="reason"):
        approve_version(stack, force=True)
    result = approve_version(stack, force=True, reason="a drill")
    assert result.waived
    assert record_kinds(stack) == ["forced"]
    assert stack.registry.get(GROUP, 1).metadata["force_reason"] == "a drill"


def test_uncommitted_code_is_not_approved_without_force(tmp_path: Path) -> None:
    with pytest.raises(ApprovalNeeded, match="changed after the recorded commit"):
        approve_version(build_stack(tmp_path, code_dirty="true"))


def test_high_risk_needs_two_people_in_two_commands(tmp_path: Path) -> None:
    stack = build_stack(tmp_path, risk="high")
    with pytest.raises(ApprovalNeeded, match="1 more person"):
        approve_version(stack, "ada@example.com")
    with pytest.raises(ApprovalNeeded):
        approve_version(stack, "ada@example.com")
    assert (approval_status(stack), record_kinds(stack)) == ("PendingManualApproval", ["approved"])
    result = approve_version(stack, "grace@example.com")
    assert result.people == ("ada@example.com", "grace@example.com")
    assert (approval_status(stack), record_kinds(stack)) == ("Approved", ["approved", "approved"])


def test_an_approval_of_other_evidence_does_not_count(tmp_path: Path) -> None:
    stack = build_stack(tmp_path, risk="high")
    with pytest.raises(ApprovalNeeded):
        approve_version(stack, "ada@example.com")
    stack.registry.update_metadata(stack.registry.get(GROUP, 1), {"evaluation_uri": "s3://artifacts/new.json"})
    record_evaluation(stack, 1, evaluation_uri="s3://artifacts/new.json")
    with pytest.raises(ApprovalNeeded, match="1 more person"):
        approve_version(stack, "grace@example.com")


def test_a_rejection_needs_a_reason_and_revokes_the_first_approval(tmp_path: Path) -> None:
    stack = build_stack(tmp_path, risk="high")
    with pytest.raises(ApprovalNeeded):
        approve_version(stack, "ada@example.com")
    with pytest.raises(UsageError):
        approve_version(stack, reject=True)
    assert approve_version(stack, reject=True, reason="broken feed", version=1).outcome == "rejected"
    assert approval_status(stack) == "Rejected"
    with pytest.raises(ApprovalNeeded):
        approve_version(stack, "grace@example.com", version=1)


def test_the_newest_waiting_version_is_the_default(tmp_path: Path) -> None:
    stack = build_stack(tmp_path)
    stack.registry.packages[GROUP] += [
        a_package(2, metadata=PASSED),
        a_package(3, metadata=PASSED, approval="Rejected"),
    ]
    record_evaluation(stack, 2)
    assert approve_version(stack).package.version == 2


@pytest.mark.parametrize(
    ("by_hand", "message"),
    [
        ({"verdict": "PASS"}, "it says PASS, and record 1 of the ledger says FAIL"),
        ({"evaluation_uri": "s3://artifacts/other.json"}, "it names s3://artifacts/other.json, and record 1 names"),
    ],
)
def test_a_verdict_written_by_hand_is_refused(tmp_path: Path, by_hand: dict[str, str], message: str) -> None:
    stack = build_stack(tmp_path, verdict="FAIL")
    stack.registry.update_metadata(stack.registry.get(GROUP, 1), by_hand)
    for force in (False, True):
        with pytest.raises(ApprovalNeeded, match=message) as error:
            approve_version(stack, force=force, reason="it is fine")
    assert error.value.next_step == "bedplate evaluate churn:1"
    assert (approval_status(stack), record_kinds(stack)) == ("PendingManualApproval", [])


@pytest.mark.parametrize(("body", "message"), [(b"better figures", "hashes to"), (None, "is gone")])
def test_a_changed_evaluation_file_is_refused(tmp_path: Path, body: bytes | None, message: str) -> None:
    stack = build_stack(tmp_path)
    del stack.objects.contents[PASSED["evaluation_uri"]]
    if body:
        stack.objects.put(PASSED["evaluation_uri"], body)
    with pytest.raises(ApprovalNeeded, match=message) as error:
        approve_version(stack)
    assert error.value.next_step == "bedplate evaluate churn:1 --again"


def test_a_verdict_without_a_ledger_record_is_refused(tmp_path: Path) -> None:
    stack = build_stack(tmp_path)
    stack.registry.packages[GROUP].append(a_package(2, metadata=PASSED))  # an evaluation killed before its record
    with pytest.raises(ApprovalNeeded, match="the ledger holds no evaluation") as error:
        approve_version(stack, version=2)
    assert error.value.next_step == "bedplate evaluate churn:2"
    record_evaluation(stack, 2)
    assert approve_version(stack, version=2).outcome == "approved"


def test_only_the_last_evaluation_counts(tmp_path: Path) -> None:
    stack = build_stack(tmp_path)
    record_evaluation(stack, 1, verdict="FAIL")
    with pytest.raises(ApprovalNeeded, match="record 2 of the ledger says FAIL"):
        approve_version(stack)


def test_an_unevaluated_version_needs_force(tmp_path: Path) -> None:
    stack = a_stack_context(tmp_path, a_spec())
    stack.registry.packages[GROUP] = [a_package(1)]
    with pytest.raises(ApprovalNeeded, match="never evaluated"):
        approve_version(stack)
    assert approve_version(stack, force=True, reason="a drill").waived == ("it was never evaluated",)


def test_no_waiting_version_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="waits"):
        approve_version(a_stack_context(tmp_path))


def test_the_option_as_is_rejected_on_aws(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--as"):
        approve_version(build_stack(tmp_path, target="aws"), "grace@example.com")
