"""A deployment from end to end, over ports in memory."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bedplate import ports
from bedplate.errors import ApprovalNeeded, Locked, NotEnoughData, NotFound, PlatformError, RolledBack, UsageError
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import DeployRequest, deploy, prepare
from bedplate.workflows.stack_context import null_reporter
from builders import a_package, a_platform, approved
from fakes import EPOCH, FakeStackContext, Heard, RollingEndpoints

E = "bedplate-local-churn"
FALLBACK = "bedplate-local-churn-fallback"


@pytest.fixture
def platform(tmp_path: Path) -> FakeStackContext:
    """Two approved versions, one that waits; the fallback is live."""
    made = a_platform(tmp_path)
    made.endpoints = RollingEndpoints(clock=made.clock, live={E: FALLBACK}, fallbacks={E: FALLBACK})
    versions = [a_package(1, approval="Approved"), a_package(2, approval="Approved"), a_package(3)]
    made.registry.held["bedplate-local-churn"] = versions
    approved(made, 1, 2)
    return made


def run(platform: FakeStackContext, **asked: Any) -> Any:
    return deploy(prepare(platform, DeployRequest("churn", **asked)), null_reporter)


def told(platform: FakeStackContext) -> list[tuple[str, str | None]]:
    records = Ledger(platform.objects, "ledger", platform.clock).records()
    return [(r.kind, r.data.get("live")) for r in records if r.kind != "approved"]


def rolling(platform: FakeStackContext) -> RollingEndpoints:
    assert isinstance(platform.endpoints, RollingEndpoints)
    return platform.endpoints


def capture(platform: FakeStackContext, release: str, answers: list[float], *, minutes_ago: float = 1) -> None:
    at = platform.clock.now() - timedelta(minutes=minutes_ago)
    side = {"observedContentType": "application/jsonlines", "encoding": "JSON"}
    rows = "\n".join(json.dumps({"id": str(i), "age": 1.0, "calls": 2, "plan": "pro"}) for i in range(len(answers)))
    data = "\n".join(json.dumps({"prediction": a}) for a in answers)
    record = {
        "captureData": {"endpointInput": {**side, "data": rows}, "endpointOutput": {**side, "data": data}},
        "eventMetadata": {
            "eventId": f"event-{len(platform.objects.held)}",
            "customAttributes": [f"release={release}"],
            "inferenceTime": at.isoformat(),
        },
    }
    key = f"s3://capture/capture/churn/{E}/live/{at:%Y/%m/%d/%H/%M-%S}-000-{len(platform.objects.held)}.jsonl"
    platform.objects.put(key, json.dumps(record).encode())


def evaluated(platform: FakeStackContext, version: int, predictions: list[float]) -> None:
    """As if `bedplate evaluate` had put its predictions beside the verdict."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({"prediction": predictions}), file)
    platform.objects.put(f"s3://artifacts/e/v{version}/predictions.parquet", file.getvalue())
    held = platform.registry.held["bedplate-local-churn"]
    uri = {"evaluation_uri": f"s3://artifacts/e/v{version}/evaluation.json"}
    held[:] = [replace(p, metadata={**p.metadata, **uri}) if p.version == version else p for p in held]


def test_the_newest_approved_version_goes_live_and_proves_it_by_answering(platform: FakeStackContext) -> None:
    outcome = run(platform)
    assert outcome.live == rolling(platform).live[E]
    assert "-v2-" in outcome.live
    assert told(platform) == [("deploying", None), ("deployed", outcome.live)]


def test_a_second_deploy_of_the_same_version_changes_nothing(platform: FakeStackContext) -> None:
    run(platform, version=1)
    before = (len(rolling(platform).updates), told(platform), dict(rolling(platform).held))
    prepared = prepare(platform, DeployRequest("churn", 1))
    assert prepared.plan.steps == ()
    assert deploy(prepared, null_reporter).live is None
    assert (len(rolling(platform).updates), told(platform), dict(rolling(platform).held)) == before


def test_only_an_approved_version_is_deployed(platform: FakeStackContext) -> None:
    with pytest.raises(ApprovalNeeded, match="waits for approval") as caught:
        run(platform, version=3)
    assert caught.value.next_step == "bedplate approve churn:3"
    platform.registry.held["bedplate-local-churn"] = [a_package(1)]
    with pytest.raises(ApprovalNeeded, match="No version"):
        run(platform)
    platform.registry.held.clear()
    with pytest.raises(NotFound, match="no version yet"):
        run(platform)
    assert told(platform) == []


