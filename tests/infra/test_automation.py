"""The event rules and the pipeline of the reconciler."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .conftest import Program

RunStack = Callable[..., Program]


def run_with_reconciler(run_stack: RunStack) -> Program:
    return run_stack(automation={"reconcile": True})


def test_events_only_notify_people_by_default(prod: Program) -> None:
    assert not prod.has("pipeline:Pipeline")
    assert {t.inputs["targetId"] for t in prod.of_type("EventTarget")} == {"alerts"}


def test_alarms_approvals_and_budgets_start_the_reconciler_with_a_dead_letter_queue(run_stack: RunStack) -> None:
    program = run_with_reconciler(run_stack)
    targets = {t.name: t.inputs for t in program.of_type("EventTarget") if t.inputs["targetId"] == "reconciler"}
    assert set(targets) == {"reconcile-alarms", "reconcile-approvals", "reconcile-budgets"}
    for name, target in targets.items():
        assert target["sagemakerPipelineTarget"]["pipelineParameterLists"] == [{"name": "Reason", "value": name}]
        assert "deadLetterConfig" in target
    alarms = next(r for r in program.of_type("EventRule") if r.name == "reconcile-alarms").inputs
    alarm_names = json.loads(alarms["eventPattern"])["detail"]["alarmName"]
    assert "bedplate-prod-churn-drift" in alarm_names
    assert "bedplate-prod-prices-errors" in alarm_names


def test_the_reconciler_runs_the_image_with_the_command_and_the_project(run_stack: RunStack, a_project: Path) -> None:
    program = run_with_reconciler(run_stack)
    (pipeline,) = program.of_type("pipeline:Pipeline")
    (step,) = json.loads(pipeline.inputs["pipelineDefinition"])["Steps"]
    arguments: dict[str, Any] = step["Arguments"]
    assert arguments["AppSpecification"]["ContainerEntrypoint"] == [
        *("python", "-m", "bedplate", "reconcile", "--stack", "prod", "--yes"),
    ]
    assert arguments["AppSpecification"]["ImageUri"] == program.exports["image_uri"]
    (snapshot,) = program.of_type("BucketObjectv2")
    assert snapshot.inputs["key"] == "project/snapshot.tar.gz"
    body = base64.b64decode(snapshot.inputs["contentBase64"])
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
        names = tar.getnames()
    assert {"models/churn/model.yaml", "models/prices/model.yaml"} <= set(names)
    assert names == sorted(names)


def test_the_role_of_eventbridge_may_only_start_the_pipeline(run_stack: RunStack) -> None:
    program = run_with_reconciler(run_stack)
    policy = next(p for p in program.of_type("RolePolicy") if p.name == "start-reconciler")
    (statement,) = policy.document()
    assert statement["Action"] == "sagemaker:StartPipelineExecution"
    assert "*" not in statement["Resource"]
