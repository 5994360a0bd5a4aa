"""Deployments from end to end, with ports in memory."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from bedplate import ports
from bedplate.errors import ApprovalNeeded, Locked, NotEnoughData, NotFound, PlatformError, RolledBack, UsageError
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import DeployRequest, deploy, prepare
from bedplate.workflows.stack_context import null_reporter
from builders import a_package, record_approvals
from fakes import EPOCH, FakeStackContext, RecordingReporter
from release_builders import ENDPOINT
from release_stack import capture_predictions, deploy_version, interrupt_at, ledger_events, rolling_endpoints


def store_evaluation(stack: FakeStackContext, version: int, predictions: list[float]) -> None:
    """Stores the predictions of an evaluation as `bedplate evaluate` does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({"prediction": predictions}), file)
    stack.objects.put(f"s3://artifacts/e/v{version}/predictions.parquet", file.getvalue())
    packages = stack.registry.packages["bedplate-local-churn"]
    uri = {"evaluation_uri": f"s3://artifacts/e/v{version}/evaluation.json"}
    packages[:] = [replace(p, metadata={**p.metadata, **uri}) if p.version == version else p for p in packages]


def test_newest_approved_version_is_deployed_verified_and_recorded(stack: FakeStackContext) -> None:
    result = deploy_version(stack)
    assert result.live == rolling_endpoints(stack).live[ENDPOINT]
    assert "-v2-" in result.live
    assert ledger_events(stack) == [("deployment-started", None), ("deployed", result.live)]


def test_second_deployment_of_the_same_version_changes_nothing(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1)
    before = (len(rolling_endpoints(stack).updates), ledger_events(stack), dict(rolling_endpoints(stack).releases))
    prepared = prepare(stack, DeployRequest("churn", 1))
    assert prepared.plan.steps == ()
    assert deploy(prepared, null_reporter).live is None
    assert (
        len(rolling_endpoints(stack).updates),
        ledger_events(stack),
        dict(rolling_endpoints(stack).releases),
    ) == before


def test_only_an_approved_version_is_deployed(stack: FakeStackContext) -> None:
    with pytest.raises(ApprovalNeeded, match="waits for approval") as error:
        deploy_version(stack, version=3)
    assert error.value.next_step == "bedplate approve churn:3"
    stack.registry.packages["bedplate-local-churn"] = [a_package(1)]
    with pytest.raises(ApprovalNeeded, match="No version"):
        deploy_version(stack)
    stack.registry.packages.clear()
    with pytest.raises(NotFound, match="no version yet"):
        deploy_version(stack)
    assert ledger_events(stack) == []


def test_update_has_the_traffic_routing_of_model_yaml(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1)
    traffic = rolling_endpoints(stack).updates[-1][2]
    assert (traffic.kind, traffic.step_pct, traffic.bake_s) == ("CANARY", 10, 600)
    assert traffic.rollback_alarms == (f"{ENDPOINT}-errors", f"{ENDPOINT}-latency")


def test_options_override_model_yaml(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1, strategy="linear", canary_pct=25, bake_s=5)
    traffic = rolling_endpoints(stack).updates[-1][2]
    assert (traffic.kind, traffic.step_pct, traffic.bake_s) == ("LINEAR", 25, 5)


def test_fallback_as_champion_leads_to_no_guard_and_a_notice(stack: FakeStackContext) -> None:
    prepared = prepare(stack, DeployRequest("churn", 1))
    assert any("constant prediction" in notice for notice in prepared.plan.notices)
    deploy(prepared, null_reporter)
    assert stack.metrics.guard_alarms == {}


def test_champion_without_evaluation_leads_to_no_guard_and_a_notice(stack: FakeStackContext) -> None:
    deploy_version(stack, version=1)
    prepared = prepare(stack, DeployRequest("churn", 2))
    assert any("never evaluated" in notice for notice in prepared.plan.notices)
    assert prepared.tools.guard is None


def test_canary_is_guarded_in_the_champions_bins(stack: FakeStackContext) -> None:
    store_evaluation(stack, 1, [i / 400 for i in range(400)])
    champion = deploy_version(stack, version=1).live
    result = deploy_version(stack, version=2)
    (guard,) = stack.metrics.guard_alarms.values()
    assert (guard.endpoint, guard.candidate, guard.champion) == (ENDPOINT, result.live, champion)
    assert (guard.threshold, guard.min_predictions, guard.n_bins) == (0.25, 300, 5)
    edges = json.loads(rolling_endpoints(stack).releases[result.live].environment["BEDPLATE_PREDICTION_EDGES"])
    assert edges == {champion: [0.1975, 0.3975, 0.5975, 0.7975]}
    own = json.loads(rolling_endpoints(stack).releases[champion].environment["BEDPLATE_PREDICTION_EDGES"])
    assert own == {"": edges[champion]}
    assert guard.name in rolling_endpoints(stack).updates[-1][2].rollback_alarms


