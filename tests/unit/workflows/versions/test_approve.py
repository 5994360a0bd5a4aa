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
    told = {**PASSED, **metadata}
    at.registry.packages[GROUP] = [a_package(1, metadata=told)]
    evaluated(at, 1, verdict=told["verdict"])
    return at


def evaluated(at: FakeStackContext, version: int, **told: Any) -> None:
    """What `bedplate evaluate` writes to the ledger."""
    data = {**PASSED, "evaluation_sha256": sha256(b"figures"), **told}
    at.objects.put(str(data["evaluation_uri"]), b"figures")
    Ledger.of(at).record("evaluated", "judged", actor="ada", model="churn", version=version, data=data)


def yes(at: FakeStackContext, person: str | None = None, **changes: Any) -> ApprovalResult:
    return approve(at, replace(ApproveRequest("churn"), person=person, **changes))


def meanwhile(at: FakeStackContext, guard: Callable[[], AbstractContextManager[Any]], act: Callable[[], Any]) -> None:
    """Somebody else acts just before the next record is written."""
    put = at.objects.put_if_absent

    def late(uri: str, body: bytes) -> bool:
        at.objects.put_if_absent = put  # type: ignore[method-assign]
        with guard():
            act()
        return put(uri, body)

    at.objects.put_if_absent = late  # type: ignore[method-assign]


def kinds(at: FakeStackContext) -> list[str]:
    """What was decided, in order."""
    return [r.kind for r in Ledger(at.objects, "ledger", at.clock).records() if r.kind != "evaluated"]


def status(at: FakeStackContext) -> str:
    return at.registry.get(GROUP, 1).approval


def test_a_version_that_passed_is_approved_in_registry_and_ledger(tmp_path: Path) -> None:
    at = stage(tmp_path)
    done = yes(at)
    assert (done.outcome, status(at), kinds(at)) == ("approved", "Approved", ["approved"])
    assert at.registry.get(GROUP, 1).metadata["approved_by"] == "ada@example.com"


def test_approving_again_changes_nothing(tmp_path: Path) -> None:
    at = stage(tmp_path)
    yes(at)
    assert yes(at, version=1).outcome == "unchanged"
    assert kinds(at) == ["approved"]


def test_a_run_killed_before_the_registry_is_completed(tmp_path: Path) -> None:
    at = stage(tmp_path)
    held = list(at.registry.packages[GROUP])
    yes(at)
    at.registry.packages[GROUP] = held  # as if the kill had come before
    assert yes(at, version=1).outcome == "approved"
    assert (status(at), kinds(at)) == ("Approved", ["approved"])


def test_an_approval_written_by_hand_gets_its_record_by_the_command(tmp_path: Path) -> None:
    at = stage(tmp_path)
    at.registry.set_approval(at.registry.get(GROUP, 1), "Approved", "console")
    assert yes(at, version=1).outcome == "approved"
    assert kinds(at) == ["approved"]


def test_a_rejection_written_by_hand_undoes_every_yes(tmp_path: Path) -> None:
    at = stage(tmp_path, risk="high")
    for person in ("ada@example.com", "grace@example.com"):
        with contextlib.suppress(ApprovalNeeded):
            yes(at, person)
    at.registry.set_approval(at.registry.get(GROUP, 1), "Rejected", "console")
    with pytest.raises(ApprovalNeeded, match="1 more"):
        yes(at, "grace@example.com", version=1)
    assert (status(at), kinds(at)[2:]) == ("PendingManualApproval", ["rejected", "approved"])


def test_two_who_approve_at_once_are_two_people(tmp_path: Path) -> None:
    at = stage(tmp_path, risk="high")
    meanwhile(at, partial(contextlib.suppress, ApprovalNeeded), lambda: yes(at, "grace@example.com"))
    assert yes(at, "ada@example.com").people == ("grace@example.com", "ada@example.com")
    assert (status(at), kinds(at)) == ("Approved", ["approved", "approved"])