def test_what_model_yaml_says_of_the_rollout_is_asked_of_the_platform(platform: FakeStackContext) -> None:
    run(platform, version=1)
    traffic = rolling(platform).updates[-1][2]
    assert (traffic.kind, traffic.step_pct, traffic.bake_s) == ("CANARY", 10, 600)
    assert traffic.rollback_alarms == (f"{E}-errors", f"{E}-latency")


def test_flags_beat_model_yaml(platform: FakeStackContext) -> None:
    run(platform, version=1, strategy="linear", canary_pct=25, bake_s=5)
    traffic = rolling(platform).updates[-1][2]
    assert (traffic.kind, traffic.step_pct, traffic.bake_s) == ("LINEAR", 25, 5)


def test_the_fallback_as_champion_leaves_no_guard_and_says_so(platform: FakeStackContext) -> None:
    prepared = prepare(platform, DeployRequest("churn", 1))
    assert any("constant answer" in remark for remark in prepared.plan.remarks)
    deploy(prepared, null_reporter)
    assert platform.metrics.guards == {}


def test_a_champion_that_was_never_evaluated_leaves_no_guard_and_says_so(platform: FakeStackContext) -> None:
    run(platform, version=1)
    prepared = prepare(platform, DeployRequest("churn", 2))
    assert any("never evaluated" in remark for remark in prepared.plan.remarks)
    assert prepared.means.guard is None


def test_the_canary_is_guarded_in_the_champions_own_bins(platform: FakeStackContext) -> None:
    evaluated(platform, 1, [i / 400 for i in range(400)])
    champion = run(platform, version=1).live
    outcome = run(platform, version=2)
    (guard,) = platform.metrics.guards.values()
    assert (guard.endpoint, guard.candidate, guard.champion) == (E, outcome.live, champion)
    assert (guard.threshold, guard.min_answers, guard.bins) == (0.25, 300, 5)
    told_edges = json.loads(rolling(platform).held[outcome.live].environment["BEDPLATE_ANSWER_EDGES"])
    assert told_edges == {champion: [0.1975, 0.3975, 0.5975, 0.7975]}
    own = json.loads(rolling(platform).held[champion].environment["BEDPLATE_ANSWER_EDGES"])
    assert own == {"": told_edges[champion]}
    assert guard.name in rolling(platform).updates[-1][2].rollback_alarms


def test_a_rollout_that_the_platform_undid_is_recorded_and_names_the_alarm(platform: FakeStackContext) -> None:
    champion = run(platform, version=1).live
    rolling(platform).undone_by = "One or more configured alarm(s) went into alarm state"
    alarm = ports.AlarmState(f"{E}-errors", "ALARM", "crossed", EPOCH, "arn", "Invocation5XXErrors", 0.01, 0.4)
    prepared = prepare(platform, DeployRequest("churn", 2))
    platform.metrics.held[alarm.name] = alarm
    platform.metrics.points = [(EPOCH, 0.0), (EPOCH + timedelta(minutes=1), 0.4)]
    with pytest.raises(RolledBack, match=r"Invocation5XXErrors was 0.4, above 0.01") as caught:
        deploy(prepared, null_reporter)
    assert "Invocation5XXErrors of" in caught.value.evidence[0]
    assert any("█" in line for line in caught.value.evidence)
    assert told(platform)[-1] == ("rolled-back", champion)
    record = Ledger(platform.objects, "ledger", platform.clock).records()[-1]
    assert record.version == 2
    assert record.data["alarm"]["figure"] == 0.4
    assert [value for _, value in record.data["alarm"]["points"]] == [0.0, 0.4]


