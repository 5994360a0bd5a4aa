"""The rules that an approval must satisfy."""

from __future__ import annotations

import pytest

from bedplate.domain.versions.approval import ApprovalDecision, ApprovalEvidence, decide_approval
from bedplate.settings import Approval

CLEAN = ApprovalEvidence("PASS", "s3://e", "false")


def decide(evidence: ApprovalEvidence = CLEAN, **changes: object) -> ApprovalDecision:
    arguments = {"required_approvals": 1, "person": "ada", "earlier_approvers": [], "force": False, **changes}
    return decide_approval(evidence, **arguments)  # type: ignore[arg-type]


def test_the_required_people_must_be_different() -> None:
    assert decide(required_approvals=2).outcome == "needs-another"
    assert decide(required_approvals=2, earlier_approvers=["ada"]).outcome == "needs-another"
    assert decide(required_approvals=2, earlier_approvers=["Ada "]).outcome == "needs-another"
    assert decide(required_approvals=2, earlier_approvers=["grace"]).people == ("grace", "ada")
    assert decide(required_approvals=2, earlier_approvers=["grace"]).outcome == "approved"
    assert decide(required_approvals=3, earlier_approvers=["grace"]).outcome == "needs-another"


@pytest.mark.parametrize("verdict", [None, "FAIL", "NO_DATA"])
def test_a_verdict_other_than_pass_needs_force(verdict: str | None) -> None:
    evidence = ApprovalEvidence(verdict, None, "false")
    assert decide(evidence).outcome == "refused"
    forced = decide(evidence, force=True)
    assert forced.outcome == "approved"
    assert len(forced.waived) == 1


def test_uncommitted_code_is_refused_despite_a_pass() -> None:
    dirty = ApprovalEvidence("PASS", "s3://e", "true")
    assert decide(dirty).outcome == "refused"
    assert decide(dirty, requires_commit=False).outcome == "refused"
    assert decide(dirty, force=True, requires_commit=False).outcome == "approved"


def test_force_does_not_replace_a_required_commit() -> None:
    for state in ("true", "unknown"):
        decision = decide(ApprovalEvidence("FAIL", "s3://e", state), force=True)
        assert (decision.outcome, decision.can_force) == ("refused", False)


def test_only_the_listed_approvers_may_approve() -> None:
    rules = Approval(approvers=("Grace",))
    assert decide(rules=rules).exclusion
    assert decide(rules=rules, person="grace").outcome == "approved"
    assert (
        decide(rules=rules, person="grace", required_approvals=2, earlier_approvers=["ada"]).outcome == "needs-another"
    )
    assert decide(rules=rules, force=True).outcome == "refused"


def test_the_trainer_is_excluded_only_if_the_contract_says_so() -> None:
    by_ada = ApprovalEvidence("PASS", "s3://e", "false", "Ada")
    rules = Approval(not_trainer=True)
    assert decide(by_ada).outcome == "approved"
    assert decide(by_ada, rules=rules, force=True).outcome == "refused"
    assert decide(by_ada, rules=rules, person="grace").outcome == "approved"
    assert decide(CLEAN, rules=rules, person="grace").outcome == "refused"  # the trainer is not recorded


def test_code_without_git_is_refused_where_a_commit_is_required() -> None:
    unknown = ApprovalEvidence("PASS", "s3://e", "unknown")
    assert decide(unknown).outcome == "refused"
    assert decide(unknown, requires_commit=False).outcome == "approved"


def test_force_does_not_replace_the_second_approver() -> None:
    assert decide(ApprovalEvidence("FAIL", None, "false"), required_approvals=2, force=True).outcome == "needs-another"


def test_force_waives_nothing_if_nothing_is_missing() -> None:
    assert decide(force=True).waived == ()


def test_metadata_without_a_dirty_flag_counts_as_unknown() -> None:
    assert ApprovalEvidence.from_metadata({}).code_dirty == "unknown"
