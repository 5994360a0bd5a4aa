"""Schedules are created, updated and deleted until they match model.yaml, with ports in memory."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from bedplate import ports
from bedplate.domain.evidence.evaluation import Analyses, evaluate_models
from bedplate.domain.evidence.explanation import Explanation, Importance
from bedplate.domain.evidence.live_quality import LiveFinding, LiveReport
from bedplate.domain.names import SCHEDULE_KINDS
from bedplate.errors import NotFound
from bedplate.settings import ModelSpec
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.stacks.cli_resources import list_cli_resources, remove_all_schedules
from bedplate.workflows.watch.monitor import list_executions, read_latest_live_report
from bedplate.workflows.watch.schedules import apply_schedules, list_all_deviations, list_deviations
from builders import a_package, a_spec
from fakes import EPOCH, FakeStackContext
from release_builders import ENDPOINT
from release_stack import deploy_version

GATES = {
    "fairness": [{"column": "plan", "metric": "selection_rate", "max_difference": 0.2, "min_rows": 20}],
    "explanation": {"max_importance_shift": 0.3},
}
ALL: dict[str, Any] = {"model_quality": {"delay_hours": 24, "look_back_hours": 2}, "bias": {}, "explainability": {}}


def spec(**schedules: Any) -> ModelSpec:
    return a_spec("churn", gates=GATES, monitors={"max_drop": {"auc": 0.05}, "schedules": schedules})


@pytest.fixture
def live(stack: FakeStackContext) -> FakeStackContext:
    """v1 is evaluated and live."""
    metadata = {"model": "churn", "evaluation_uri": "s3://artifacts/e/evaluation.json"}
    stack.registry.packages[ENDPOINT] = [a_package(1, approval="Approved", metadata=metadata)]
    rng = np.random.default_rng(0)
    scores = rng.random(200)
    labels = (rng.random(200) < scores).astype(float)
    importances = (Importance("age", 0.3, None), Importance("calls", 0.1, None))
    explained = Explanation(30, 0.1, importances, None, None, "")
    evaluation = evaluate_models(
        spec(),
        labels,
        scores,
        None,
        {"plan": ["basic", "pro"] * 100},
        artifact_mb=0.1,
        seconds=0.1,
        analyses=Analyses(explanation=explained),
    )
    stack.objects.put("s3://artifacts/e/evaluation.json", json.dumps(evaluation.to_json()).encode())
    deploy_version(stack, version=1)
    stack.specs["churn"] = spec(**ALL)
    return stack


def apply_changes(stack: FakeStackContext, **more: Any) -> dict[str, str]:
    return {c.kind: c.change for c in apply_schedules(stack, "churn", None, null_reporter, **more)}


def constraints(stack: FakeStackContext, kind: Any) -> dict[str, Any]:
    uri = stack.schedules.drafts[stack.names("churn").schedule(kind)].constraints_uri
    document: dict[str, Any] = json.loads(stack.objects.contents[uri])
    return document


def test_all_three_are_created_once_with_an_alarm_each(live: FakeStackContext) -> None:
    assert apply_changes(live) == dict.fromkeys(SCHEDULE_KINDS, "create")
    assert apply_changes(live) == dict.fromkeys(SCHEDULE_KINDS, "none")
    assert live.schedules.put_count == 3
    assert set(live.metrics.threshold_alarms) == {live.names("churn").schedule(kind) for kind in SCHEDULE_KINDS}
    alarm = live.metrics.threshold_alarms["bedplate-local-churn-model-quality"]
    assert (alarm.metric, alarm.threshold, alarm.period_s) == ("bedplate_violations", 0, 3600)
    assert alarm.topic_arn == live.outputs.alerts_topic_arn


def test_dry_run_returns_the_changes_and_applies_none(live: FakeStackContext) -> None:
    before = dict(live.objects.contents)
    assert apply_changes(live, dry_run=True) == dict.fromkeys(SCHEDULE_KINDS, "create")
    assert (live.schedules.put_count, live.objects.contents) == (0, before)


def test_windows_are_offset_by_the_label_delay(live: FakeStackContext) -> None:
    apply_schedules(live, "churn", None, null_reporter)
    draft = live.schedules.drafts["bedplate-local-churn-model-quality"]
    assert (draft.start_offset_h, draft.end_offset_h) == (26, 24)
    assert draft.ground_truth_uri == "s3://data/ground-truth/churn/"


def test_bounds_come_from_the_evaluation(live: FakeStackContext) -> None:
    apply_schedules(live, "churn", None, null_reporter)
    quality = constraints(live, "model-quality")
    auc = quality["bedplate"]["reference"]["metrics"]["auc"]
    bound = {"threshold": auc - 0.05, "comparison_operator": "LessThanThreshold"}
    assert quality["binary_classification_constraints"] == {"auc": bound}
    assert constraints(live, "bias")["bedplate"]["reference"]["fairness"][0]["column"] == "plan"
    explainability = constraints(live, "explainability")
    assert explainability["bedplate"]["reference"]["importances"] == {"age": 0.3, "calls": 0.1}
    draft = live.schedules.drafts["bedplate-local-churn-explainability"]
    config = json.loads(live.objects.contents[draft.config_uri or ""])
    assert config["predictor"]["model_name"] == live.endpoints.live[ENDPOINT]
    assert draft.ground_truth_uri is None


def test_an_undeclared_schedule_is_deleted_with_its_alarm(live: FakeStackContext) -> None:
    apply_schedules(live, "churn", None, null_reporter)
    live.specs["churn"] = spec(bias={"cron": "cron(0 3 ? * * *)"})
    assert list_deviations(live, "churn") == (
        "model-quality is scheduled, but model.yaml does not declare it",
        "bias runs at cron(0 * ? * * *), but model.yaml declares cron(0 3 ? * * *)",
        "explainability is scheduled, but model.yaml does not declare it",
    )
    assert apply_changes(live) == {"model-quality": "delete", "explainability": "delete", "bias": "update"}
    assert set(live.metrics.threshold_alarms) == {"bedplate-local-churn-bias"}
    assert live.metrics.threshold_alarms["bedplate-local-churn-bias"].period_s == 86_400
    assert list_deviations(live, "churn") == ()
    assert list_all_deviations(live) == {}


def test_on_aws_explainability_uses_clarifys_image(live: FakeStackContext) -> None:
    live.settings = live.settings.model_copy(update={"target": "aws"})
    apply_schedules(live, "churn", None, null_reporter)
    used = {draft.kind: (draft.image_uri, draft.network_isolation) for draft in live.schedules.drafts.values()}
    own_image = (live.outputs.image_uri, True)
    assert used == {"model-quality": own_image, "bias": own_image, "explainability": ("clarify", False)}


def test_a_version_without_evaluation_is_an_error(live: FakeStackContext) -> None:
    live.registry.packages[ENDPOINT] = [a_package(1, approval="Approved", metadata={"model": "churn"})]
    with pytest.raises(NotFound, match="never evaluated"):
        apply_schedules(live, "churn", None, null_reporter)


def test_remove_schedules_deletes_schedules_and_alarms(live: FakeStackContext) -> None:
    apply_schedules(live, "churn", None, null_reporter)
    [stored] = list_cli_resources(live)
    assert len(stored.schedules) == 3
    remove_all_schedules(live, [stored])
    assert (live.schedules.drafts, live.metrics.threshold_alarms) == ({}, {})


def test_executions_of_every_kind_are_listed_with_no_data_status(live: FakeStackContext) -> None:
    apply_schedules(live, "churn", None, null_reporter)
    reason = "AlgorithmError: monitor failed: NO_DATA: 3 rows are labelled, exit code: 1"
    live.schedules.executions = [ports.MonitoringExecution(EPOCH, "Failed", "job", reason)]
    executions = list_executions(live, "churn")
    assert [kind for kind, _ in executions] == ["data-quality", *SCHEDULE_KINDS]
    assert {run.status for _, run in executions} == {"NO_DATA"}


def test_the_newest_report_of_a_kind_is_read(live: FakeStackContext) -> None:
    with pytest.raises(NotFound, match="churn-bias has written"):
        read_latest_live_report(live, "churn", "bias")
    finding = LiveFinding("selection_rate", "plan", 0.4, 0.1, 0.2, 90, "FAIL", "too far apart")
    report = LiveReport("bias", "churn", ENDPOINT, "1", "VIOLATION", "too far apart", 100, 90, 0, (finding,))
    uri = "s3://artifacts/monitoring/churn/bias/job/report.json"
    live.objects.put(uri, json.dumps(report.to_json()).encode())
    assert read_latest_live_report(live, "churn", "bias") == (uri, report)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"monitors": {"schedules": {"bias": {}}}}, "gates.fairness"),
        ({"monitors": {"schedules": {"explainability": {}}}}, "gates.explanation"),
        ({"monitors": {"schedules": {"model_quality": {}}}, "serving": {"mode": "serverless"}}, "captures no requests"),
    ],
)
def test_a_schedule_without_its_gate_is_an_error(changed: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        a_spec("churn", **{"rollout": {"strategy": "all-at-once"}, **changed})


@pytest.mark.parametrize(
    "cron", ["cron(0 * ? * * *)", "cron(0 3 ? * * *)", "cron(0 03 ? * * *)", "cron(0 23/12 ? * * *)"]
)
def test_hourly_and_daily_schedules_are_valid(cron: str) -> None:
    schedule = spec(model_quality={"cron": cron}).monitors.schedules.model_quality
    assert schedule is not None
    assert schedule.cron == cron


@pytest.mark.parametrize("cron", ["cron(30 * ? * * *)", "cron(0 24 ? * * *)", "cron(0 3 ? * MON *)", "rate(1 hour)"])
def test_other_schedules_are_an_error(cron: str) -> None:
    with pytest.raises(ValueError, match=r"cron\(0 \* \? \* \* \*\)|pattern"):
        spec(model_quality={"cron": cron})
