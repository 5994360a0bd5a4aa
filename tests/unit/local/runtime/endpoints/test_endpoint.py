"""Endpoints serve, capture, record metrics, update, roll back and restart."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

import pytest

from bedplate.local.hooks import PENDING_UPDATE
from runtime_driver import RuntimeDriver, canary


def release_of(response: Any) -> str:
    return str(response.headers["X-Amzn-SageMaker-Custom-Attributes"]).removeprefix("release=")


def errors_of(response: Any) -> dict[str, Any]:
    return dict(json.loads(response.body))


def test_endpoint_in_service_returns_predictions_of_its_model(driver: RuntimeDriver) -> None:
    record = driver.create_endpoint(driver.add_release("r1", weights="42"))
    assert record["EndpointStatus"] == "InService"
    response = driver.invoke()
    assert (response.status, response.body) == (200, b"r1 42")
    assert response.headers["x-Amzn-Invoked-Production-Variant"] == "live"
    assert record["ProductionVariants"][0]["CurrentWeight"] == 1.0


def test_endpoint_with_a_broken_model_fails_with_the_end_of_its_log(driver: RuntimeDriver) -> None:
    record = driver.create_endpoint(driver.add_release("r1", BROKEN="yes"))
    assert record["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in record["FailureReason"]
    assert "no module named 'lightgbm'" in record["FailureReason"]
    assert errors_of(driver.invoke())["Message"] == "Endpoint shop of account 123456789012 not found."


def test_endpoint_with_a_missing_artifact_fails_and_names_it(driver: RuntimeDriver) -> None:
    driver.add_release("r1")
    del driver.services.objects["artifacts"]["r1.tar.gz"]
    record = driver.create_endpoint("r1")
    assert record["EndpointStatus"] == "Failed"
    assert "s3://artifacts/r1.tar.gz" in record["FailureReason"]


def test_endpoint_with_an_invalid_archive_fails(driver: RuntimeDriver) -> None:
    driver.add_release("r1")
    driver.services.put_object("artifacts", "r1.tar.gz", b"not a tar")
    assert "cannot be unpacked" in driver.create_endpoint("r1")["FailureReason"]


@pytest.mark.parametrize(("body", "status", "side"), [(b"bad", 400, "client"), (b"boom", 500, "server")])
def test_error_of_the_container_becomes_a_model_error_with_its_message(
    driver: RuntimeDriver, body: bytes, status: int, side: str
) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    response = driver.invoke(body)
    error = errors_of(response)
    assert (response.status, response.headers["x-amzn-errortype"]) == (424, "ModelError")
    assert error["OriginalStatusCode"] == status
    assert f"Received {side} error ({status}) from primary" in error["Message"]
    driver.hooks.flush()
    assert driver.services.metric_values("Invocation4XXErrors") == [float(status == 400)]
    assert driver.services.metric_values("Invocation5XXErrors") == [float(status == 500)]
    assert not driver.services.objects["capture"]


def test_unknown_endpoint_and_unknown_variant_are_validation_errors(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    assert driver.invoke(name="nowhere").headers["x-amzn-errortype"] == "ValidationError"
    assert driver.invoke(target_variant="blue").headers["x-amzn-errortype"] == "ValidationError"
    assert driver.invoke(target_variant="live").status == 200


def test_flushed_capture_has_request_response_and_release(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    driver.invoke(b'{"a": 1}', inference_id="abc")
    driver.hooks.flush()
    [(key, body)] = driver.services.objects["capture"].items()
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


def test_sampling_of_zero_captures_nothing(driver: RuntimeDriver) -> None:
    capture = {"EnableCapture": True, "InitialSamplingPercentage": 0, "DestinationS3Uri": "s3://capture/base"}
    driver.create_endpoint(
        driver.add_release(
            "r1", config={"DataCaptureConfig": {**capture, "CaptureOptions": [{"CaptureMode": "Input"}]}}
        )
    )
    driver.invoke()
    driver.hooks.flush()
    assert not driver.services.objects["capture"]


def test_missing_capture_bucket_loses_only_the_captured_requests(driver: RuntimeDriver) -> None:
    driver.services.missing_buckets.add("capture")
    driver.create_endpoint(driver.add_release("r1"))
    assert driver.invoke().status == 200
    driver.hooks.flush()
    assert driver.services.metric_values("Invocations") == [1.0]


def test_retained_weights_survive_an_update_and_a_restart(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    record = driver.services.update("endpoint", "shop", EndpointStatus="Updating")
    assert record is not None
    driver.hooks.endpoint_weights_changed(
        record, [{"VariantName": "live", "DesiredWeight": 3, "DesiredInstanceCount": 4}]
    )
    driver.services.wait_for_status("endpoint", "shop", "InService")
    driver.add_release("r2")
    driver.update(
        "r2",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}],
    )
    [variant] = driver.services.wait_for_status("endpoint", "shop", "InService")["ProductionVariants"]
    assert (variant["CurrentWeight"], variant["CurrentInstanceCount"]) == (1.0, 4)
    driver.close()
    restarted = driver.restart()
    restarted.hooks.restore()
    try:
        assert restarted.invoke().status == 200
        restarted.runtime.meter.charge_all()
        assert driver.services.charges[-1].count == 4
    finally:
        restarted.close()


def test_every_invocation_records_count_and_latencies(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    for _ in range(3):
        driver.invoke()
    driver.hooks.flush()
    assert driver.services.metric_values("Invocations") == [1.0, 1.0, 1.0]
    assert all(0 < us < 5e6 for us in driver.services.metric_values("ModelLatency"))
    assert all(0 < us < 5e6 for us in driver.services.metric_values("OverheadLatency"))


def test_embedded_metrics_are_published_and_logged(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    driver.invoke(b"emf")
    driver.services.wait_until(lambda: driver.services.metric_values("Predictions") == [5.0])
    assert any("CloudWatchMetrics" in line for line in driver.services.log_lines("/aws/sagemaker/Endpoints/shop"))


def test_crashed_container_is_restarted_and_serves_again(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    assert driver.invoke(b"die").status == 424
    assert driver.invoke().body == b"r1 1"


def test_variants_share_the_traffic_by_weight(driver: RuntimeDriver) -> None:
    driver.add_release("r1")
    driver.add_release("r2")
    variants = [
        {"VariantName": "a", "ModelName": "r1", "InitialVariantWeight": 3, "InitialInstanceCount": 1},
        {"VariantName": "b", "ModelName": "r2", "InitialVariantWeight": 1, "InitialInstanceCount": 2},
    ]
    driver.add_release("ab", config={"ProductionVariants": variants})
    driver.create_endpoint("ab")
    counts = Counter(release_of(driver.invoke()) for _ in range(200))
    assert 120 < counts["r1"] < 180
    assert release_of(driver.invoke(target_variant="b")) == "r2"
    record = driver.services.update("endpoint", "shop", EndpointStatus="Updating")
    assert record is not None
    driver.hooks.endpoint_weights_changed(record, [{"VariantName": "a", "DesiredWeight": 0}])
    live = driver.services.wait_for_status("endpoint", "shop", "InService")
    assert {v["VariantName"]: v["CurrentWeight"] for v in live["ProductionVariants"]} == {"a": 0.0, "b": 1.0}
    assert {release_of(driver.invoke()) for _ in range(20)} == {"r2"}


def test_shadow_variant_gets_copies_that_are_captured_but_never_returned(driver: RuntimeDriver) -> None:
    driver.add_release("r1")
    driver.add_release("r2")
    shadow = [{"VariantName": "v2", "ModelName": "r2", "InitialVariantWeight": 1, "InitialInstanceCount": 1}]
    config = driver.services.tables["endpoint-config"]["r1"] | {"ShadowProductionVariants": shadow}
    driver.services.put_record("endpoint-config", "r1", config)
    driver.create_endpoint("r1")
    assert {release_of(driver.invoke()) for _ in range(5)} == {"r1"}
    driver.services.wait_until(
        lambda: sum(b.count(b"\n") for k, b in driver.services.objects["capture"].items() if "/v2/" in k) == 5
    )


def test_shadow_copy_is_captured_exactly_when_its_original_is(driver: RuntimeDriver) -> None:
    driver.add_release("r1")
    driver.add_release("r2")
    config = driver.services.tables["endpoint-config"]["r1"]
    config["DataCaptureConfig"]["InitialSamplingPercentage"] = 50
    config["ShadowProductionVariants"] = [{"VariantName": "v2", "ModelName": "r2", "InitialInstanceCount": 1}]
    driver.create_endpoint("r1")
    for number in range(40):
        driver.invoke(inference_id=f"n{number}")
    driver.services.wait_until(lambda: len(driver.services.metric_values("Invocations")) == 80)
    driver.hooks.flush()
    inference_ids: dict[str, set[str]] = {"/live/": set(), "/v2/": set()}
    for key, body in driver.services.objects["capture"].items():
        ids = {json.loads(line)["eventMetadata"]["inferenceId"] for line in body.splitlines()}
        inference_ids["/v2/" if "/v2/" in key else "/live/"] |= ids
    assert inference_ids["/live/"] == inference_ids["/v2/"]
    assert 5 < len(inference_ids["/v2/"]) < 35


def test_variant_weights_are_restored_after_the_platform_was_killed(driver: RuntimeDriver) -> None:
    driver.add_release("r1")
    driver.add_release("r2")
    variants = [
        {"VariantName": "live", "ModelName": "r1", "InitialVariantWeight": 1, "InitialInstanceCount": 1},
        {"VariantName": "challenger", "ModelName": "r2", "InitialVariantWeight": 1, "InitialInstanceCount": 1},
    ]
    driver.add_release("ab", config={"ProductionVariants": variants})
    driver.create_endpoint("ab")
    record = driver.services.update("endpoint", "shop", EndpointStatus="Updating")
    assert record is not None
    driver.hooks.endpoint_weights_changed(record, [{"VariantName": "live", "DesiredWeight": 0}])
    driver.services.wait_for_status("endpoint", "shop", "InService")
    driver.close()
    restarted = driver.restart()
    restarted.hooks.restore()
    try:
        assert {release_of(restarted.invoke()) for _ in range(20)} == {"r2"}
        assert release_of(restarted.invoke(target_variant="live")) == "r1"
    finally:
        restarted.close()


def test_canary_serves_both_releases_during_the_bake(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    driver.add_release("r2")
    driver.update("r2", canary(50, wait_s=60))
    driver.services.wait_until(lambda: _pending_weight(driver) == 0.5)
    assert {release_of(driver.invoke()) for _ in range(60)} == {"r1", "r2"}
    endpoint = driver.services.tables["endpoint"]["shop"]
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("Updating", "r1")
    assert endpoint["ProductionVariants"][0]["CurrentWeight"] == 0.5
    assert endpoint["PendingDeploymentSummary"]["EndpointConfigName"] == "r2"
    assert endpoint["PendingDeploymentSummary"]["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Baking"


def test_alarm_rolls_back_to_the_previous_variants(driver: RuntimeDriver) -> None:
    for release in ("r1", "r2", "r3"):
        driver.add_release(release)
    for split, second in (("before", "r2"), ("after", "r3")):
        variants = [
            {"VariantName": name, "ModelName": model, "InitialVariantWeight": weight, "InitialInstanceCount": 1}
            for name, model, weight in (("live", "r1", 1), ("challenger", second, 3))
        ]
        driver.add_release(split, config={"ProductionVariants": variants})
    driver.create_endpoint("before")
    driver.services.alarm_states["answers"] = "OK"
    driver.update("after", canary(50, wait_s=60, alarms=["answers"]))
    driver.services.wait_until(lambda: _pending_weight(driver) == 0.5)
    assert {release_of(driver.invoke()) for _ in range(80)} == {"r1", "r2", "r3"}
    driver.services.alarm_states["answers"] = "ALARM"
    endpoint = driver.services.wait_for_status("endpoint", "shop", "InService")
    assert endpoint["EndpointConfigName"] == "before"
    assert {v["VariantName"]: v["CurrentWeight"] for v in endpoint["ProductionVariants"]} == {
        "live": 1.0,
        "challenger": 3.0,
    }
    assert {release_of(driver.invoke()) for _ in range(40)} == {"r1", "r2"}


def test_finished_canary_serves_only_the_new_release(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    driver.add_release("r2")
    driver.update("r2", canary(50, wait_s=0.2))
    record = driver.services.wait_for_status("endpoint", "shop", "InService")
    assert record["EndpointConfigName"] == "r2"
    assert "PendingDeploymentSummary" not in record
    assert record["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert {release_of(driver.invoke()) for _ in range(10)} == {"r2"}


def test_linear_deployment_shifts_traffic_in_the_configured_steps(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    driver.add_release("r2")
    driver.update("r2", canary(25, kind="LINEAR"))
    driver.services.wait_for_status("endpoint", "shop", "InService")
    shares = [_pending_weight(driver, record) for record in driver.services.history["endpoint", "shop"]]
    assert sorted({s for s in shares if s}) == [0.25, 0.5, 0.75, 1.0]


def test_alarm_rolls_back_the_canary_and_is_named_in_the_failure_reason(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    driver.add_release("r2")
    driver.services.alarm_states["answers"] = "OK"
    driver.update("r2", canary(50, wait_s=60, alarms=["answers"]))
    driver.services.wait_until(lambda: _pending_weight(driver) == 0.5)
    driver.services.alarm_states["answers"] = "ALARM"
    endpoint = driver.services.wait_for_status("endpoint", "shop", "InService")
    assert endpoint["EndpointConfigName"] == "r1"
    assert "answers" in endpoint["FailureReason"]
    assert endpoint["ProductionVariants"][0]["CurrentWeight"] == 1.0
    assert "RollingBack" in [record["EndpointStatus"] for record in driver.services.history["endpoint", "shop"]]
    assert {release_of(driver.invoke()) for _ in range(20)} == {"r1"}


@pytest.mark.parametrize(("raised_after_s", "config"), [(-60.0, "r2"), (60.0, "r1")])
def test_alarm_between_two_polls_rolls_back_if_it_fired_during_the_deployment(
    raised_after_s: float, config: str, driver: RuntimeDriver
) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    driver.add_release("r2")
    driver.services.alarm_states["answers"] = "OK"
    driver.services.fired_alarms["answers"] = driver.services.now() + raised_after_s
    driver.update("r2", canary(50, wait_s=0.3, alarms=["answers"]))
    assert driver.services.wait_for_status("endpoint", "shop", "InService")["EndpointConfigName"] == config


def test_release_that_does_not_start_is_rolled_back_while_the_old_one_serves(
    driver: RuntimeDriver,
) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    driver.add_release("r2", BROKEN="yes")
    driver.update("r2", canary(50))
    endpoint = driver.services.wait_for_status("endpoint", "shop", "InService")
    assert endpoint["EndpointConfigName"] == "r1"
    assert "did not pass the ping health check" in endpoint["FailureReason"]
    assert release_of(driver.invoke()) == "r1"


def test_previous_release_stays_warm_so_a_rollback_starts_no_process(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    driver.add_release("r2")
    driver.update("r2")
    driver.services.wait_for_status("endpoint", "shop", "InService")
    started = len(driver.runtime.pool._processes)
    driver.update("r1")
    driver.services.wait_for_status("endpoint", "shop", "InService")
    assert len(driver.runtime.pool._processes) == started == 2
    assert release_of(driver.invoke()) == "r1"


def test_deleted_endpoint_stops_serving_and_its_process_ends(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    [(process, _)] = driver.runtime.pool._processes.values()
    child = process._child
    assert child is not None
    driver.services.tables["endpoint"].clear()
    driver.hooks.endpoint_deleted("shop")
    assert child.wait(10) is not None
    assert driver.invoke().headers["x-amzn-errortype"] == "ValidationError"


def test_endpoint_is_restored_after_the_platform_was_killed(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    driver.close()
    restarted = driver.restart()
    restarted.hooks.restore()
    try:
        assert restarted.invoke().body == b"r1 1"
        assert driver.services.tables["endpoint"]["shop"]["EndpointStatus"] == "InService"
    finally:
        restarted.close()


def test_interrupted_deployment_starts_again_with_the_platform(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    driver.add_release("r2")
    driver.update("r2", canary(50, wait_s=60))
    driver.services.wait_until(lambda: _pending_weight(driver) == 0.5)
    driver.close()
    endpoint = driver.services.tables["endpoint"]["shop"]
    assert endpoint["EndpointStatus"] == "Updating"
    endpoint[PENDING_UPDATE]["DeploymentConfig"] = canary(50, wait_s=0)  # the same once more, without the wait
    restarted = driver.restart()
    restarted.hooks.restore()
    try:
        record = driver.services.wait_for_status("endpoint", "shop", "InService")
        assert record["EndpointConfigName"] == "r2"
        assert "FailureReason" not in record
        assert "PendingDeploymentSummary" not in record
        assert PENDING_UPDATE not in record
        assert release_of(restarted.invoke()) == "r2"
    finally:
        restarted.close()


def test_restarted_deployment_still_watches_its_alarms(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    driver.add_release("r2")
    driver.update("r2", canary(50, wait_s=60, alarms=("bad",)))
    driver.services.wait_until(lambda: _pending_weight(driver) == 0.5)
    driver.close()
    driver.services.alarm_states["bad"] = "ALARM"
    restarted = driver.restart()
    restarted.hooks.restore()
    try:
        endpoint = driver.services.wait_for_status("endpoint", "shop", "InService")
        assert endpoint["EndpointConfigName"] == "r1"
        assert "bad" in endpoint["FailureReason"]
        assert release_of(restarted.invoke()) == "r1"
    finally:
        restarted.close()


def test_running_endpoint_is_charged_by_variant_and_instances(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    driver.runtime.meter.charge_all()
    [usage] = driver.services.charges
    assert (usage.usage_type, usage.instance_type, usage.count) == ("endpoint", "ml.m5.large", 1)
    assert usage.seconds > 0
    assert usage.tags == {"Model": "m"}


def test_no_serving_process_outlives_its_supervisor(driver: RuntimeDriver) -> None:
    driver.create_endpoint(driver.add_release("r1"))
    pid = int(driver.invoke(b"x").status == 200) and next(iter(driver.runtime.pool._processes.values()))[0].pid
    assert pid
    driver.close()
    process = next(iter(driver.runtime.pool._processes.values()))[0]
    assert process._child is not None
    process._child.wait(10)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def _pending_weight(driver: RuntimeDriver, record: dict[str, Any] | None = None) -> float | None:
    endpoint = record if record is not None else driver.services.tables["endpoint"]["shop"]
    variants = endpoint.get("PendingDeploymentSummary", {}).get("ProductionVariants")
    return float(variants[0]["CurrentWeight"]) if variants else None
