from __future__ import annotations

import pytest

from bedplate.domain.versions.approval import ApprovalDecision, ApprovalEvidence, decide_approval
from bedplate.settings import Approval

CLEAN = ApprovalEvidence("PASS", "s3://e", "false")


def judge(evidence: ApprovalEvidence = CLEAN, **changes: object) -> ApprovalDecision:
    given = {"people_needed": 1, "person": "ada", "approved_before": [], "forced": False, **changes}
    return decide_approval(evidence, **given)  # type: ignore[arg-type]


def test_two_people_are_two_different_people() -> None:
    assert judge(people_needed=2).outcome == "one-more"
    assert judge(people_needed=2, approved_before=["ada"]).outcome == "one-more"
    assert judge(people_needed=2, approved_before=["Ada "]).outcome == "one-more"
    assert judge(people_needed=2, approved_before=["grace"]).people == ("grace", "ada")
    assert judge(people_needed=2, approved_before=["grace"]).outcome == "approved"
    assert judge(people_needed=3, approved_before=["grace"]).outcome == "one-more"


@pytest.mark.parametrize("verdict", [None, "FAIL", "NO_DATA"])
def test_only_pass_opens(verdict: str | None) -> None:
    evidence = ApprovalEvidence(verdict, None, "false")
    assert judge(evidence).outcome == "refused"
    forced = judge(evidence, forced=True)
    assert forced.outcome == "approved"
    assert len(forced.waived) == 1


def test_dirty_code_is_refused_even_with_a_pass() -> None:
    dirty = ApprovalEvidence("PASS", "s3://e", "true")
    assert judge(dirty).outcome == "refused"
    assert judge(dirty, commit_needed=False).outcome == "refused"
    assert judge(dirty, forced=True, commit_needed=False).outcome == "approved"


def test_where_a_commit_is_needed_force_does_not_replace_it() -> None:
    for state in ("true", "unknown"):
        decision = judge(ApprovalEvidence("FAIL", "s3://e", state), forced=True)
        assert (decision.outcome, decision.can_force) == ("refused", False)


def test_only_named_approvers_count() -> None:
    rules = Approval(approvers=("Grace",))
    assert judge(rules=rules).exclusion
    assert judge(rules=rules, person="grace").outcome == "approved"
    assert judge(rules=rules, person="grace", people_needed=2, approved_before=["ada"]).outcome == "one-more"
    assert judge(rules=rules, forced=True).outcome == "refused"


def test_the_trainer_is_kept_out_only_where_the_contract_says_so() -> None:
    by_ada = ApprovalEvidence("PASS", "s3://e", "false", "Ada")
    rules = Approval(not_trainer=True)
    assert judge(by_ada).outcome == "approved"
    assert judge(by_ada, rules=rules, forced=True).outcome == "refused"
    assert judge(by_ada, rules=rules, person="grace").outcome == "approved"
    assert judge(CLEAN, rules=rules, person="grace").outcome == "refused"  # nobody knows who trained it


def test_code_that_no_git_knows_is_refused_where_a_commit_is_needed() -> None:
    unknown = ApprovalEvidence("PASS", "s3://e", "unknown")
    assert judge(unknown).outcome == "refused"
    assert judge(unknown, commit_needed=False).outcome == "approved"


def test_force_does_not_replace_the_second_person() -> None:
    assert judge(ApprovalEvidence("FAIL", None, "false"), people_needed=2, forced=True).outcome == "one-more"


def test_force_waives_nothing_when_nothing_is_missing() -> None:
    assert judge(forced=True).waived == ()


def test_metadata_without_a_dirty_flag_counts_as_unknown() -> None:
    assert ApprovalEvidence.from_metadata({}).code_dirty == "unknown"
