"""Schedules become what model.yaml asks for: created, left alone, updated, deleted, over ports in memory."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from bedplate import ports
from bedplate.domain.evidence.evaluation import Trials, evaluate
from bedplate.domain.evidence.explanation import Explanation, Importance
from bedplate.domain.evidence.live_quality import LiveFinding, LiveReport
from bedplate.domain.names import SCHEDULE_KINDS
from bedplate.errors import NotFound
from bedplate.settings import ModelSpec
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.stacks.cli_resources import belongings, remove_watches
from bedplate.workflows.watch.monitor import executions, latest_live_report
from bedplate.workflows.watch.schedules import all_strayed, schedule, strayed
from builders import a_package, a_spec
from fakes import EPOCH, FakeStackContext
from unit.workflows.release.test_deploy import E, platform
from unit.workflows.release.test_deploy import run as deploy_version

__all__ = ["platform"]

GATES = {
    "fairness": [{"by": "plan", "metric": "selection_rate", "max_difference": 0.2, "min_rows": 20}],
    "explanation": {"max_moved": 0.3},
}
ALL: dict[str, Any] = {"model_quality": {"delay_hours": 24, "look_back_hours": 2}, "bias": {}, "explainability": {}}


def spec(**schedules: Any) -> ModelSpec:
    return a_spec("churn", gates=GATES, monitors={"max_drop": {"auc": 0.05}, "schedules": schedules})


@pytest.fixture
def live(platform: FakeStackContext) -> FakeStackContext:
    """v1, evaluated, is live."""
    metadata = {"model": "churn", "evaluation_uri": "s3://artifacts/e/evaluation.json"}
    platform.registry.held[E] = [a_package(1, approval="Approved", metadata=metadata)]
    rng = np.random.default_rng(0)
    scores = rng.random(200)
    labels = (rng.random(200) < scores).astype(float)
    importances = (Importance("age", 0.3, None), Importance("calls", 0.1, None))
    explained = Explanation(30, 0.1, importances, None, None, "")
    found = evaluate(
        spec(),
        labels,
        scores,
        None,
        {"plan": ["basic", "pro"] * 100},
        artifact_mb=0.1,
        seconds=0.1,
        trials=Trials(explanation=explained),
    )
    platform.objects.put("s3://artifacts/e/evaluation.json", json.dumps(found.to_json()).encode())
    deploy_version(platform, version=1)
    platform.specs["churn"] = spec(**ALL)
    return platform


def changes(platform: FakeStackContext, **more: Any) -> dict[str, str]:
    return {c.kind: c.change for c in schedule(platform, "churn", None, null_reporter, **more)}


def constraints(platform: FakeStackContext, kind: Any) -> dict[str, Any]:
    uri = platform.schedules.drafts[platform.names("churn").schedule(kind)].constraints_uri
    found: dict[str, Any] = json.loads(platform.objects.held[uri])
    return found


def test_all_three_are_created_once_with_an_alarm_each(live: FakeStackContext) -> None:
    assert changes(live) == dict.fromkeys(SCHEDULE_KINDS, "create")
    assert changes(live) == dict.fromkeys(SCHEDULE_KINDS, "none")
    assert live.schedules.puts == 3
    assert set(live.metrics.bounds) == {live.names("churn").schedule(kind) for kind in SCHEDULE_KINDS}
    alarm = live.metrics.bounds["bedplate-local-churn-model-quality"]
    assert (alarm.metric, alarm.threshold, alarm.period_s) == ("bedplate_violations", 0, 3600)
    assert alarm.topic_arn == live.outputs.alerts_topic_arn


def test_dry_run_tells_and_touches_nothing(live: FakeStackContext) -> None:
    before = dict(live.objects.held)
    assert changes(live, dry_run=True) == dict.fromkeys(SCHEDULE_KINDS, "create")
    assert (live.schedules.puts, live.objects.held) == (0, before)


def test_windows_lie_back_by_what_labels_take(live: FakeStackContext) -> None:
    schedule(live, "churn", None, null_reporter)
    draft = live.schedules.drafts["bedplate-local-churn-model-quality"]
    assert (draft.start_offset_h, draft.end_offset_h) == (26, 24)
    assert draft.ground_truth_uri == "s3://data/ground-truth/churn/"


def test_bounds_are_the_evaluations(live: FakeStackContext) -> None:
    schedule(live, "churn", None, null_reporter)
    quality = constraints(live, "model-quality")
    auc = quality["bedplate"]["reference"]["metrics"]["auc"]
    bound = {"threshold": auc - 0.05, "comparison_operator": "LessThanThreshold"}
    assert quality["binary_classification_constraints"] == {"auc": bound}
    assert constraints(live, "bias")["bedplate"]["reference"]["fairness"][0]["by"] == "plan"
    reasons = constraints(live, "explainability")
    assert reasons["bedplate"]["reference"]["importances"] == {"age": 0.3, "calls": 0.1}
    draft = live.schedules.drafts["bedplate-local-churn-explainability"]
    config = json.loads(live.objects.held[draft.config_uri or ""])
    assert config["predictor"]["model_name"] == live.endpoints.live[E]
    assert draft.ground_truth_uri is None


def test_what_model_yaml_no_longer_asks_for_goes_with_its_alarm(live: FakeStackContext) -> None:
    schedule(live, "churn", None, null_reporter)
    live.specs["churn"] = spec(bias={"cron": "cron(0 3 ? * * *)"})
    assert strayed(live, "churn") == (
        "model-quality is scheduled, and model.yaml does not ask for it",
        "bias runs by cron(0 * ? * * *), and model.yaml says cron(0 3 ? * * *)",
        "explainability is scheduled, and model.yaml does not ask for it",
    )
    assert changes(live) == {"model-quality": "delete", "explainability": "delete", "bias": "update"}
    assert set(live.metrics.bounds) == {"bedplate-local-churn-bias"}
    assert live.metrics.bounds["bedplate-local-churn-bias"].period_s == 86_400
    assert strayed(live, "churn") == ()
    assert all_strayed(live) == {}


def test_only_amazons_own_image_explains_on_aws(live: FakeStackContext) -> None:
    live.settings = live.settings.model_copy(update={"target": "aws"})
    schedule(live, "churn", None, null_reporter)
    used = {draft.kind: (draft.image_uri, draft.isolated) for draft in live.schedules.drafts.values()}
    ours = (live.outputs.image_uri, True)
    assert used == {"model-quality": ours, "bias": ours, "explainability": ("clarify", False)}


def test_version_that_was_never_evaluated_bounds_nothing(live: FakeStackContext) -> None:
    live.registry.held[E] = [a_package(1, approval="Approved", metadata={"model": "churn"})]
    with pytest.raises(NotFound, match="never evaluated"):
        schedule(live, "churn", None, null_reporter)


def test_destroy_takes_schedules_along(live: FakeStackContext) -> None:
    schedule(live, "churn", None, null_reporter)
    [held] = belongings(live)
    assert len(held.schedules) == 3
    remove_watches(live, [held])
    assert (live.schedules.drafts, live.metrics.bounds) == ({}, {})


def test_runs_of_every_kind_are_listed_and_no_data_is_called_so(live: FakeStackContext) -> None:
    schedule(live, "churn", None, null_reporter)
    reason = "AlgorithmError: monitor failed: NO_DATA: 3 rows are labelled, exit code: 1"
    live.schedules.held = [ports.MonitoringExecution(EPOCH, "Failed", "job", reason)]
    found = executions(live, "churn")
    assert [kind for kind, _ in found] == ["data-quality", *SCHEDULE_KINDS]
    assert {run.status for _, run in found} == {"NO_DATA"}


def test_newest_report_of_a_kind_is_shown(live: FakeStackContext) -> None:
    with pytest.raises(NotFound, match="churn-bias has written"):
        latest_live_report(live, "churn", "bias")
    finding = LiveFinding("selection_rate", "plan", 0.4, 0.1, 0.2, 90, "FAIL", "too far apart")
    told = LiveReport("bias", "churn", E, "1", "VIOLATION", "too far apart", 100, 90, 0, (finding,))
    uri = "s3://artifacts/monitoring/churn/bias/job/report.json"
    live.objects.put(uri, json.dumps(told.to_json()).encode())
    assert latest_live_report(live, "churn", "bias") == (uri, told)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"monitors": {"schedules": {"bias": {}}}}, "gates.fairness"),
        ({"monitors": {"schedules": {"explainability": {}}}}, "gates.explanation"),
        ({"monitors": {"schedules": {"model_quality": {}}}, "serving": {"mode": "serverless"}}, "captures no requests"),
    ],
)
def test_schedule_with_nothing_to_look_at_is_refused(changed: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        a_spec("churn", **{"rollout": {"strategy": "all-at-once"}, **changed})


@pytest.mark.parametrize(
    "cron", ["cron(0 * ? * * *)", "cron(0 3 ? * * *)", "cron(0 03 ? * * *)", "cron(0 23/12 ? * * *)"]
)
def test_hours_and_days_are_schedules_that_sagemaker_takes(cron: str) -> None:
    asked = spec(model_quality={"cron": cron}).monitors.schedules.model_quality
    assert asked is not None
    assert asked.cron == cron


@pytest.mark.parametrize("cron", ["cron(30 * ? * * *)", "cron(0 24 ? * * *)", "cron(0 3 ? * MON *)", "rate(1 hour)"])
def test_other_schedules_are_refused_before_sagemaker_does(cron: str) -> None:
    with pytest.raises(ValueError, match=r"cron\(0 \* \? \* \* \*\)|pattern"):
        spec(model_quality={"cron": cron})
