from __future__ import annotations

import pytest

from bedplate.domain.approval import Decision, Evidence, decide

CLEAN = Evidence("PASS", "s3://e", "false")


def judge(evidence: Evidence = CLEAN, **changes: object) -> Decision:
    given = {"risk": "low", "person": "ada", "approved_before": [], "forced": False, **changes}
    return decide(evidence, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("risk", ["low", "medium"])
def test_one_person_is_enough_below_high_risk(risk: str) -> None:
    assert judge(risk=risk).outcome == "approved"


def test_high_risk_needs_two_different_people() -> None:
    assert judge(risk="high").outcome == "one-more"
    assert judge(risk="high", approved_before=["ada"]).outcome == "one-more"
    assert judge(risk="high", approved_before=["grace"]).people == ("grace", "ada")
    assert judge(risk="high", approved_before=["grace"]).outcome == "approved"


@pytest.mark.parametrize("verdict", [None, "FAIL", "NO_DATA"])
def test_only_pass_opens(verdict: str | None) -> None:
    evidence = Evidence(verdict, None, "false")
    assert judge(evidence).outcome == "refused"
    forced = judge(evidence, forced=True)
    assert forced.outcome == "approved"
    assert len(forced.waived) == 1


def test_dirty_code_is_refused_even_with_a_pass() -> None:
    dirty = Evidence("PASS", "s3://e", "true")
    assert judge(dirty).outcome == "refused"
    assert judge(dirty, commit_needed=False).outcome == "refused"
    assert judge(dirty, forced=True).outcome == "approved"


def test_code_that_no_git_knows_is_refused_where_a_commit_is_needed() -> None:
    unknown = Evidence("PASS", "s3://e", "unknown")
    assert judge(unknown).outcome == "refused"
    assert judge(unknown, commit_needed=False).outcome == "approved"


def test_force_does_not_replace_the_second_person() -> None:
    assert judge(Evidence("FAIL", None, "false"), risk="high", forced=True).outcome == "one-more"


def test_force_waives_nothing_when_nothing_is_missing() -> None:
    assert judge(forced=True).waived == ()


def test_metadata_without_a_dirty_flag_counts_as_unknown() -> None:
    assert Evidence.of({}).code_dirty == "unknown"
