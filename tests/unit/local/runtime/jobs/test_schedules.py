"""Monitoring schedules start runs that analyze the captured requests of their window."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from builders import capture_record
from runtime_driver import ARN, RuntimeDriver

HOUR = 3600.0
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp()


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def create_endpoint(driver: RuntimeDriver, *, baseline: bool = True) -> Clock:
    """Adds an endpoint with data capture and a job definition, and sets the clock to one minute past noon."""
    clock = Clock(NOON + 60)
    driver.services.clock = clock
    capture = {"DestinationS3Uri": "s3://capture/base"}
    driver.services.put_record("endpoint", "shop", {"EndpointName": "shop", "DataCaptureConfig": capture})
    driver.services.put_object("artifacts", "baseline/statistics.json", b"{}")
    driver.services.put_record(
        "data-quality-job-definition",
        "quality",
        {
            "DataQualityAppSpecification": {"ImageUri": "image", "Environment": {"BEDPLATE_MODE": "monitor"}},
            "DataQualityBaselineConfig": {"StatisticsResource": {"S3Uri": "s3://artifacts/baseline/statistics.json"}},
            "DataQualityJobInput": {"EndpointInput": {"EndpointName": "shop"}},
            "DataQualityJobOutputConfig": {
                "MonitoringOutputs": [
                    {"S3Output": {"S3Uri": "s3://artifacts/monitoring", "LocalPath": "/opt/ml/processing/output"}}
                ]
            },
            "JobResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1}},
            "RoleArn": "arn:aws:iam::1:role/r",
        },
    )
    return clock


def create_schedule(
    driver: RuntimeDriver, expression: str = "cron(0 * ? * * *)", status: str = "Scheduled"
) -> dict[str, Any]:
    record = {
        "MonitoringScheduleName": "hourly",
        "MonitoringScheduleArn": f"{ARN}:monitoring-schedule/hourly",
        "MonitoringScheduleStatus": status,
        "MonitoringType": "DataQuality",
        "MonitoringJobDefinitionName": "quality",
        "EndpointName": "shop",
        "MonitoringScheduleConfig": {"ScheduleConfig": {"ScheduleExpression": expression}},
    }
    driver.services.put_record("monitoring-schedule", "hourly", record)
    driver.hooks.schedule_changed(record)
    return record


def add_captures(driver: RuntimeDriver, *minutes: int, hour: int = 12) -> None:
    for minute in minutes:
        driver.services.put_object("capture", f"base/shop/live/2026/03/01/{hour}/{minute:02d}-00-000-x.jsonl", b"{}\n")


def wait_for_execution(driver: RuntimeDriver) -> dict[str, Any]:
    driver.services.wait_until(
        lambda: any(
            e["MonitoringExecutionStatus"] != "InProgress"
            for e in driver.services.tables["monitoring-execution"].values()
        )
    )
    [execution] = driver.services.tables["monitoring-execution"].values()
    return execution


def test_due_schedule_runs_once(driver: RuntimeDriver) -> None:
    clock = create_endpoint(driver)
    add_captures(driver, 5, 10)
    create_schedule(driver)
    assert driver.runtime.schedules.run_due() == []
    clock.now = NOON + HOUR
    assert driver.runtime.schedules.run_due() == ["hourly"]
    assert driver.runtime.schedules.run_due() == []


def test_run_reads_the_previous_hour_and_reports_violations_in_its_status(driver: RuntimeDriver) -> None:
    clock = create_endpoint(driver)
    add_captures(driver, 5, 10)
    add_captures(driver, 0, hour=13)
    create_schedule(driver)
    clock.now = NOON + HOUR
    driver.runtime.schedules.run_due()
    execution = wait_for_execution(driver)
    assert execution["MonitoringExecutionStatus"] == "CompletedWithViolations"
    assert execution["ScheduledTime"] == NOON + HOUR
    job = execution["ProcessingJobArn"].rsplit("/", 1)[-1]
    report = json.loads(driver.services.objects["artifacts"][f"monitoring/{job}/drift.json"])
    assert report == {"records": 2, "window": "2026-03-01T12:00:00Z", "labels": 0}


def run_with_labels(driver: RuntimeDriver, *ground_truths: dict[str, str], **offsets: str) -> dict[str, Any]:
    """Runs a model-quality schedule at one o'clock with the ground truth that was collected after noon."""
    clock = create_endpoint(driver)
    data = driver.services.tables["data-quality-job-definition"]["quality"]
    definition = {key.replace("DataQuality", "ModelQuality"): value for key, value in data.items()}
    definition["ModelQualityJobInput"] = {
        "EndpointInput": {"EndpointName": "shop", **offsets},
        "GroundTruthS3Input": {"S3Uri": "s3://data/truth/"},
    }
    driver.services.put_record("model-quality-job-definition", "quality", definition)
    lines = [
        {"groundTruthData": {"data": data, "encoding": "CSV"}, "eventMetadata": {"eventId": event}, "eventVersion": "0"}
        for labels in ground_truths
        for event, data in labels.items()
    ]
    body = "\n".join(map(json.dumps, lines)).encode()
    driver.services.put_object("data", "truth/2026/03/01/12/a.jsonl", body)
    driver.services.put_object("data", "truth/2026/03/01/09/too-early.jsonl", body.replace(b"known", b"other"))
    record = {**create_schedule(driver), "MonitoringType": "ModelQuality"}
    driver.services.put_record("monitoring-schedule", "hourly", record)
    driver.hooks.schedule_changed(record)
    clock.now = NOON + HOUR
    driver.runtime.schedules.run_due()
    return wait_for_execution(driver)


