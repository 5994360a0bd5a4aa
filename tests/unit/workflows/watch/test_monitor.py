"""Inputs and ledger records of baseline and monitoring jobs, with ports in memory."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedplate.domain.drift import DriftReport
from bedplate.errors import JobFailed, NotEnoughData, NotFound
from bedplate.ports import MonitoringExecution
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.watch.baseline import compute_baseline
from bedplate.workflows.watch.monitor import list_executions, read_latest_report, run_monitor
from bedplate.workflows.watch.monitoring_job import capture_inputs
from builders import a_package
from fakes import EPOCH, FakeStackContext, failing_work
from release_builders import ENDPOINT
from release_stack import capture_predictions, deploy_version, ledger_events

BASELINES = "s3://artifacts/baselines/churn/"


@pytest.fixture
def live(stack: FakeStackContext) -> FakeStackContext:
    """v1 is evaluated and live."""
    metadata = {"data_uri": "s3://data/t.parquet", "evaluation_uri": "s3://artifacts/e/evaluation.json"}
    stack.registry.packages[ENDPOINT] = [a_package(1, approval="Approved", metadata=metadata)]
    predictions = io.BytesIO()
    pq.write_table(pa.table({"prediction": [0.1, 0.2, 0.4]}), predictions)
    stack.objects.put("s3://artifacts/e/predictions.parquet", predictions.getvalue())
    deploy_version(stack, version=1)
    return stack


def simulate_container(stack: FakeStackContext, **fields: Any) -> None:
    """Makes jobs write what the container writes in their mode; `fields` change the drift report."""

    def work(request: Any) -> None:
        uri = request.outputs["output"][1]
        if request.environment["BEDPLATE_MODE"] == "baseline":
            statistics = {"dataset": {"item_count": 1500}, "features": [{"name": "age"}, {"name": "calls"}]}
            stack.objects.put(f"{uri}/statistics.json", json.dumps(statistics).encode())
            stack.objects.put(f"{uri}/constraints.json", b"{}")
        else:
            stack.objects.put(f"{uri}/drift.json", json.dumps(build_drift_report(**fields).to_json()).encode())

    stack.jobs.work = work


def build_drift_report(**changes: Any) -> DriftReport:
    values: dict[str, Any] = {
        "model": "churn",
        "endpoint": ENDPOINT,
        "rows": 400,
        "start": EPOCH,
        "end": EPOCH,
        "releases": {},
        "outcome": "OK",
        "summary": "nothing has drifted",
        "features": {},
        "prediction": None,
        "windows": (),
        "performance": None,
        "quality": {},
        "alerts": (),
        "psi_warn": 0.1,
        "psi_alert": 0.25,
    }
    return DriftReport(**{**values, **changes})


def test_the_baseline_of_the_live_version_is_stored_where_the_schedule_reads_it(live: FakeStackContext) -> None:
    simulate_container(live)
    baseline = compute_baseline(live, "churn", None, null_reporter)
    assert (baseline.version, baseline.rows, baseline.features, baseline.has_predictions) == (
        1,
        1500,
        ("age", "calls"),
        True,
    )
    assert baseline.statistics_uri == f"{BASELINES}statistics.json"
    (request,) = live.jobs.processings.values()
    assert request.command is None
    assert request.inputs["training"][0] == "s3://data/t.parquet"
    assert request.inputs["predictions"][0] == "s3://artifacts/e/predictions.parquet"
    assert json.loads(live.objects.contents[request.inputs["contract"][0]])["name"] == "churn"
    assert ledger_events(live)[-1][0] == "baseline"


def test_the_fallback_has_no_baseline(stack: FakeStackContext) -> None:
    with pytest.raises(NotFound, match="has no training data"):
        compute_baseline(stack, "churn", None, null_reporter)


def test_a_failed_job_records_no_baseline(live: FakeStackContext) -> None:
    live.jobs.work = failing_work("no column 'age'")
    with pytest.raises(JobFailed, match="no column 'age'"):
        compute_baseline(live, "churn", None, null_reporter)
    assert ledger_events(live)[-1][0] == "deployed"


@pytest.fixture
def monitored_model(live: FakeStackContext) -> FakeStackContext:
    simulate_container(live)
    compute_baseline(live, "churn", None, null_reporter)
    capture_predictions(live, "r", [0.1, 0.2])
    return live


def test_the_monitor_compares_what_was_captured_with_the_baseline(monitored_model: FakeStackContext) -> None:
    result = run_monitor(monitored_model, "churn", start=None, end=None, reporter=null_reporter)
    request = monitored_model.jobs.processings[result.job.name]
    assert request.inputs["endpoint-1"][0].startswith(f"s3://capture/capture/churn/{ENDPOINT}/live/2013/07/01/")
    assert request.environment["baseline_statistics"] == "/opt/ml/processing/baseline/stats/statistics.json"
    assert request.environment["sagemaker_monitoring_schedule_name"] == f"{ENDPOINT}-data-quality"
    assert "labels" not in request.inputs
    assert result.report is not None
    assert result.report.outcome == "OK"
    assert ledger_events(monitored_model)[-1][0] == "monitored"
    assert read_latest_report(monitored_model, "churn")[0] == f"{result.uri}drift.json"


def test_existing_labels_are_an_input_of_the_monitor(monitored_model: FakeStackContext) -> None:
    monitored_model.objects.put("s3://data/labels/churn/x.jsonl", b"{}")
    result = run_monitor(monitored_model, "churn", start=None, end=None, reporter=null_reporter)
    assert monitored_model.jobs.processings[result.job.name].inputs["labels"][0] == "s3://data/labels/churn/"


def test_the_monitor_needs_a_baseline_and_captured_requests(live: FakeStackContext) -> None:
    with pytest.raises(NotFound, match="no baseline"):
        run_monitor(live, "churn", start=None, end=None, reporter=null_reporter)
    simulate_container(live)
    compute_baseline(live, "churn", None, null_reporter)
    with pytest.raises(NotEnoughData, match="captured no request"):
        run_monitor(live, "churn", start=None, end=None, reporter=null_reporter)
    with pytest.raises(NotFound, match="never monitored"):
        read_latest_report(live, "churn")


@pytest.mark.parametrize(
    ("hours", "inputs", "last"),
    [(1, 1, "2013/07/01/11/"), (5, 5, "2013/07/01/11/"), (6, 1, "2013/07/01/"), (24 * 4, 5, "2013/07/01/")],
)
def test_many_hours_of_capture_become_few_inputs(stack: FakeStackContext, hours: int, inputs: int, last: str) -> None:
    for hour in range(hours):
        capture_predictions(stack, "r", [0.1], minutes_ago=1 + 60 * hour)
    captures = capture_inputs(stack, "churn", EPOCH - timedelta(days=31), EPOCH)
    assert len(captures) == inputs
    uris = sorted(uri for uri, _ in captures.values())
    assert uris[-1].endswith(f"live/{last}")
    assert all(
        local == f"/opt/ml/processing/input/endpoint/{uri.split('churn/', 1)[1].rstrip('/')}"
        for uri, local in captures.values()
    )


def test_only_the_hours_of_the_window_are_inputs(stack: FakeStackContext) -> None:
    for hour in (1, 5):
        capture_predictions(stack, "r", [0.1], minutes_ago=60 * hour)
    captures = capture_inputs(stack, "churn", EPOCH - timedelta(hours=2), EPOCH)
    assert [uri[-14:] for uri, _ in captures.values()] == ["2013/07/01/11/"]


def test_runs_of_the_schedule_are_listed(stack: FakeStackContext) -> None:
    stack.schedules.executions = [MonitoringExecution(datetime(2013, 7, 1), "Completed", "job", None)]
    assert [(kind, run.status) for kind, run in list_executions(stack, "churn")] == [("data-quality", "Completed")]
    with pytest.raises(NotFound):
        list_executions(stack, "unknown")