def test_one_who_approves_while_another_rejects_is_told_and_registry_and_ledger_agree(tmp_path: Path) -> None:
    at = stage(tmp_path, risk="high")
    meanwhile(at, contextlib.nullcontext, lambda: yes(at, "grace@example.com", reject=True, reason="broken", version=1))
    with pytest.raises(ApprovalNeeded, match="1 more"):
        yes(at, "ada@example.com")
    assert kinds(at) == ["rejected", "approved"]


def test_the_registry_ends_as_the_ledgers_last_word_says(tmp_path: Path) -> None:
    at = stage(tmp_path)
    write = at.registry.set_approval

    def late(package: Package, approval: Any, note: str) -> Package:
        at.registry.set_approval = write  # type: ignore[method-assign]
        yes(at, "grace@example.com", reject=True, reason="broken", version=1)
        return write(package, approval, note)

    at.registry.set_approval = late  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="grace"):
        yes(at)
    assert (status(at), kinds(at)) == ("Rejected", ["approved", "rejected"])


def test_a_yes_is_not_written_behind_an_evaluation_that_it_has_not_seen(tmp_path: Path) -> None:
    at = stage(tmp_path)

    def fails() -> None:
        at.registry.update_metadata(at.registry.get(GROUP, 1), {"verdict": "FAIL"})
        evaluated(at, 1, verdict="FAIL")

    meanwhile(at, contextlib.nullcontext, fails)
    with pytest.raises(ApprovalNeeded, match="its gates said FAIL"):
        yes(at)
    assert (status(at), kinds(at)) == ("PendingManualApproval", [])


def test_the_trainer_and_strangers_are_sent_away(tmp_path: Path) -> None:
    at = stage(tmp_path, rules={"not_trainer": True, "approvers": ["grace@example.com", "ada@example.com"]})
    with pytest.raises(ApprovalNeeded, match="trained it"):
        yes(at, "ada@example.com", force=True, reason="mine")
    with pytest.raises(ApprovalNeeded, match="approvers"):
        yes(at, "bob@example.com")
    assert yes(at, "grace@example.com").outcome == "approved"


@pytest.mark.parametrize("verdict", ["FAIL", "NO_DATA"])
def test_a_shut_gate_is_not_approved_without_force(tmp_path: Path, verdict: str) -> None:
    at = stage(tmp_path, verdict=verdict)
    with pytest.raises(ApprovalNeeded, match=verdict) as refused:
        yes(at)
    assert refused.value.exit_code == 4
    assert (status(at), kinds(at)) == ("PendingManualApproval", [])


def test_force_needs_a_reason_and_keeps_it(tmp_path: Path) -> None:
    at = stage(tmp_path, verdict="FAIL")
    with pytest.raises(UsageError, match="reason"):
        yes(at, force=True)
    done = yes(at, force=True, reason="a drill")
    assert done.waived
    assert kinds(at) == ["forced"]
    assert at.registry.get(GROUP, 1).metadata["force_reason"] == "a drill"


def test_a_dirty_tree_is_never_approved_without_force(tmp_path: Path) -> None:
    with pytest.raises(ApprovalNeeded, match="changed after the commit"):
        yes(stage(tmp_path, code_dirty="true"))


def test_high_risk_takes_two_people_in_two_commands(tmp_path: Path) -> None:
    at = stage(tmp_path, risk="high")
    with pytest.raises(ApprovalNeeded, match="1 more person"):
        yes(at, "ada@example.com")
    with pytest.raises(ApprovalNeeded):
        yes(at, "ada@example.com")
    assert (status(at), kinds(at)) == ("PendingManualApproval", ["approved"])
    done = yes(at, "grace@example.com")
    assert done.people == ("ada@example.com", "grace@example.com")
    assert (status(at), kinds(at)) == ("Approved", ["approved", "approved"])


def test_a_first_yes_on_other_evidence_does_not_count(tmp_path: Path) -> None:
    at = stage(tmp_path, risk="high")
    with pytest.raises(ApprovalNeeded):
        yes(at, "ada@example.com")
    at.registry.update_metadata(at.registry.get(GROUP, 1), {"evaluation_uri": "s3://artifacts/new.json"})
    evaluated(at, 1, evaluation_uri="s3://artifacts/new.json")
    with pytest.raises(ApprovalNeeded, match="1 more person"):
        yes(at, "grace@example.com")


