"""A rollback from end to end, over ports in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bedplate import ports
from bedplate.errors import ApprovalNeeded, NotFound, PlatformError, UsageError
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import DeployRequest, deploy
from bedplate.workflows.release.deploy import prepare as prepare_deploy
from bedplate.workflows.release.drill import drill
from bedplate.workflows.release.rollback import PreparedRollback, RollbackRequest, prepare, rollback
from bedplate.workflows.stack_context import null_reporter
from fakes import EPOCH, FakeStackContext
from unit.workflows.release.test_deploy import FALLBACK, E, _kill_at, capture, platform, rolling, told
from unit.workflows.release.test_deploy import run as deploy_version

__all__ = ["platform"]


def run(platform: FakeStackContext, **asked: Any) -> Any:
    return rollback(prepare(platform, RollbackRequest("churn", **asked)), null_reporter)


@pytest.fixture
def two_live(platform: FakeStackContext) -> tuple[str, str]:
    """v1, then v2, went live; their artifacts exist."""
    for version in (1, 2):
        platform.objects.put(f"s3://artifacts/training/churn/job-{version}/output/model.tar.gz", b"x")
    first = deploy_version(platform, version=1).live
    platform.clock.sleep(600)
    second = deploy_version(platform, version=2).live
    platform.clock.sleep(600)
    return first, second


def test_the_previous_release_answers_again_at_once(platform: FakeStackContext, two_live: tuple[str, str]) -> None:
    outcome = run(platform, reason="complaints")
    assert outcome.live == two_live[0] == rolling(platform).live[E]
    traffic = rolling(platform).updates[-1][2]
    assert (traffic.kind, traffic.bake_s, traffic.rollback_alarms) == ("ALL_AT_ONCE", 0, ())
    record = Ledger(platform.objects, "ledger", platform.clock).records()[-1]
    assert (record.kind, record.version, record.data["from"], record.data["reason"]) == (
        "rollback",
        1,
        two_live[1],
        "complaints",
    )


def test_a_second_rollback_goes_to_the_fallback(platform: FakeStackContext, two_live: tuple[str, str]) -> None:
    run(platform)
    assert run(platform).live == f"{E}-v0"
    assert rolling(platform).live[E] == FALLBACK
    with pytest.raises(NotFound, match="nothing to go back to"):
        run(platform)


def test_a_killed_rollback_is_finished_and_goes_no_further(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        rollback(prepare(platform, RollbackRequest("churn")), _kill_at("rollout"))
    rolling(platform)._settle(E)
    assert run(platform).live == two_live[0]
    assert [kind for kind, _ in told(platform)][-3:] == ["deploying", "resumed", "rollback"]


def test_a_rollout_in_flight_is_undone_by_raising_its_alarm(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    platform.objects.put("s3://artifacts/training/churn/job-1/output/model.tar.gz", b"x")
    run(platform)  # v1 is live again
    rolling(platform).takes = 1000
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare_deploy(platform, DeployRequest("churn", 2)), _kill_at("rollout"))
    platform.metrics.held[f"{E}-errors"] = _alarm(f"{E}-errors", "OK")

    def platform_looks(endpoints: Any) -> None:
        if platform.metrics.held[f"{E}-errors"].state == "ALARM" and endpoints.pending:
            endpoints.undone_by = "alarm"
            endpoints._settle(E)

    rolling(platform).on_observe = platform_looks
    assert run(platform, reason="stop it").live == two_live[0]
    assert "stop it" in platform.metrics.held[f"{E}-errors"].reason
    assert told(platform)[-1] == ("rollback", two_live[0])


def test_an_update_that_no_alarm_watches_cannot_be_undone_in_flight(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    rolling(platform).pending = two_live[0]
    rolling(platform).takes = 1000
    with pytest.raises(PlatformError, match="No alarm watches"):
        run(platform)


def test_a_target_without_its_artifact_gets_no_traffic(platform: FakeStackContext, two_live: tuple[str, str]) -> None:
    del platform.objects.held["s3://artifacts/training/churn/job-1/output/model.tar.gz"]
    with pytest.raises(ApprovalNeeded, match="does not exist"):
        run(platform)
    assert rolling(platform).live[E] == two_live[1]


def test_a_target_whose_release_was_deleted_gets_no_traffic(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    rolling(platform).delete_release(two_live[0])
    with pytest.raises(ApprovalNeeded, match="was deleted"):
        run(platform)


def test_a_target_that_failed_when_it_last_served_needs_force(
    platform: FakeStackContext, two_live: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        platform.metrics, "series", _series(Invocations=100.0, Invocation5XXErrors=9.0, ModelLatency=8000)
    )
    with pytest.raises(ApprovalNeeded, match="9 of 100 requests failed"):
        run(platform)
    with pytest.raises(UsageError, match="needs a reason"):
        run(platform, force=True)
    assert run(platform, force=True, reason="the other one is worse").live == two_live[0]


def test_now_leaves_out_how_the_target_last_did(
    platform: FakeStackContext, two_live: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        platform.metrics, "series", _series(Invocations=100.0, Invocation5XXErrors=9.0, ModelLatency=8000)
    )
    assert run(platform, now=True).live == two_live[0]


def test_checks_tell_errors_latency_and_answers_of_the_last_turn(
    platform: FakeStackContext, two_live: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(platform, two_live[0], [0.25, 0.75], minutes_ago=12)
    rolling(platform).answering = lambda release, row: 0.25 if row["id"] == "0" else 0.75
    monkeypatch.setattr(
        platform.metrics, "series", _series(Invocations=100.0, Invocation5XXErrors=0.0, ModelLatency=8000)
    )
    told_of = {c.what: (c.verdict, c.told) for c in _prepared(platform).checks}
    assert told_of["errors"][0] == "PASS"
    assert told_of["latency"] == ("PASS", "p99 8.0 ms (at most 500 ms)")
    assert told_of["answers"] == ("PASS", "2 last answers, mean 0.500")


def test_answers_that_are_no_probability_speak_against_a_target(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    capture(platform, two_live[0], [0.25, 1.75], minutes_ago=12)
    with pytest.raises(ApprovalNeeded, match="no probability"):
        run(platform)


def test_without_data_the_proof_given_at_deployment_stands(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    assert {c.what: c.verdict for c in _prepared(platform).checks}["errors"] == "NO_DATA"
    assert run(platform).live == two_live[0]


def _prepared(platform: FakeStackContext) -> PreparedRollback:
    return prepare(platform, RollbackRequest("churn"))


def _alarm(name: str, state: Any) -> ports.AlarmState:
    return ports.AlarmState(name, state, "", EPOCH, f"arn:{name}")


def _series(**figures: float) -> Any:
    def series(namespace: str, metric: str, dimensions: Any, **_: Any) -> Any:
        return ((EPOCH + timedelta(minutes=1), figures[metric]),) if metric in figures else ()

    return series


def test_the_target_answers_the_last_captured_requests_on_a_copy_before_anything_moves(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    capture(platform, two_live[0], [0.25, 0.5])
    rolling(platform).answering = lambda release, row: 0.25 if row["id"] == "0" else 0.5
    checks = {c.what: c for c in _prepared(platform).checks}
    assert checks["re-score"].verdict == "PASS"
    assert "all 2 rows, mean 0.375" in checks["re-score"].told
    assert rolling(platform).copies == [f"{E}-copy-v1"]
    assert set(rolling(platform).live) == {E}  # the copy is gone again
    assert rolling(platform).live[E] == two_live[1]


def test_a_target_that_answers_otherwise_than_before_gets_no_traffic(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    capture(platform, two_live[0], [0.5, 0.9])
    with pytest.raises(ApprovalNeeded, match="1 of 2 rows that it answered before get another answer now"):
        run(platform)
    assert set(rolling(platform).live) == {E}


def test_a_target_that_cannot_answer_what_is_asked_today_gets_no_traffic(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    capture(platform, two_live[1], [0.25] * 8)

    def picky(release: str, row: Any) -> float:
        if row["id"] == "3":
            raise PlatformError("no column 'age'")
        return 0.25

    rolling(platform).answering = picky
    with pytest.raises(ApprovalNeeded, match="7 of 8 rows got an answer"):
        run(platform)
    rolling(platform).answering = lambda release, row: 0.25
    assert run(platform, now=True).live == two_live[0]


def test_a_target_that_decides_otherwise_than_the_live_one_is_told_and_not_refused(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    capture(platform, two_live[1], [i / 40 for i in range(40)])
    rolling(platform).answering = lambda release, row: 0.9
    checks = {c.what: c for c in _prepared(platform).checks}
    assert (checks["agreement"].verdict, checks["distribution"].verdict) == ("WARN", "WARN")
    assert "50.0 % of its decisions" in checks["agreement"].told
    assert run(platform).live == two_live[0]


def test_a_copy_that_a_killed_command_left_is_taken_over_and_deleted(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    capture(platform, two_live[1], [0.5])
    rolling(platform).create_endpoint(f"{E}-copy-v1", two_live[0], {})
    assert run(platform).live == two_live[0]
    assert set(rolling(platform).live) == {E}


def test_a_drill_on_a_copy_times_its_parts_moves_nothing_and_is_recorded(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    capture(platform, two_live[1], [0.5] * 3)
    done = drill(platform, "churn", None, null_reporter, live=False, reason=None)
    assert (done.ok, done.target, rolling(platform).live) == (True, two_live[0], {E: two_live[1]})
    assert {"bring the copy up", "first answer", "re-score"} <= set(done.parts)
    record = Ledger(platform.objects, "ledger", platform.clock).records()[-1]
    assert (record.kind, record.version, record.data["where"]) == ("drill", 1, "copy")


def test_a_drill_on_the_live_endpoint_goes_there_and_back(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    done = drill(platform, "churn", None, null_reporter, live=True, reason="quarterly")
    assert rolling(platform).live[E] == two_live[1]
    assert [kind for kind, _ in told(platform)][-5:] == ["deploying", "rollback", "deploying", "rollback", "drill"]
    assert {"switch, and the first answer", "switch back"} <= set(done.parts)
    assert run(platform).live == two_live[0]  # a drill does not change what a rollback goes back to


def test_a_drill_finds_a_target_that_is_not_fit(platform: FakeStackContext, two_live: tuple[str, str]) -> None:
    capture(platform, two_live[0], [0.9])
    assert not drill(platform, "churn", None, null_reporter, live=False, reason=None).ok


def test_a_rollback_that_the_world_has_overtaken_goes_by_the_world(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    """The ledger says v2, and somebody moved the endpoint to v1 by hand: it is ahead of the world."""
    rolling(platform).live[E] = two_live[0]
    assert run(platform).live == f"{E}-v0"


def test_a_release_that_the_ledger_never_heard_of_is_replaced_by_the_last_that_it_did(
    platform: FakeStackContext, two_live: tuple[str, str]
) -> None:
    """Somebody deployed by hand: the ledger is behind the world."""
    stranger = f"{E}-v9-0a1b2c3d"
    rolling(platform).held[stranger] = replace(rolling(platform).held[two_live[1]], name=stranger)
    rolling(platform).live[E] = stranger
    assert run(platform).live == two_live[1]
