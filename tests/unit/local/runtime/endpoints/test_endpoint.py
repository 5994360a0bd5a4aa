"""Endpoints that serve: coming up, answering, capture, metrics, updates, rollback, restart."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

import pytest

from bedplate.local.hooks import UNDER_WAY
from unit.local.runtime.rig import Rig, canary


def release_of(answer: Any) -> str:
    return str(answer.headers["X-Amzn-SageMaker-Custom-Attributes"]).removeprefix("release=")


def errors_of(answer: Any) -> dict[str, Any]:
    return dict(json.loads(answer.body))


def test_endpoint_comes_into_service_and_its_own_model_answers(rig: Rig) -> None:
    record = rig.up(rig.release("r1", weights="42"))
    assert record["EndpointStatus"] == "InService"
    answer = rig.ask()
    assert (answer.status, answer.body) == (200, b"r1 42")
    assert answer.headers["x-Amzn-Invoked-Production-Variant"] == "live"
    assert record["ProductionVariants"][0]["CurrentWeight"] == 1.0


def test_endpoint_whose_model_does_not_load_fails_with_the_end_of_its_log(rig: Rig) -> None:
    record = rig.up(rig.release("r1", BROKEN="yes"))
    assert record["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in record["FailureReason"]
    assert "no module named 'lightgbm'" in record["FailureReason"]
    assert errors_of(rig.ask())["Message"] == "Endpoint shop of account 123456789012 not found."


def test_endpoint_without_its_artifact_fails_and_names_it(rig: Rig) -> None:
    rig.release("r1")
    del rig.world.objects["artifacts"]["r1.tar.gz"]
    record = rig.up("r1")
    assert record["EndpointStatus"] == "Failed"
    assert "s3://artifacts/r1.tar.gz" in record["FailureReason"]


def test_artifact_that_is_no_archive_fails_the_endpoint(rig: Rig) -> None:
    rig.release("r1")
    rig.world.put_object("artifacts", "r1.tar.gz", b"not a tar")
    assert "cannot be unpacked" in rig.up("r1")["FailureReason"]


@pytest.mark.parametrize(("body", "status", "side"), [(b"bad", 400, "client"), (b"boom", 500, "server")])
def test_what_the_container_refuses_is_a_model_error_with_its_own_words(
    rig: Rig, body: bytes, status: int, side: str
) -> None:
    rig.up(rig.release("r1"))
    answer = rig.ask(body)
    told = errors_of(answer)
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (424, "ModelError")
    assert told["OriginalStatusCode"] == status
    assert f"Received {side} error ({status}) from primary" in told["Message"]
    rig.hooks.flush()
    assert rig.world.values("Invocation4XXErrors") == [float(status == 400)]
    assert rig.world.values("Invocation5XXErrors") == [float(status == 500)]
    assert not rig.world.objects["capture"]


def test_unknown_endpoint_and_unknown_variant_are_validation_errors(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    assert rig.ask(name="nowhere").headers["x-amzn-errortype"] == "ValidationError"
    assert rig.ask(target_variant="blue").headers["x-amzn-errortype"] == "ValidationError"
    assert rig.ask(target_variant="live").status == 200


def test_capture_is_there_right_after_a_flush_and_says_which_release_answered(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    rig.ask(b'{"a": 1}', inference_id="abc")
    rig.hooks.flush()
    [(key, body)] = rig.world.objects["capture"].items()
    record = json.loads(body)
    assert key.startswith("base/shop/live/20")
    assert record["captureData"]["endpointInput"] == {
        "observedContentType": "application/jsonlines",
        "mode": "INPUT",
        "data": '{"a": 1}',
        "encoding": "JSON",
    }
    assert record["captureData"]["endpointOutput"]["data"] == "r1 1"
    assert record["eventMetadata"]["inferenceId"] == "abc"
    assert record["eventMetadata"]["customAttributes"] == ["release=r1"]


def test_sampling_of_zero_captures_nothing(rig: Rig) -> None:
    capture = {"EnableCapture": True, "InitialSamplingPercentage": 0, "DestinationS3Uri": "s3://capture/base"}
    rig.up(rig.release("r1", config={"DataCaptureConfig": {**capture, "CaptureOptions": [{"CaptureMode": "Input"}]}}))
    rig.ask()
    rig.hooks.flush()
    assert not rig.world.objects["capture"]


def test_capture_bucket_that_is_gone_costs_the_captured_requests_and_nothing_else(rig: Rig) -> None:
    rig.world.missing.add("capture")
    rig.up(rig.release("r1"))
    assert rig.ask().status == 200
    rig.hooks.flush()
    assert rig.world.values("Invocations") == [1.0]


def test_weights_are_kept_over_an_update_that_retains_them_and_over_a_restart(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    record = rig.world.update("endpoint", "shop", EndpointStatus="Updating")
    assert record is not None
    rig.hooks.endpoint_weights_changed(record, [{"VariantName": "live", "DesiredWeight": 3, "DesiredInstanceCount": 4}])
    rig.world.status("endpoint", "shop", "InService")
    rig.release("r2")
    rig.update(
        "r2",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}],
    )
    [variant] = rig.world.status("endpoint", "shop", "InService")["ProductionVariants"]
    assert (variant["CurrentWeight"], variant["CurrentInstanceCount"]) == (1.0, 4)
    rig.close()
    again = rig.again()
    again.hooks.restore()
    try:
        assert again.ask().status == 200
        again.runtime.meter.tick()
        assert rig.world.charges[-1].count == 4
    finally:
        again.close()


def test_every_invocation_is_counted_and_timed(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    for _ in range(3):
        rig.ask()
    rig.hooks.flush()
    assert rig.world.values("Invocations") == [1.0, 1.0, 1.0]
    assert all(0 < us < 5e6 for us in rig.world.values("ModelLatency"))
    assert all(0 < us < 5e6 for us in rig.world.values("OverheadLatency"))


def test_embedded_metrics_of_the_container_become_metrics_and_stay_in_the_log(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    rig.ask(b"emf")
    rig.world.until(lambda: rig.world.values("Answers") == [5.0])
    assert any("CloudWatchMetrics" in line for line in rig.world.lines("/aws/sagemaker/Endpoints/shop"))


def test_crashed_container_is_started_again_and_answers(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    assert rig.ask(b"die").status == 424
    assert rig.ask().body == b"r1 1"


def test_variants_share_the_traffic_by_weight(rig: Rig) -> None:
    rig.release("r1")
    rig.release("r2")
    variants = [
        {"VariantName": "a", "ModelName": "r1", "InitialVariantWeight": 3, "InitialInstanceCount": 1},
        {"VariantName": "b", "ModelName": "r2", "InitialVariantWeight": 1, "InitialInstanceCount": 2},
    ]
    rig.release("ab", config={"ProductionVariants": variants})
    rig.up("ab")
    seen = Counter(release_of(rig.ask()) for _ in range(200))
    assert 120 < seen["r1"] < 180
    assert release_of(rig.ask(target_variant="b")) == "r2"
    record = rig.world.update("endpoint", "shop", EndpointStatus="Updating")
    assert record is not None
    rig.hooks.endpoint_weights_changed(record, [{"VariantName": "a", "DesiredWeight": 0}])
    live = rig.world.status("endpoint", "shop", "InService")
    assert {v["VariantName"]: v["CurrentWeight"] for v in live["ProductionVariants"]} == {"a": 0.0, "b": 1.0}
    assert {release_of(rig.ask()) for _ in range(20)} == {"r2"}


def test_shadow_variant_gets_copies_and_is_captured_but_never_answers(rig: Rig) -> None:
    rig.release("r1")
    rig.release("r2")
    shadow = [{"VariantName": "v2", "ModelName": "r2", "InitialVariantWeight": 1, "InitialInstanceCount": 1}]
    config = rig.world.tables["endpoint-config"]["r1"] | {"ShadowProductionVariants": shadow}
    rig.world.put("endpoint-config", "r1", config)
    rig.up("r1")
    assert {release_of(rig.ask()) for _ in range(5)} == {"r1"}
    rig.world.until(lambda: sum(b.count(b"\n") for k, b in rig.world.objects["capture"].items() if "/v2/" in k) == 5)


def test_copy_is_captured_exactly_when_its_original_is(rig: Rig) -> None:
    rig.release("r1")
    rig.release("r2")
    config = rig.world.tables["endpoint-config"]["r1"]
    config["DataCaptureConfig"]["InitialSamplingPercentage"] = 50
    config["ShadowProductionVariants"] = [{"VariantName": "v2", "ModelName": "r2", "InitialInstanceCount": 1}]
    rig.up("r1")
    for number in range(40):
        rig.ask(inference_id=f"n{number}")
    rig.world.until(lambda: len(rig.world.values("Invocations")) == 80)
    rig.hooks.flush()
    kept: dict[str, set[str]] = {"/live/": set(), "/v2/": set()}
    for key, body in rig.world.objects["capture"].items():
        ids = {json.loads(line)["eventMetadata"]["inferenceId"] for line in body.splitlines()}
        kept["/v2/" if "/v2/" in key else "/live/"] |= ids
    assert kept["/live/"] == kept["/v2/"]
    assert 5 < len(kept["/v2/"]) < 35


def test_shares_of_a_split_are_as_before_after_the_platform_was_killed(rig: Rig) -> None:
    rig.release("r1")
    rig.release("r2")
    variants = [
        {"VariantName": "live", "ModelName": "r1", "InitialVariantWeight": 1, "InitialInstanceCount": 1},
        {"VariantName": "challenger", "ModelName": "r2", "InitialVariantWeight": 1, "InitialInstanceCount": 1},
    ]
    rig.release("ab", config={"ProductionVariants": variants})
    rig.up("ab")
    record = rig.world.update("endpoint", "shop", EndpointStatus="Updating")
    assert record is not None
    rig.hooks.endpoint_weights_changed(record, [{"VariantName": "live", "DesiredWeight": 0}])
    rig.world.status("endpoint", "shop", "InService")
    rig.close()
    again = rig.again()
    again.hooks.restore()
    try:
        assert {release_of(again.ask()) for _ in range(20)} == {"r2"}
        assert release_of(again.ask(target_variant="live")) == "r1"
    finally:
        again.close()


def test_canary_serves_both_releases_while_it_bakes(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    rig.release("r2")
    rig.update("r2", canary(50, wait_s=60))
    rig.world.until(lambda: _pending_weight(rig) == 0.5)
    assert {release_of(rig.ask()) for _ in range(60)} == {"r1", "r2"}
    shown = rig.world.tables["endpoint"]["shop"]
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("Updating", "r1")
    assert shown["ProductionVariants"][0]["CurrentWeight"] == 0.5
    assert shown["PendingDeploymentSummary"]["EndpointConfigName"] == "r2"
    assert shown["PendingDeploymentSummary"]["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Baking"


def test_alarm_takes_the_traffic_of_a_split_back_to_the_split_before(rig: Rig) -> None:
    for release in ("r1", "r2", "r3"):
        rig.release(release)
    for split, second in (("before", "r2"), ("after", "r3")):
        variants = [
            {"VariantName": name, "ModelName": model, "InitialVariantWeight": weight, "InitialInstanceCount": 1}
            for name, model, weight in (("live", "r1", 1), ("challenger", second, 3))
        ]
        rig.release(split, config={"ProductionVariants": variants})
    rig.up("before")
    rig.world.alarms["answers"] = "OK"
    rig.update("after", canary(50, wait_s=60, alarms=["answers"]))
    rig.world.until(lambda: _pending_weight(rig) == 0.5)
    assert {release_of(rig.ask()) for _ in range(80)} == {"r1", "r2", "r3"}
    rig.world.alarms["answers"] = "ALARM"
    back = rig.world.status("endpoint", "shop", "InService")
    assert back["EndpointConfigName"] == "before"
    assert {v["VariantName"]: v["CurrentWeight"] for v in back["ProductionVariants"]} == {
        "live": 1.0,
        "challenger": 3.0,
    }
    assert {release_of(rig.ask()) for _ in range(40)} == {"r1", "r2"}


def test_finished_canary_leaves_only_the_new_release(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    rig.release("r2")
    rig.update("r2", canary(50, wait_s=0.2))
    done = rig.world.status("endpoint", "shop", "InService")
    assert done["EndpointConfigName"] == "r2"
    assert "PendingDeploymentSummary" not in done
    assert done["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert {release_of(rig.ask()) for _ in range(10)} == {"r2"}


def test_linear_deployment_takes_as_many_steps_as_it_says(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    rig.release("r2")
    rig.update("r2", canary(25, kind="LINEAR"))
    rig.world.status("endpoint", "shop", "InService")
    shares = [_pending_weight(rig, seen) for seen in rig.world.history["endpoint", "shop"]]
    assert sorted({s for s in shares if s}) == [0.25, 0.5, 0.75, 1.0]


def test_alarm_takes_the_traffic_back_and_the_reason_names_it(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    rig.release("r2")
    rig.world.alarms["answers"] = "OK"
    rig.update("r2", canary(50, wait_s=60, alarms=["answers"]))
    rig.world.until(lambda: _pending_weight(rig) == 0.5)
    rig.world.alarms["answers"] = "ALARM"
    back = rig.world.status("endpoint", "shop", "InService")
    assert back["EndpointConfigName"] == "r1"
    assert "answers" in back["FailureReason"]
    assert back["ProductionVariants"][0]["CurrentWeight"] == 1.0
    assert "RollingBack" in [seen["EndpointStatus"] for seen in rig.world.history["endpoint", "shop"]]
    assert {release_of(rig.ask()) for _ in range(20)} == {"r1"}


@pytest.mark.parametrize(("raised_after_s", "who"), [(-60.0, "r2"), (60.0, "r1")])
def test_an_alarm_that_settled_before_anybody_looked_counts_if_it_was_raised_during_the_deployment(
    raised_after_s: float, who: str, rig: Rig
) -> None:
    rig.up(rig.release("r1"))
    rig.release("r2")
    rig.world.alarms["answers"] = "OK"
    rig.world.raised["answers"] = rig.world.now() + raised_after_s
    rig.update("r2", canary(50, wait_s=0.3, alarms=["answers"]))
    assert rig.world.status("endpoint", "shop", "InService")["EndpointConfigName"] == who


def test_release_that_does_not_start_is_rolled_back_and_the_old_one_never_stopped_answering(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    rig.release("r2", BROKEN="yes")
    rig.update("r2", canary(50))
    back = rig.world.status("endpoint", "shop", "InService")
    assert back["EndpointConfigName"] == "r1"
    assert "did not pass the ping health check" in back["FailureReason"]
    assert release_of(rig.ask()) == "r1"


def test_release_before_is_kept_warm_so_going_back_starts_no_process(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    rig.release("r2")
    rig.update("r2")
    rig.world.status("endpoint", "shop", "InService")
    started = len(rig.runtime.pool._processes)
    rig.update("r1")
    rig.world.status("endpoint", "shop", "InService")
    assert len(rig.runtime.pool._processes) == started == 2
    assert release_of(rig.ask()) == "r1"


def test_deleted_endpoint_answers_no_more_and_leaves_no_process(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    [(process, _)] = rig.runtime.pool._processes.values()
    child = process._child
    assert child is not None
    rig.world.tables["endpoint"].clear()
    rig.hooks.endpoint_deleted("shop")
    assert child.wait(10) is not None
    assert rig.ask().headers["x-amzn-errortype"] == "ValidationError"


def test_endpoint_serves_again_after_the_platform_was_killed(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    rig.close()
    again = rig.again()
    again.hooks.restore()
    try:
        assert again.ask().body == b"r1 1"
        assert rig.world.tables["endpoint"]["shop"]["EndpointStatus"] == "InService"
    finally:
        again.close()


def test_deployment_cut_short_by_the_platforms_end_begins_anew_when_it_starts(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    rig.release("r2")
    rig.update("r2", canary(50, wait_s=60))
    rig.world.until(lambda: _pending_weight(rig) == 0.5)
    rig.close()
    shown = rig.world.tables["endpoint"]["shop"]
    assert shown["EndpointStatus"] == "Updating"
    shown[UNDER_WAY]["DeploymentConfig"] = canary(50, wait_s=0)  # the same once more, without the wait
    again = rig.again()
    again.hooks.restore()
    try:
        done = rig.world.status("endpoint", "shop", "InService")
        assert done["EndpointConfigName"] == "r2"
        assert "FailureReason" not in done
        assert "PendingDeploymentSummary" not in done
        assert UNDER_WAY not in done
        assert release_of(again.ask()) == "r2"
    finally:
        again.close()


def test_deployment_that_begins_anew_still_heeds_its_alarms(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    rig.release("r2")
    rig.update("r2", canary(50, wait_s=60, alarms=("bad",)))
    rig.world.until(lambda: _pending_weight(rig) == 0.5)
    rig.close()
    rig.world.alarms["bad"] = "ALARM"
    again = rig.again()
    again.hooks.restore()
    try:
        back = rig.world.status("endpoint", "shop", "InService")
        assert back["EndpointConfigName"] == "r1"
        assert "bad" in back["FailureReason"]
        assert release_of(again.ask()) == "r1"
    finally:
        again.close()


def test_running_endpoint_is_charged_by_variant_and_instances(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    rig.runtime.meter.tick()
    [usage] = rig.world.charges
    assert (usage.usage_type, usage.instance_type, usage.count) == ("endpoint", "ml.m5.large", 1)
    assert usage.seconds > 0
    assert usage.tags == {"Model": "m"}


def test_no_serving_process_outlives_its_leash(rig: Rig) -> None:
    rig.up(rig.release("r1"))
    pid = int(rig.ask(b"x").status == 200) and next(iter(rig.runtime.pool._processes.values()))[0].pid
    assert pid
    rig.close()
    process = next(iter(rig.runtime.pool._processes.values()))[0]
    assert process._child is not None
    process._child.wait(10)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def _pending_weight(rig: Rig, record: dict[str, Any] | None = None) -> float | None:
    shown = record if record is not None else rig.world.tables["endpoint"]["shop"]
    variants = shown.get("PendingDeploymentSummary", {}).get("ProductionVariants")
    return float(variants[0]["CurrentWeight"]) if variants else None