def test_the_graph_shows_what_the_alarm_saw_even_where_later_answers_changed_it(
    platform: FakeStackContext,
) -> None:
    run(platform, version=1)
    rolling(platform).undone_by = "One or more configured alarm(s) went into alarm state"
    alarm = ports.AlarmState(f"{E}-errors", "ALARM", "crossed", EPOCH, "arn", "Invocation5XXErrors", 0.25, 4.9)
    prepared = prepare(platform, DeployRequest("churn", 2))
    platform.metrics.held[alarm.name] = alarm
    platform.metrics.points = [(EPOCH, 0.0), (EPOCH + timedelta(seconds=10), 0.0)]
    with pytest.raises(RolledBack) as caught:
        deploy(prepared, null_reporter)
    assert "4.9 |" in caught.value.evidence[1]
    assert "█" in caught.value.evidence[1]


@pytest.fixture
def baking(platform: FakeStackContext) -> FakeStackContext:
    """v1 is live; an update bakes until its time is over or the errors alarm is raised, as on SageMaker."""
    run(platform, version=1)
    endpoints, name = rolling(platform), f"{E}-errors"
    endpoints.baking, endpoints.takes = True, 10_000
    platform.metrics.held[name] = ports.AlarmState(name, "OK", "", EPOCH, "arn")

    def look(held: RollingEndpoints) -> None:
        if held.pending and platform.metrics.held[name].state == "ALARM":
            held.undone_by = "alarm"
            held._settle(E)
        elif held.pending and (platform.clock.now() - held.modified_at).total_seconds() >= 20:
            held._settle(E)

    endpoints.on_observe = look
    return platform


def test_a_bake_without_traffic_is_undone_by_its_alarm_and_is_no_pass(baking: FakeStackContext) -> None:
    champion = rolling(baking).live[E]
    with pytest.raises(NotEnoughData, match="gave 0 answers in a bake of 20 s, and 50 are needed") as caught:
        run(baking, version=2, bake_s=20)
    assert caught.value.exit_code == 6
    assert "--strategy all-at-once" in str(caught.value.next_step)
    assert rolling(baking).live[E] == champion
    assert "NO_DATA" in baking.metrics.held[f"{E}-errors"].reason
    record = Ledger(baking.objects, "ledger", baking.clock).records()[-1]
    assert (record.kind, record.data["verdict"], record.data["live"]) == ("rolled-back", "NO_DATA", champion)


def test_a_bake_with_enough_answers_promotes(baking: FakeStackContext) -> None:
    baking.metrics.points = [(baking.clock.now(), 50.0)]
    assert "-v2-" in run(baking, version=2, bake_s=20).live


def test_how_many_answers_are_needed_is_the_contracts(baking: FakeStackContext) -> None:
    spec = baking.specs["churn"]
    baking.metrics.points = [(baking.clock.now(), 50.0)]
    rollout = spec.rollout.model_copy(update={"bake_answers": 51})
    baking.specs["churn"] = spec.model_copy(update={"rollout": rollout})
    with pytest.raises(NotEnoughData, match="51 are needed"):
        run(baking, version=2, bake_s=20)


def test_where_no_alarm_can_undo_a_starved_bake_traffic_is_switched_back(baking: FakeStackContext) -> None:
    champion = rolling(baking).live[E]
    baking.metrics.held.clear()
    name = f"{E}-errors"
    rolling(baking).on_observe = lambda held: (
        held._settle(E) if held.pending and (baking.clock.now() - held.modified_at).total_seconds() >= 20 else None
    )
    with pytest.raises(NotEnoughData):
        run(baking, version=2, bake_s=20)
    assert name not in baking.metrics.held
    assert rolling(baking).live[E] == champion


def test_an_all_at_once_deployment_needs_no_traffic(baking: FakeStackContext) -> None:
    assert "-v2-" in run(baking, version=2, bake_s=20, strategy="all-at-once").live


def test_killed_while_traffic_moved_the_same_command_adopts_the_update(platform: FakeStackContext) -> None:
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare(platform, DeployRequest("churn", 1)), _kill_at("rollout"))
    assert told(platform) == [("deploying", None)]
    outcome = run(platform, version=1)
    assert len(rolling(platform).updates) == 1
    assert told(platform) == [("deploying", None), ("resumed", None), ("deployed", outcome.live)]
    begun, resumed, _ = Ledger.of(platform).records()[-3:]
    assert (resumed.data["resumes"], resumed.version, resumed.actor) == (begun.seq, 1, "ada@example.com")
    assert "v1" in resumed.summary