def test_a_rejection_needs_a_reason_and_undoes_the_first_yes(tmp_path: Path) -> None:
    at = stage(tmp_path, risk="high")
    with pytest.raises(ApprovalNeeded):
        yes(at, "ada@example.com")
    with pytest.raises(UsageError):
        yes(at, reject=True)
    assert yes(at, reject=True, reason="broken feed", version=1).outcome == "rejected"
    assert status(at) == "Rejected"
    with pytest.raises(ApprovalNeeded):
        yes(at, "grace@example.com", version=1)


def test_the_newest_version_that_waits_is_meant(tmp_path: Path) -> None:
    at = stage(tmp_path)
    at.registry.packages[GROUP] += [
        a_package(2, metadata=PASSED),
        a_package(3, metadata=PASSED, approval="Rejected"),
    ]
    evaluated(at, 2)
    assert yes(at).package.version == 2


@pytest.mark.parametrize(
    ("by_hand", "told"),
    [
        ({"verdict": "PASS"}, "it says PASS, and record 1 of the ledger FAIL"),
        ({"evaluation_uri": "s3://artifacts/other.json"}, "it names s3://artifacts/other.json, and record 1"),
    ],
)
def test_a_verdict_that_a_hand_wrote_into_the_registry_opens_nothing(
    tmp_path: Path, by_hand: dict[str, str], told: str
) -> None:
    at = stage(tmp_path, verdict="FAIL")
    at.registry.update_metadata(at.registry.get(GROUP, 1), by_hand)
    for force in (False, True):
        with pytest.raises(ApprovalNeeded, match=told) as refused:
            yes(at, force=force, reason="it is fine")
    assert refused.value.next_step == "bedplate evaluate churn:1"
    assert (status(at), kinds(at)) == ("PendingManualApproval", [])


@pytest.mark.parametrize(("body", "told"), [(b"better figures", "hashes to"), (None, "is gone")])
def test_an_evaluation_that_is_not_the_one_that_was_judged_is_measured_again(
    tmp_path: Path, body: bytes | None, told: str
) -> None:
    at = stage(tmp_path)
    del at.objects.contents[PASSED["evaluation_uri"]]
    if body:
        at.objects.put(PASSED["evaluation_uri"], body)
    with pytest.raises(ApprovalNeeded, match=told) as refused:
        yes(at)
    assert refused.value.next_step == "bedplate evaluate churn:1 --again"


def test_a_verdict_that_the_ledger_does_not_know_yet_is_no_evidence(tmp_path: Path) -> None:
    at = stage(tmp_path)
    at.registry.packages[GROUP].append(a_package(2, metadata=PASSED))  # an evaluation that was killed before its record
    with pytest.raises(ApprovalNeeded, match="the ledger holds no evaluation") as refused:
        yes(at, version=2)
    assert refused.value.next_step == "bedplate evaluate churn:2"
    evaluated(at, 2)
    assert yes(at, version=2).outcome == "approved"


def test_the_last_evaluation_counts_and_not_one_before_it(tmp_path: Path) -> None:
    at = stage(tmp_path)
    evaluated(at, 1, verdict="FAIL")
    with pytest.raises(ApprovalNeeded, match="record 2 of the ledger FAIL"):
        yes(at)


def test_what_was_never_evaluated_is_approved_by_force_only(tmp_path: Path) -> None:
    at = a_stack_context(tmp_path, a_spec())
    at.registry.packages[GROUP] = [a_package(1)]
    with pytest.raises(ApprovalNeeded, match="never evaluated"):
        yes(at)
    assert yes(at, force=True, reason="a drill").waived == ("it was never evaluated",)


def test_nothing_that_waits_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="waits"):
        yes(a_stack_context(tmp_path))


def test_on_aws_nobody_speaks_for_somebody_else(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--as"):
        yes(stage(tmp_path, target="aws"), "grace@example.com")