def add_request(driver: RuntimeDriver, key: str, **metadata: str) -> None:
    record = capture_record([{"x": 1}], [0.5], **metadata)
    driver.services.put_object("capture", f"base/shop/live/2026/03/01/{key}", json.dumps(record).encode())


def merged_labels(driver: RuntimeDriver) -> dict[str, str]:
    """Returns the ground truth in the run's input by event ID."""
    files = [
        body for key, body in driver.services.objects["artifacts"].items() if "/merge/shop/live/2026/03/01/" in key
    ]
    records = [json.loads(line) for body in files for line in body.splitlines()]
    return {r["eventMetadata"]["eventId"]: r["groundTruthData"]["data"] for r in records}


def test_ground_truth_is_merged_by_inference_id_or_else_by_event_id(driver: RuntimeDriver) -> None:
    add_request(driver, "12/05-00-000-a.jsonl", eventId="e1", inferenceId="known")
    add_request(driver, "12/06-00-000-b.jsonl", eventId="known-too")
    add_request(driver, "12/07-00-000-c.jsonl", eventId="known", inferenceId="unlabelled")
    add_request(driver, "12/08-00-000-d.jsonl", eventId="other")
    execution = run_with_labels(driver, {"known": "1\n"}, {"known": "\n0", "known-too": "1"})
    assert execution["MonitoringType"] == "ModelQuality"
    assert merged_labels(driver) == {"e1": "1\n0", "known-too": "1"}
    job = execution["ProcessingJobArn"].rsplit("/", 1)[-1]
    assert json.loads(driver.services.objects["artifacts"][f"monitoring/{job}/drift.json"])["records"] == 2


def test_time_offsets_move_the_window_back(driver: RuntimeDriver) -> None:
    add_request(driver, "10/05-00-000-a.jsonl", eventId="before")
    add_request(driver, "11/05-00-000-a.jsonl", eventId="inside")
    add_request(driver, "12/05-00-000-a.jsonl", eventId="after")
    truth = dict.fromkeys(("before", "inside", "after"), "1")
    run_with_labels(driver, truth, StartTimeOffset="-PT1H", EndTimeOffset="-PT1H")
    assert merged_labels(driver) == {"inside": "1"}


