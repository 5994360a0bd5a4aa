"""Schedules of model quality, bias and explainability, declared in model.yaml and run by the local platform."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from bedplate.domain.evidence.evaluation import Analyses, evaluate_models
from bedplate.domain.evidence.explanation import Explanation, Importance
from bedplate.domain.names import SCHEDULE_KINDS, bucket
from bedplate.settings import ModelSpec
from local_stage import ACCOUNT, PROJECT, SPEC, STACK, Stage
from polling import wait_until
from serving_stage import ROLLOUT_WITHOUT_TRAFFIC, register_version, wait_until_settled

GATES = {
    "fairness": [{"column": "plan", "metric": "selection_rate", "max_difference": 0.3, "min_rows": 30}],
    "explanation": {"max_importance_shift": 0.2, "rows": 30, "background": 10, "draws": 1},
}
MONITORS = {
    "min_rows": 100,
    "max_drop": {"auc": 0.05},
    "schedules": {"model_quality": {}, "bias": {}, "explainability": {"cron": "cron(0 4 ? * * *)"}},
}
ROWS = 200


@pytest.fixture
def scheduled_model(fault_stage: Stage) -> Stage:
    """A version with a good evaluation is live, and its three schedules exist."""
    fault_stage.write_model_yaml(gates=GATES, monitors=MONITORS, rollout=ROLLOUT_WITHOUT_TRAFFIC)
    version = register_version(fault_stage, split=40.0)
    write_evaluation(fault_stage)
    wait_until_settled(fault_stage)
    deploy = ("deploy", f"churn:{version}", "--strategy", "all-at-once", "--bake", "0", "--force", "--reason", "x")
    assert fault_stage.run(*deploy).code == 0
    result = fault_stage.run("baseline", "churn", "--json")
    assert result.code == 0, result.stderr
    assert {c["kind"]: c["change"] for c in result.json["schedules"]} == dict.fromkeys(SCHEDULE_KINDS, "create")
    return fault_stage


def write_evaluation(stage: Stage) -> None:
    """Writes the result of an evaluation of the model with split 40.0."""
    rng = np.random.default_rng(0)
    scores = rng.random(400)
    labels = (rng.random(400) < scores**0.3 * (scores > 0.5)).astype(float)
    spec = ModelSpec.model_validate({**SPEC, "gates": GATES})
    importances = (Importance("age", 0.3, None), Importance("plan", 0.0, None))
    evaluation = evaluate_models(
        spec,
        labels,
        scores,
        None,
        {"plan": ["basic", "pro"] * 200},
        artifact_mb=0.1,
        seconds=0.1,
        analyses=Analyses(explanation=Explanation(30, 0.1, importances, None, None, "")),
    )
    stage.session.client("s3").put_object(
        Bucket=bucket(PROJECT, STACK, "artifacts", ACCOUNT),
        Key="evaluations/churn/by-hand-40.0-1/evaluation.json",
        Body=json.dumps(evaluation.to_json()).encode(),
    )


def run_now(stage: Stage, kind: Any) -> dict[str, Any]:
    """Runs the schedule once over the last hour, with SageMaker's expression NOW. Returns the finished execution."""
    sagemaker, name = stage.session.client("sagemaker"), stage.names.schedule(kind)

    def executions() -> list[dict[str, Any]]:
        response = sagemaker.list_monitoring_executions(MonitoringScheduleName=name)
        return list(response["MonitoringExecutionSummaries"])

    before = {execution["ProcessingJobArn"] for execution in executions()}
    config = sagemaker.describe_monitoring_schedule(MonitoringScheduleName=name)["MonitoringScheduleConfig"]
    config["ScheduleConfig"] = {"ScheduleExpression": "NOW"}
    sagemaker.update_monitoring_schedule(MonitoringScheduleName=name, MonitoringScheduleConfig=config)

    def find_finished_execution() -> dict[str, Any] | None:
        started = (e for e in executions() if e["ProcessingJobArn"] not in before)
        return next((e for e in started if e["MonitoringExecutionStatus"] not in ("Pending", "InProgress")), None)

    execution: dict[str, Any] = wait_until(find_finished_execution)
    return execution


def test_a_quality_drop_on_late_labels_is_a_violation_and_raises_the_alarm(scheduled_model: Stage) -> None:
    rng = np.random.default_rng(5)
    ages = rng.normal(40, 10, ROWS).tolist()
    rows, labels = scheduled_model.project / "requests.jsonl", scheduled_model.project / "outcomes.jsonl"
    requests = [
        {"id": f"s-{i}", "at": "2013-02-01T00:00:00Z", "age": age, "plan": ("basic", "pro")[i % 2]}
        for i, age in enumerate(ages)
    ]
    rows.write_text("".join(json.dumps(row) + "\n" for row in requests))
    labels.write_text("".join(json.dumps({"id": r["id"], "left": int(r["age"] < 40)}) + "\n" for r in requests))
    assert scheduled_model.run("invoke", "churn", "--data", str(rows)).code == 0

    early = run_now(scheduled_model, "model-quality")
    assert early["MonitoringExecutionStatus"] == "Failed"
    assert early["FailureReason"].startswith("NO_DATA")

    result = scheduled_model.run("labels", "add", "churn", str(labels), "--json").json
    assert result["matched"] == ROWS
    assert result["ground_truth_records"] >= 1
    late = run_now(scheduled_model, "model-quality")
    assert late["MonitoringExecutionStatus"] == "CompletedWithViolations", late
    assert "auc is 0.0" in late["FailureReason"]
    cloudwatch, name = scheduled_model.session.client("cloudwatch"), scheduled_model.names.schedule("model-quality")
    wait_until(lambda: cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"] == "ALARM")

    shown = scheduled_model.run("monitor", "report", "churn", "--kind", "model-quality")
    assert (shown.code, "OUTSIDE" in shown.stdout) == (3, True)

    assert run_now(scheduled_model, "bias")["MonitoringExecutionStatus"] == "Completed"
    explainability = run_now(scheduled_model, "explainability")
    assert explainability["MonitoringExecutionStatus"] == "Completed", explainability
    status = scheduled_model.run("status", "churn").stdout
    assert name in status
    assert "runs at NOW" in status

    for change in ("update", "none"):  # NOW has replaced the expressions
        assert {c["change"] for c in scheduled_model.run("monitor", "schedule", "churn", "--json").json} == {change}
    scheduled_model.write_model_yaml(gates=GATES, rollout=ROLLOUT_WITHOUT_TRAFFIC)
    assert {c["change"] for c in scheduled_model.run("monitor", "schedule", "churn", "--json").json} == {"delete"}
    sagemaker = scheduled_model.session.client("sagemaker")
    assert sagemaker.list_monitoring_schedules()["MonitoringScheduleSummaries"] == []
    assert sagemaker.list_model_quality_job_definitions()["JobDefinitionSummaries"] == []
    assert cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"] == []