def test_rolled_back_deployment_is_recorded_with_its_alarm(stack: FakeStackContext) -> None:
    champion = deploy_version(stack, version=1).live
    rolling_endpoints(stack).rollback_reason = "One or more configured alarm(s) went into alarm state"
    alarm = ports.AlarmState(f"{ENDPOINT}-errors", "ALARM", "crossed", EPOCH, "arn", "Invocation5XXErrors", 0.01, 0.4)
    prepared = prepare(stack, DeployRequest("churn", 2))
    stack.metrics.alarms[alarm.name] = alarm
    stack.metrics.datapoints = [(EPOCH, 0.0), (EPOCH + timedelta(minutes=1), 0.4)]
    with pytest.raises(RolledBack, match=r"Invocation5XXErrors was 0.4, above 0.01") as error:
        deploy(prepared, null_reporter)
    assert "Invocation5XXErrors of" in error.value.evidence[0]
    assert any("█" in line for line in error.value.evidence)
    assert ledger_events(stack)[-1] == ("deployment-rolled-back", champion)
    record = Ledger(stack.objects, "ledger", stack.clock).records()[-1]
    assert record.version == 2
    assert record.data["alarm"]["datapoint"] == 0.4
    assert [value for _, value in record.data["alarm"]["points"]] == [0.0, 0.4]


def test_chart_shows_the_alarms_datapoint_although_later_predictions_changed_it(
    stack: FakeStackContext,
) -> None:
    deploy_version(stack, version=1)
    rolling_endpoints(stack).rollback_reason = "One or more configured alarm(s) went into alarm state"
    alarm = ports.AlarmState(f"{ENDPOINT}-errors", "ALARM", "crossed", EPOCH, "arn", "Invocation5XXErrors", 0.25, 4.9)
    prepared = prepare(stack, DeployRequest("churn", 2))
    stack.metrics.alarms[alarm.name] = alarm
    stack.metrics.datapoints = [(EPOCH, 0.0), (EPOCH + timedelta(seconds=10), 0.0)]
    with pytest.raises(RolledBack) as error:
        deploy(prepared, null_reporter)
    assert "4.9 |" in error.value.evidence[1]
    assert "█" in error.value.evidence[1]


def test_bake_without_traffic_is_rolled_back_by_its_alarm(baking_stack: FakeStackContext) -> None:
    champion = rolling_endpoints(baking_stack).live[ENDPOINT]
    with pytest.raises(
        NotEnoughData, match="returned 0 predictions in a bake of 20 s, but at least 50 are required"
    ) as error:
        deploy_version(baking_stack, version=2, bake_s=20)
    assert error.value.exit_code == 6
    assert "--strategy all-at-once" in str(error.value.next_step)
    assert rolling_endpoints(baking_stack).live[ENDPOINT] == champion
    assert "NO_DATA" in baking_stack.metrics.alarms[f"{ENDPOINT}-errors"].reason
    record = Ledger(baking_stack.objects, "ledger", baking_stack.clock).records()[-1]
    assert (record.kind, record.data["verdict"], record.data["live"]) == ("deployment-rolled-back", "NO_DATA", champion)


def test_bake_with_enough_predictions_is_promoted(baking_stack: FakeStackContext) -> None:
    baking_stack.metrics.datapoints = [(baking_stack.clock.now(), 50.0)]
    assert "-v2-" in deploy_version(baking_stack, version=2, bake_s=20).live


def test_required_predictions_of_a_bake_come_from_model_yaml(baking_stack: FakeStackContext) -> None:
    spec = baking_stack.specs["churn"]
    baking_stack.metrics.datapoints = [(baking_stack.clock.now(), 50.0)]
    rollout = spec.rollout.model_copy(update={"min_bake_predictions": 51})
    baking_stack.specs["churn"] = spec.model_copy(update={"rollout": rollout})
    with pytest.raises(NotEnoughData, match="at least 51 are required"):
        deploy_version(baking_stack, version=2, bake_s=20)


def test_bake_without_traffic_and_without_an_alarm_is_switched_back(baking_stack: FakeStackContext) -> None:
    champion = rolling_endpoints(baking_stack).live[ENDPOINT]
    baking_stack.metrics.alarms.clear()
    name = f"{ENDPOINT}-errors"
    rolling_endpoints(baking_stack).on_observe = lambda rolling: (
        rolling.finish_update(ENDPOINT)
        if rolling.pending and (baking_stack.clock.now() - rolling.modified_at).total_seconds() >= 20
        else None
    )
    with pytest.raises(NotEnoughData):
        deploy_version(baking_stack, version=2, bake_s=20)
    assert name not in baking_stack.metrics.alarms
    assert rolling_endpoints(baking_stack).live[ENDPOINT] == champion


def test_all_at_once_deployment_needs_no_traffic(baking_stack: FakeStackContext) -> None:
    assert "-v2-" in deploy_version(baking_stack, version=2, bake_s=20, strategy="all-at-once").live