def test_killed_after_the_switch_the_same_command_writes_what_is_missing(platform: FakeStackContext) -> None:
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare(platform, DeployRequest("churn", 1)), _kill_at("rollout"))
    rolling(platform)._settle(E)
    outcome = run(platform, version=1)
    assert told(platform) == [("deploying", None), ("resumed", None), ("deployed", outcome.live)]
    assert len(rolling(platform).updates) == 1


def test_undone_while_nobody_watched_the_same_command_says_so_and_the_next_one_tries_again(
    platform: FakeStackContext,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare(platform, DeployRequest("churn", 1)), _kill_at("rollout"))
    platform.clock.sleep(30)
    rolling(platform).undone_by = "alarm"
    rolling(platform)._settle(E)
    rolling(platform).undone_by = None
    with pytest.raises(RolledBack, match="undone by the platform"):
        run(platform, version=1)
    assert told(platform)[-1] == ("rolled-back", f"{E}-v0")
    assert "-v1-" in run(platform, version=1).live


def test_a_version_that_a_hand_approved_in_the_registry_is_refused(platform: FakeStackContext) -> None:
    platform.registry.set_approval(platform.registry.get(E, 3), "Approved", "console")
    for asked in (None, 3):
        with pytest.raises(ApprovalNeeded, match="by hand") as refused:
            prepare(platform, DeployRequest("churn", asked))
        assert refused.value.next_step == "bedplate approve churn:3"
    approved(platform, 3)
    assert prepare(platform, DeployRequest("churn", 3)).version == 3


def test_of_two_deploys_at_once_the_second_is_locked_out_and_leaves_no_open_record(platform: FakeStackContext) -> None:
    late = prepare(platform, DeployRequest("churn", 2))
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare(platform, DeployRequest("churn", 1)), _kill_at("rollout"))
    with pytest.raises(Locked):
        deploy(late, null_reporter)
    with pytest.raises(Locked, match="v1"):
        run(platform, version=2)
    outcome = run(platform, version=1)
    assert "-v1-" in outcome.live
    assert [kind for kind, _ in told(platform)] == ["deploying", "deploying", "alert", "resumed", "deployed"]


def test_without_waiting_the_command_ends_and_the_next_one_records_the_end(platform: FakeStackContext) -> None:
    assert run(platform, version=1, wait=False).live is None
    assert told(platform) == [("deploying", None)]
    assert "-v1-" in run(platform, version=1).live


def test_an_endpoint_that_goes_on_answering_with_another_release_is_no_success(platform: FakeStackContext) -> None:
    rolling(platform).fallbacks = {}
    endpoints = rolling(platform)
    original = endpoints.invoke
    endpoints.invoke = lambda *a, **k: replace(original(*a, **k), release="someone")  # type: ignore[method-assign]
    with pytest.raises(PlatformError, match="someone answers"):
        run(platform, version=1)
    assert [kind for kind, _ in told(platform)] == ["deploying"]


def test_force_needs_a_reason(platform: FakeStackContext) -> None:
    with pytest.raises(UsageError, match="needs a reason"):
        run(platform, version=1, force=True)


def test_part_of_the_capacity_of_one_instance_cannot_be_shifted(platform: FakeStackContext) -> None:
    spec = platform.specs["churn"]
    serving = spec.serving.model_copy(update={"instance_count": 1})
    platform.specs["churn"] = spec.model_copy(update={"serving": serving})
    with pytest.raises(UsageError, match="has one instance"):
        run(platform, version=1)


def test_the_rollout_is_said_aloud_step_by_step(platform: FakeStackContext) -> None:
    heard = Heard()
    deploy(prepare(platform, DeployRequest("churn", 1)), heard)
    assert [s["message"].split()[0] for s in heard.of("step")] == [
        "Create",
        "Record",
        "Shift",
        "Follow",
        "Ask",
        "Record",
    ]
    assert heard.of("rollout")[0]["status"] == "Updating"


def test_the_row_that_proves_it_is_a_captured_one_without_label(platform: FakeStackContext) -> None:
    capture(platform, "any", [0.5])
    assert run(platform, version=1).proof.rows_from == "captured requests"
    assert json.loads(rolling(platform).sent[-1])["plan"] == "pro"


def _kill_at(event: str) -> Any:
    def say(name: str, fields: Any) -> None:
        if name == event:
            raise KeyboardInterrupt

    return say
