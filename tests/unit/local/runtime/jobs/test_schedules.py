"""Monitoring schedules: when they run, what a run looks at, how it ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bedplate.local.runtime.jobs.cron import parse
from unit.local.runtime.rig import ARN, Rig

HOUR = 3600.0
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp()


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("expression", "moment", "due"),
    [
        ("cron(0 * ? * * *)", NOON, NOON + HOUR),
        ("cron(0 * ? * * *)", NOON - 1, NOON),
        ("cron(30 6 ? * MON-FRI *)", NOON, at(2026, 3, 2, 6, 30)),
        ("cron(0 17/3 ? * * *)", NOON, at(2026, 3, 1, 17)),
        ("cron(15 10 31 * ? *)", NOON, at(2026, 3, 31, 10, 15)),
        ("cron(0 0 29 FEB ? *)", NOON, at(2028, 2, 29)),
        ("rate(5 minutes)", NOON, NOON + 300),
    ],
)
def test_next_due_time(expression: str, moment: float, due: float) -> None:
    assert parse(expression).next_after(moment) == due


def test_expression_of_the_past_is_never_due() -> None:
    assert parse("cron(0 0 1 1 ? 1999)").next_after(NOON) is None


@pytest.mark.parametrize(
    "expression", ["hourly", "cron(0 * * * *)", "cron(61 * ? * * *)", "cron(x * ? * * *)", "rate(0 days)"]
)
def test_expression_that_cannot_be_read_says_so(expression: str) -> None:
    with pytest.raises(ValueError):
        parse(expression)


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def watched(rig: Rig, *, baseline: bool = True) -> Clock:
    """An endpoint that captures, and an hourly schedule over it, at noon."""
    clock = Clock(NOON + 60)
    rig.world.clock = clock
    capture = {"DestinationS3Uri": "s3://capture/base"}
    rig.world.put("endpoint", "shop", {"EndpointName": "shop", "DataCaptureConfig": capture})
    rig.world.put_object("artifacts", "baseline/statistics.json", b"{}")
    rig.world.put(
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


def schedule(rig: Rig, expression: str = "cron(0 * ? * * *)", status: str = "Scheduled") -> dict[str, Any]:
    record = {
        "MonitoringScheduleName": "hourly",
        "MonitoringScheduleArn": f"{ARN}:monitoring-schedule/hourly",
        "MonitoringScheduleStatus": status,
        "MonitoringType": "DataQuality",
        "MonitoringJobDefinitionName": "quality",
        "EndpointName": "shop",
        "MonitoringScheduleConfig": {"ScheduleConfig": {"ScheduleExpression": expression}},
    }
    rig.world.put("monitoring-schedule", "hourly", record)
    rig.hooks.schedule_changed(record)
    return record


def captures(rig: Rig, *minutes: int, hour: int = 12) -> None:
    for minute in minutes:
        rig.world.put_object("capture", f"base/shop/live/2026/03/01/{hour}/{minute:02d}-00-000-x.jsonl", b"{}\n")


def execution(rig: Rig) -> dict[str, Any]:
    rig.world.until(
        lambda: any(
            e["MonitoringExecutionStatus"] != "InProgress" for e in rig.world.tables["monitoring-execution"].values()
        )
    )
    [found] = rig.world.tables["monitoring-execution"].values()
    return found


def test_nothing_runs_before_it_is_due_and_then_once(rig: Rig) -> None:
    clock = watched(rig)
    captures(rig, 5, 10)
    schedule(rig)
    assert rig.runtime.schedules.run_due() == []
    clock.now = NOON + HOUR
    assert rig.runtime.schedules.run_due() == ["hourly"]
    assert rig.runtime.schedules.run_due() == []


def test_run_looks_at_the_hour_before_and_its_violations_are_its_status(rig: Rig) -> None:
    clock = watched(rig)
    captures(rig, 5, 10)
    captures(rig, 0, hour=13)
    schedule(rig)
    clock.now = NOON + HOUR
    rig.runtime.schedules.run_due()
    found = execution(rig)
    assert found["MonitoringExecutionStatus"] == "CompletedWithViolations"
    assert found["ScheduledTime"] == NOON + HOUR
    job = found["ProcessingJobArn"].rsplit("/", 1)[-1]
    told = json.loads(rig.world.objects["artifacts"][f"monitoring/{job}/drift.json"])
    assert told == {"records": 2, "window": "2026-03-01T12:00:00Z", "labels": 0}


def labelled_run(rig: Rig, *truth: dict[str, str], **offsets: str) -> dict[str, Any]:
    """A model-quality run at one, over what was captured and the ground truth collected at half past noon."""
    clock = watched(rig)
    data = rig.world.tables["data-quality-job-definition"]["quality"]
    definition = {key.replace("DataQuality", "ModelQuality"): value for key, value in data.items()}
    definition["ModelQualityJobInput"] = {
        "EndpointInput": {"EndpointName": "shop", **offsets},
        "GroundTruthS3Input": {"S3Uri": "s3://data/truth/"},
    }
    rig.world.put("model-quality-job-definition", "quality", definition)
    lines = [
        {"groundTruthData": {"data": data, "encoding": "CSV"}, "eventMetadata": {"eventId": event}, "eventVersion": "0"}
        for told in truth
        for event, data in told.items()
    ]
    body = "\n".join(map(json.dumps, lines)).encode()
    rig.world.put_object("data", "truth/2026/03/01/12/a.jsonl", body)
    rig.world.put_object("data", "truth/2026/03/01/09/too-early.jsonl", body.replace(b"known", b"other"))
    record = {**schedule(rig), "MonitoringType": "ModelQuality"}
    rig.world.put("monitoring-schedule", "hourly", record)
    rig.hooks.schedule_changed(record)
    clock.now = NOON + HOUR
    rig.runtime.schedules.run_due()
    return execution(rig)


def asked(rig: Rig, key: str, **meta: str) -> None:
    rig.world.put_object("capture", f"base/shop/live/2026/03/01/{key}", json.dumps({"eventMetadata": meta}).encode())


def merged(rig: Rig) -> dict[str, str]:
    """Event id -> ground truth, of what the run was given."""
    files = [body for key, body in rig.world.objects["artifacts"].items() if "/merge/shop/live/2026/03/01/" in key]
    records = [json.loads(line) for body in files for line in body.splitlines()]
    return {r["eventMetadata"]["eventId"]: r["groundTruthData"]["data"] for r in records}


def test_ground_truth_is_merged_by_inference_id_and_by_event_id_without_one(rig: Rig) -> None:
    asked(rig, "12/05-00-000-a.jsonl", eventId="e1", inferenceId="known")
    asked(rig, "12/06-00-000-b.jsonl", eventId="known-too")
    asked(rig, "12/07-00-000-c.jsonl", eventId="known", inferenceId="nobody-told")
    asked(rig, "12/08-00-000-d.jsonl", eventId="other")
    found = labelled_run(rig, {"known": "1\n"}, {"known": "\n0", "known-too": "1"})
    assert found["MonitoringType"] == "ModelQuality"
    assert merged(rig) == {"e1": "1\n0", "known-too": "1"}
    job = found["ProcessingJobArn"].rsplit("/", 1)[-1]
    assert json.loads(rig.world.objects["artifacts"][f"monitoring/{job}/drift.json"])["records"] == 2


def test_offsets_move_the_window_back_to_where_labels_are_known(rig: Rig) -> None:
    asked(rig, "10/05-00-000-a.jsonl", eventId="before")
    asked(rig, "11/05-00-000-a.jsonl", eventId="inside")
    asked(rig, "12/05-00-000-a.jsonl", eventId="after")
    truth = dict.fromkeys(("before", "inside", "after"), "1")
    labelled_run(rig, truth, StartTimeOffset="-PT1H", EndTimeOffset="-PT1H")
    assert merged(rig) == {"inside": "1"}


def test_run_without_any_outcome_has_failed_for_lack_of_data(rig: Rig) -> None:
    asked(rig, "12/05-00-000-a.jsonl", eventId="unknown")
    found = labelled_run(rig, {"known": "1"})
    assert found["MonitoringExecutionStatus"] == "Failed"
    assert found["FailureReason"].startswith("NO_DATA: no request that shop captured")


def explained_run(rig: Rig, *, model: bool = True) -> dict[str, Any]:
    clock = watched(rig)
    captures(rig, 5)
    data = rig.world.tables["data-quality-job-definition"]["quality"]
    definition = {key.replace("DataQuality", "ModelExplainability"): value for key, value in data.items()}
    config = {"ConfigUri": "s3://artifacts/config.json"}
    definition["ModelExplainabilityAppSpecification"] = {
        **definition["ModelExplainabilityAppSpecification"],
        **config,
    }
    rig.world.put("model-explainability-job-definition", "quality", definition)
    rig.world.put_object("artifacts", "config.json", b'{"predictor": {"model_name": "shop-v1"}}')
    if model:
        rig.world.put_object("artifacts", "m/model.tar.gz", b"model")
        rig.world.put("model", "shop-v1", {"PrimaryContainer": {"ModelDataUrl": "s3://artifacts/m/model.tar.gz"}})
    record = {**schedule(rig), "MonitoringType": "ModelExplainability"}
    rig.world.put("monitoring-schedule", "hourly", record)
    rig.hooks.schedule_changed(record)
    clock.now = NOON + HOUR
    rig.runtime.schedules.run_due()
    return execution(rig)


def test_explainability_run_is_given_the_model_that_its_configuration_names(rig: Rig) -> None:
    found = explained_run(rig)
    [job] = [
        j for j in rig.world.tables["processing-job"].values() if j["ProcessingJobArn"] == found["ProcessingJobArn"]
    ]
    given = {entry["InputName"]: entry["S3Input"]["S3Uri"] for entry in job["ProcessingInputs"]}
    assert given["model"] == "s3://artifacts/m/model.tar.gz"
    assert given["config"] == "s3://artifacts/config.json"


def test_explainability_run_of_a_model_that_is_gone_fails_with_its_name(rig: Rig) -> None:
    assert 'Could not find model "shop-v1"' in explained_run(rig, model=False)["FailureReason"]


def test_hour_without_requests_has_failed_for_lack_of_data(rig: Rig) -> None:
    clock = watched(rig)
    schedule(rig)
    clock.now = NOON + HOUR
    rig.runtime.schedules.run_due()
    found = execution(rig)
    assert found["MonitoringExecutionStatus"] == "Failed"
    assert "No data" in found["FailureReason"]


def test_stopped_and_deleted_schedules_do_not_run(rig: Rig) -> None:
    clock = watched(rig)
    captures(rig, 5)
    schedule(rig, status="Stopped")
    clock.now = NOON + HOUR
    assert rig.runtime.schedules.run_due() == []
    schedule(rig)
    rig.hooks.schedule_deleted("hourly")
    clock.now += HOUR
    assert rig.runtime.schedules.run_due() == []


def test_hours_missed_while_the_machine_slept_run_once(rig: Rig) -> None:
    clock = watched(rig)
    captures(rig, 5)
    schedule(rig)
    clock.now = NOON + 5 * HOUR
    assert rig.runtime.schedules.run_due() == ["hourly"]
    assert rig.runtime.schedules.run_due() == []


def test_schedule_that_cannot_be_read_fails_with_the_reason(rig: Rig) -> None:
    watched(rig)
    schedule(rig, expression="every full moon")
    record = rig.world.tables["monitoring-schedule"]["hourly"]
    assert record["MonitoringScheduleStatus"] == "Failed"
    assert "every full moon" in record["FailureReason"]
