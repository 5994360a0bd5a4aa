"""What starts the reconciler, and what it runs on."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .conftest import Program

Ran = Callable[..., Program]


def reconciling(ran: Ran) -> Program:
    return ran(automation={"reconcile": True})


def test_nothing_starts_by_itself_unless_the_stack_says_so(prod: Program) -> None:
    assert not prod.has("pipeline:Pipeline")
    assert {t.inputs["targetId"] for t in prod.of("EventTarget")} == {"alerts"}


def test_alarms_approvals_and_budgets_start_the_reconciler_and_no_event_is_lost(ran: Ran) -> None:
    program = reconciling(ran)
    targets = {t.name: t.inputs for t in program.of("EventTarget") if t.inputs["targetId"] == "reconciler"}
    assert set(targets) == {"reconcile-alarms", "reconcile-approvals", "reconcile-budgets"}
    for name, target in targets.items():
        assert target["sagemakerPipelineTarget"]["pipelineParameterLists"] == [{"name": "Reason", "value": name}]
        assert "deadLetterConfig" in target
    alarms = next(r for r in program.of("EventRule") if r.name == "reconcile-alarms").inputs
    watched = json.loads(alarms["eventPattern"])["detail"]["alarmName"]
    assert "bedplate-prod-churn-drift" in watched
    assert "bedplate-prod-prices-errors" in watched


def test_the_reconciler_is_the_image_with_the_command_and_the_project(ran: Ran, a_project: Path) -> None:
    program = reconciling(ran)
    (pipeline,) = program.of("pipeline:Pipeline")
    (step,) = json.loads(pipeline.inputs["pipelineDefinition"])["Steps"]
    arguments: dict[str, Any] = step["Arguments"]
    assert arguments["AppSpecification"]["ContainerEntrypoint"] == [
        *("python", "-m", "bedplate", "reconcile", "--stack", "prod", "--yes"),
    ]
    assert arguments["AppSpecification"]["ImageUri"] == program.exports["image_uri"]
    (snapshot,) = program.of("BucketObjectv2")
    assert snapshot.inputs["key"] == "project/snapshot.tar.gz"
    body = base64.b64decode(snapshot.inputs["contentBase64"])
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
        names = tar.getnames()
    assert {"models/churn/model.yaml", "models/prices/model.yaml"} <= set(names)
    assert names == sorted(names)


def test_event_bridges_role_may_start_the_pipeline_and_nothing_else(ran: Ran) -> None:
    program = reconciling(ran)
    policy = next(p for p in program.of("RolePolicy") if p.name == "start-reconciler")
    (statement,) = policy.document()
    assert statement["Action"] == "sagemaker:StartPipelineExecution"
    assert "*" not in statement["Resource"]
