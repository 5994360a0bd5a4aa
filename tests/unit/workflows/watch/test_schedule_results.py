"""The results of the schedules of model quality, bias and explainability, from ports in memory."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from bedplate.domain.evidence.live_quality import LiveFinding, LiveReport
from bedplate.ports import ExistingSchedule, MonitoringExecution
from bedplate.workflows.watch.report import build_report
from bedplate.workflows.watch.schedule_results import RUNS_SHOWN, read_schedule_results
from builders import a_stack_context
from fakes import EPOCH, FakeStackContext


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    return a_stack_context(tmp_path)


def add_run(stack: FakeStackContext, kind: str, *findings: LiveFinding) -> None:
    """Stores the report of a run of the schedule, a minute after the previous run."""
    report = LiveReport(kind, "churn", "e", "1", "OK", "holds", 100, 100, 0, findings)  # type: ignore[arg-type]
    prefix = f"{stack.names('churn').monitoring_prefix}{kind}/"
    number = sum(prefix in uri for uri in stack.objects.contents)
    uri = f"s3://{stack.outputs.artifacts_bucket}/{prefix}run-{number:03}/report.json"
    stack.objects.put(uri, json.dumps(report.to_json()).encode())
    stack.clock.sleep(60)


def bounded_finding(value: float | None, metric: str = "auc", subject: str = "left") -> LiveFinding:
    return LiveFinding(metric, subject, value, 0.75, 0.7, 100, "PASS", "")


def test_a_model_without_declared_schedules_has_no_results(stack: FakeStackContext) -> None:
    assert read_schedule_results(stack, "churn") == ()


def test_metrics_with_a_bound_have_a_series_oldest_first(stack: FakeStackContext) -> None:
    add_run(stack, "model-quality", bounded_finding(0.8))
    add_run(stack, "model-quality", bounded_finding(None))
    add_run(
        stack,
        "model-quality",
        bounded_finding(0.72),
        LiveFinding("accuracy", "left", 0.9, 0.9, None, 100, "MEASURED", ""),
    )
    [results] = read_schedule_results(stack, "churn")
    assert results.series == {"auc": (0.8, None, 0.72)}
    assert (results.kind, results.cron, results.status, results.last_run) == ("model-quality", None, None, None)
    assert results.latest is not None
    assert results.latest.findings[0].value == 0.72


def test_bias_metrics_are_labelled_by_their_group(stack: FakeStackContext) -> None:
    add_run(
        stack, "bias", bounded_finding(0.1, "selection_rate", "plan"), bounded_finding(0.2, "selection_rate", "age")
    )
    [results] = read_schedule_results(stack, "churn")
    assert results.series == {"selection_rate by plan": (0.1,), "selection_rate by age": (0.2,)}


def test_only_the_newest_runs_are_read(stack: FakeStackContext) -> None:
    for number in range(RUNS_SHOWN + 2):
        add_run(stack, "model-quality", bounded_finding(number / 100))
    [results] = read_schedule_results(stack, "churn")
    assert results.series["auc"][0] == 0.02
    assert len(results.reports) == RUNS_SHOWN


def test_the_importance_of_a_hidden_feature_is_left_out(stack: FakeStackContext) -> None:
    weights = [LiveFinding("importance", name, 0.5, 0.5, None, 100, "MEASURED", "") for name in ("age", "plan")]
    add_run(stack, "explainability", bounded_finding(0.1, "importance_shift", "importances"), *weights)
    [results] = read_schedule_results(stack, "churn", hidden={"age"})
    assert results.latest is not None
    assert [f.subject for f in results.latest.findings] == ["importances", "plan"]


def test_an_existing_schedule_is_shown_with_its_last_run(
    stack: FakeStackContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    existing = ExistingSchedule("bias", "any", "Scheduled", "cron(0 4 ? * * *)", "d")
    monkeypatch.setattr(stack.schedules, "find", lambda kind, _: existing if kind == "bias" else None)
    failed = MonitoringExecution(EPOCH + timedelta(hours=4), "Failed", None, "NO_DATA: 3 rows are labelled")
    stack.schedules.executions = [failed]
    [results] = build_report(stack, "churn", target="LOCAL").schedules
    assert (results.cron, results.status, results.reports) == ("cron(0 4 ? * * *)", "Scheduled", ())
    assert results.last_run is not None
    assert results.last_run.status == "NO_DATA"