def test_run_without_matching_ground_truth_fails_with_no_data(driver: RuntimeDriver) -> None:
    add_request(driver, "12/05-00-000-a.jsonl", eventId="unknown")
    execution = run_with_labels(driver, {"known": "1"})
    assert execution["MonitoringExecutionStatus"] == "Failed"
    assert execution["FailureReason"].startswith("NO_DATA: no request that shop captured")


def run_with_explanation(driver: RuntimeDriver, *, model: bool = True) -> dict[str, Any]:
    clock = create_endpoint(driver)
    add_captures(driver, 5)
    data = driver.services.tables["data-quality-job-definition"]["quality"]
    definition = {key.replace("DataQuality", "ModelExplainability"): value for key, value in data.items()}
    config = {"ConfigUri": "s3://artifacts/config.json"}
    definition["ModelExplainabilityAppSpecification"] = {
        **definition["ModelExplainabilityAppSpecification"],
        **config,
    }
    driver.services.put_record("model-explainability-job-definition", "quality", definition)
    driver.services.put_object("artifacts", "config.json", b'{"predictor": {"model_name": "shop-v1"}}')
    if model:
        driver.services.put_object("artifacts", "m/model.tar.gz", b"model")
        driver.services.put_record(
            "model", "shop-v1", {"PrimaryContainer": {"ModelDataUrl": "s3://artifacts/m/model.tar.gz"}}
        )
    record = {**create_schedule(driver), "MonitoringType": "ModelExplainability"}
    driver.services.put_record("monitoring-schedule", "hourly", record)
    driver.hooks.schedule_changed(record)
    clock.now = NOON + HOUR
    driver.runtime.schedules.run_due()
    return wait_for_execution(driver)


def test_explainability_run_gets_the_model_named_in_its_configuration(driver: RuntimeDriver) -> None:
    execution = run_with_explanation(driver)
    [job] = [
        j
        for j in driver.services.tables["processing-job"].values()
        if j["ProcessingJobArn"] == execution["ProcessingJobArn"]
    ]
    inputs = {entry["InputName"]: entry["S3Input"]["S3Uri"] for entry in job["ProcessingInputs"]}
    assert inputs["model"] == "s3://artifacts/m/model.tar.gz"
    assert inputs["config"] == "s3://artifacts/config.json"


def test_explainability_run_of_a_missing_model_fails_and_names_it(driver: RuntimeDriver) -> None:
    assert 'Could not find model "shop-v1"' in run_with_explanation(driver, model=False)["FailureReason"]


def test_run_over_an_hour_without_requests_fails(driver: RuntimeDriver) -> None:
    clock = create_endpoint(driver)
    create_schedule(driver)
    clock.now = NOON + HOUR
    driver.runtime.schedules.run_due()
    execution = wait_for_execution(driver)
    assert execution["MonitoringExecutionStatus"] == "Failed"
    assert "No data" in execution["FailureReason"]


def test_stopped_and_deleted_schedules_do_not_run(driver: RuntimeDriver) -> None:
    clock = create_endpoint(driver)
    add_captures(driver, 5)
    create_schedule(driver, status="Stopped")
    clock.now = NOON + HOUR
    assert driver.runtime.schedules.run_due() == []
    create_schedule(driver)
    driver.hooks.schedule_deleted("hourly")
    clock.now += HOUR
    assert driver.runtime.schedules.run_due() == []


def test_hours_missed_while_the_machine_slept_run_once(driver: RuntimeDriver) -> None:
    clock = create_endpoint(driver)
    add_captures(driver, 5)
    create_schedule(driver)
    clock.now = NOON + 5 * HOUR
    assert driver.runtime.schedules.run_due() == ["hourly"]
    assert driver.runtime.schedules.run_due() == []


def test_schedule_with_an_invalid_expression_fails_with_the_reason(driver: RuntimeDriver) -> None:
    create_endpoint(driver)
    create_schedule(driver, expression="every full moon")
    record = driver.services.tables["monitoring-schedule"]["hourly"]
    assert record["MonitoringScheduleStatus"] == "Failed"
    assert "every full moon" in record["FailureReason"]