def test_command_killed_during_the_shift_resumes_the_update(stack: FakeStackContext) -> None:
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare(stack, DeployRequest("churn", 1)), interrupt_at("rollout"))
    assert ledger_events(stack) == [("deployment-started", None)]
    result = deploy_version(stack, version=1)
    assert len(rolling_endpoints(stack).updates) == 1
    assert ledger_events(stack) == [("deployment-started", None), ("resumed", None), ("deployed", result.live)]
    begun, resumed, _ = Ledger.of(stack).records()[-3:]
    assert (resumed.data["resumes"], resumed.version, resumed.actor) == (begun.seq, 1, "ada@example.com")
    assert "v1" in resumed.summary


def test_command_killed_after_the_shift_records_the_outcome(stack: FakeStackContext) -> None:
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare(stack, DeployRequest("churn", 1)), interrupt_at("rollout"))
    rolling_endpoints(stack).finish_update(ENDPOINT)
    result = deploy_version(stack, version=1)
    assert ledger_events(stack) == [("deployment-started", None), ("resumed", None), ("deployed", result.live)]
    assert len(rolling_endpoints(stack).updates) == 1


def test_unattended_roll_back_is_reported_first_and_retried_by_the_next_command(
    stack: FakeStackContext,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare(stack, DeployRequest("churn", 1)), interrupt_at("rollout"))
    stack.clock.sleep(30)
    rolling_endpoints(stack).rollback_reason = "alarm"
    rolling_endpoints(stack).finish_update(ENDPOINT)
    rolling_endpoints(stack).rollback_reason = None
    with pytest.raises(RolledBack, match="rolled the last deployment of v1 back"):
        deploy_version(stack, version=1)
    assert ledger_events(stack)[-1] == ("deployment-rolled-back", f"{ENDPOINT}-v0")
    assert "-v1-" in deploy_version(stack, version=1).live


def test_version_approved_only_in_the_registry_is_not_deployed(stack: FakeStackContext) -> None:
    stack.registry.set_approval(stack.registry.get(ENDPOINT, 3), "Approved", "console")
    for version in (None, 3):
        with pytest.raises(ApprovalNeeded, match="by hand") as error:
            prepare(stack, DeployRequest("churn", version))
        assert error.value.next_step == "bedplate approve churn:3"
    record_approvals(stack, 3)
    assert prepare(stack, DeployRequest("churn", 3)).version == 3


def test_second_of_two_concurrent_deployments_is_locked_and_leaves_no_open_attempt(stack: FakeStackContext) -> None:
    late = prepare(stack, DeployRequest("churn", 2))
    with pytest.raises(KeyboardInterrupt):
        deploy(prepare(stack, DeployRequest("churn", 1)), interrupt_at("rollout"))
    with pytest.raises(Locked):
        deploy(late, null_reporter)
    with pytest.raises(Locked, match="v1"):
        deploy_version(stack, version=2)
    result = deploy_version(stack, version=1)
    assert "-v1-" in result.live
    assert [kind for kind, _ in ledger_events(stack)] == [
        "deployment-started",
        "deployment-started",
        "alert",
        "resumed",
        "deployed",
    ]


def test_outcome_after_no_wait_is_recorded_by_the_next_command(stack: FakeStackContext) -> None:
    assert deploy_version(stack, version=1, wait=False).live is None
    assert ledger_events(stack) == [("deployment-started", None)]
    assert "-v1-" in deploy_version(stack, version=1).live


def test_deployment_fails_when_the_endpoint_serves_another_release(stack: FakeStackContext) -> None:
    rolling_endpoints(stack).fallbacks = {}
    endpoints = rolling_endpoints(stack)
    original = endpoints.invoke
    endpoints.invoke = lambda *a, **k: replace(original(*a, **k), release="someone")  # type: ignore[method-assign]
    with pytest.raises(PlatformError, match="serves someone instead of"):
        deploy_version(stack, version=1)
    assert [kind for kind, _ in ledger_events(stack)] == ["deployment-started"]


def test_force_needs_a_reason(stack: FakeStackContext) -> None:
    with pytest.raises(UsageError, match="needs a reason"):
        deploy_version(stack, version=1, force=True)


def test_canary_needs_more_than_one_instance(stack: FakeStackContext) -> None:
    spec = stack.specs["churn"]
    serving = spec.serving.model_copy(update={"instance_count": 1})
    stack.specs["churn"] = spec.model_copy(update={"serving": serving})
    with pytest.raises(UsageError, match="has only one instance"):
        deploy_version(stack, version=1)


def test_steps_and_progress_are_reported(stack: FakeStackContext) -> None:
    reporter = RecordingReporter()
    deploy(prepare(stack, DeployRequest("churn", 1)), reporter)
    assert [s["message"].split()[0] for s in reporter.events_of("step")] == [
        "Create",
        "Record",
        "Shift",
        "Follow",
        "Verify",
        "Record",
    ]
    assert reporter.events_of("rollout")[0]["status"] == "Updating"


def test_probe_uses_captured_rows_without_the_label(stack: FakeStackContext) -> None:
    capture_predictions(stack, "any", [0.5])
    assert deploy_version(stack, version=1).probe_result.rows_source == "captured requests"
    assert json.loads(rolling_endpoints(stack).request_bodies[-1])["plan"] == "pro"
