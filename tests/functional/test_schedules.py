"""Schedules of model quality, bias and explainability: asked for by a person, run by the local platform."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bedplate.domain.evidence.evaluation import Trials, evaluate
from bedplate.domain.evidence.explanation import Explanation, Importance
from bedplate.domain.names import SCHEDULE_KINDS, bucket
from bedplate.settings import ModelSpec
from local_stage import ACCOUNT, PROJECT, SPEC, STACK, Stage
from serving_stage import ROLLOUT, approved, settled

GATES = {
    "fairness": [{"by": "plan", "metric": "selection_rate", "max_difference": 0.3, "min_rows": 30}],
    "explanation": {"max_moved": 0.2, "rows": 30, "background": 10, "draws": 1},
}
MONITORS = {
    "min_rows": 100,
    "max_drop": {"auc": 0.05},
    "schedules": {"model_quality": {}, "bias": {}, "explainability": {"cron": "cron(0 4 ? * * *)"}},
}
ROWS = 200


@pytest.fixture
def scheduled(rough_stage: Stage) -> Stage:
    """A version that was evaluated well is live, and its three schedules are there."""
    rough_stage.spec(gates=GATES, monitors=MONITORS, rollout={**ROLLOUT, "bake_answers": 0})
    version = approved(rough_stage, split=40.0)
    evaluated(rough_stage)
    settled(rough_stage)
    deploy = ("deploy", f"churn:{version}", "--strategy", "all-at-once", "--bake", "0", "--force", "--reason", "x")
    assert rough_stage.run(*deploy).code == 0
    told = rough_stage.run("baseline", "churn", "--json")
    assert told.code == 0, told.err
    assert {c["kind"]: c["change"] for c in told.json["schedules"]} == dict.fromkeys(SCHEDULE_KINDS, "create")
    return rough_stage


def evaluated(stage: Stage) -> None:
    """What an evaluation of the good model writes."""
    rng = np.random.default_rng(0)
    scores = rng.random(400)
    labels = (rng.random(400) < scores**0.3 * (scores > 0.5)).astype(float)
    spec = ModelSpec.model_validate({**SPEC, "gates": GATES})
    importances = (Importance("age", 0.3, None), Importance("plan", 0.0, None))
    found = evaluate(
        spec,
        labels,
        scores,
        None,
        {"plan": ["basic", "pro"] * 200},
        artifact_mb=0.1,
        seconds=0.1,
        trials=Trials(explanation=Explanation(30, 0.1, importances, None, None, "")),
    )
    stage.session.client("s3").put_object(
        Bucket=bucket(PROJECT, STACK, "artifacts", ACCOUNT),
        Key="evaluations/churn/by-hand-40.0-1/evaluation.json",
        Body=json.dumps(found.to_json()).encode(),
    )


def until(look: Callable[[], Any], timeout_s: float = 40) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        seen = look()
        if seen:
            return seen
        threading.Event().wait(0.1)
    raise AssertionError("not in time")


def run_now(stage: Stage, kind: Any) -> dict[str, Any]:
    """One run of the schedule's own job definition, over the last hour, as SageMaker's NOW asks for it."""
    sagemaker, name = stage.session.client("sagemaker"), stage.names.schedule(kind)

    def runs() -> list[dict[str, Any]]:
        found = sagemaker.list_monitoring_executions(MonitoringScheduleName=name)["MonitoringExecutionSummaries"]
        return [run for run in found if run["ProcessingJobArn"] not in before]

    before: set[str] = set()
    before = {run["ProcessingJobArn"] for run in runs()}
    config = sagemaker.describe_monitoring_schedule(MonitoringScheduleName=name)["MonitoringScheduleConfig"]
    config["ScheduleConfig"] = {"ScheduleExpression": "NOW"}
    sagemaker.update_monitoring_schedule(MonitoringScheduleName=name, MonitoringScheduleConfig=config)

    def ended() -> Any:
        return next((r for r in runs() if r["MonitoringExecutionStatus"] not in ("Pending", "InProgress")), None)

    found: dict[str, Any] = until(ended)
    return found


def test_a_drop_on_late_labels_is_found_by_the_schedule_and_raises_its_alarm(scheduled: Stage) -> None:
    rng = np.random.default_rng(5)
    ages = rng.normal(40, 10, ROWS).tolist()
    rows, labels = scheduled.project / "asked.jsonl", scheduled.project / "outcomes.jsonl"
    asked = [
        {"id": f"s-{i}", "at": "2013-02-01T00:00:00Z", "age": age, "plan": ("basic", "pro")[i % 2]}
        for i, age in enumerate(ages)
    ]
    rows.write_text("".join(json.dumps(row) + "\n" for row in asked))
    labels.write_text("".join(json.dumps({"id": r["id"], "left": int(r["age"] < 40)}) + "\n" for r in asked))
    assert scheduled.run("invoke", "churn", "--data", str(rows)).code == 0

    early = run_now(scheduled, "model-quality")
    assert early["MonitoringExecutionStatus"] == "Failed"
    assert early["FailureReason"].startswith("NO_DATA")

    told = scheduled.run("labels", "add", "churn", str(labels), "--json").json
    assert told["matched"] == ROWS
    assert told["ground_truth"] >= 1
    found = run_now(scheduled, "model-quality")
    assert found["MonitoringExecutionStatus"] == "CompletedWithViolations", found
    assert "auc is 0.0" in found["FailureReason"]
    cloudwatch, name = scheduled.session.client("cloudwatch"), scheduled.names.schedule("model-quality")
    until(lambda: cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"] == "ALARM")

    shown = scheduled.run("monitor", "report", "churn", "--kind", "model-quality")
    assert (shown.code, "BROKEN" in shown.out) == (3, True)

    assert run_now(scheduled, "bias")["MonitoringExecutionStatus"] == "Completed"
    reasons = run_now(scheduled, "explainability")
    assert reasons["MonitoringExecutionStatus"] == "Completed", reasons
    status = scheduled.run("status", "churn").out
    assert name in status
    assert "runs by NOW" in status

    again = scheduled.run("monitor", "schedule", "churn", "--json")
    assert {c["change"] for c in again.json} == {"update"}
    assert {c["change"] for c in scheduled.run("monitor", "schedule", "churn", "--json").json} == {"none"}
    scheduled.spec(gates=GATES, rollout={**ROLLOUT, "bake_answers": 0})
    assert {c["change"] for c in scheduled.run("monitor", "schedule", "churn", "--json").json} == {"delete"}
    sagemaker = scheduled.session.client("sagemaker")
    assert sagemaker.list_monitoring_schedules()["MonitoringScheduleSummaries"] == []
    assert sagemaker.list_model_quality_job_definitions()["JobDefinitionSummaries"] == []
    assert cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"] == []
