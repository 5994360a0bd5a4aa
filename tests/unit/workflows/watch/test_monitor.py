"""Baseline and monitoring jobs, over ports in memory: what goes in, what is recorded."""

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
from bedplate.workflows.watch.baseline import baseline
from bedplate.workflows.watch.monitor import executions, latest_report, monitor
from bedplate.workflows.watch.monitoring_job import capture_inputs
from builders import a_package
from fakes import EPOCH, FakeStackContext, refuse
from unit.workflows.release.test_deploy import E, capture, platform, told
from unit.workflows.release.test_deploy import run as deploy_version

__all__ = ["platform"]

BASELINES = "s3://artifacts/baselines/churn/"


@pytest.fixture
def live(platform: FakeStackContext) -> FakeStackContext:
    """v1, evaluated, is live."""
    metadata = {"data_uri": "s3://data/t.parquet", "evaluation_uri": "s3://artifacts/e/evaluation.json"}
    platform.registry.held[E] = [a_package(1, approval="Approved", metadata=metadata)]
    predictions = io.BytesIO()
    pq.write_table(pa.table({"prediction": [0.1, 0.2, 0.4]}), predictions)
    platform.objects.put("s3://artifacts/e/predictions.parquet", predictions.getvalue())
    deploy_version(platform, version=1)
    return platform


def container(platform: FakeStackContext, **answer: Any) -> None:
    """Play the container: write what the mode writes."""

    def work(request: Any) -> None:
        uri = request.outputs["output"][1]
        if request.environment["BEDPLATE_MODE"] == "baseline":
            statistics = {"dataset": {"item_count": 1500}, "features": [{"name": "age"}, {"name": "calls"}]}
            platform.objects.put(f"{uri}/statistics.json", json.dumps(statistics).encode())
            platform.objects.put(f"{uri}/constraints.json", b"{}")
        else:
            platform.objects.put(f"{uri}/drift.json", json.dumps(report(**answer).to_json()).encode())

    platform.jobs.work = work


def report(**changes: Any) -> DriftReport:
    values: dict[str, Any] = {
        "model": "churn",
        "endpoint": E,
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


def test_the_baseline_is_of_the_live_version_and_lies_where_the_schedule_looks(live: FakeStackContext) -> None:
    container(live)
    made = baseline(live, "churn", None, null_reporter)
    assert (made.version, made.rows, made.features, made.has_answers) == (1, 1500, ("age", "calls"), True)
    assert made.statistics_uri == f"{BASELINES}statistics.json"
    (request,) = live.jobs.processings.values()
    assert request.command is None
    assert request.inputs["training"][0] == "s3://data/t.parquet"
    assert request.inputs["predictions"][0] == "s3://artifacts/e/predictions.parquet"
    assert json.loads(live.objects.held[request.inputs["contract"][0]])["name"] == "churn"
    assert told(live)[-1][0] == "baseline"


def test_the_fallback_has_no_baseline(platform: FakeStackContext) -> None:
    with pytest.raises(NotFound, match="learned from nothing"):
        baseline(platform, "churn", None, null_reporter)


def test_a_failed_job_is_no_baseline(live: FakeStackContext) -> None:
    live.jobs.work = refuse("no column 'age'")
    with pytest.raises(JobFailed, match="no column 'age'"):
        baseline(live, "churn", None, null_reporter)
    assert told(live)[-1][0] == "deployed"


@pytest.fixture
def watched(live: FakeStackContext) -> FakeStackContext:
    container(live)
    baseline(live, "churn", None, null_reporter)
    capture(live, "r", [0.1, 0.2])
    return live


def test_the_monitor_compares_what_was_captured_with_the_baseline(watched: FakeStackContext) -> None:
    done = monitor(watched, "churn", start=None, end=None, reporter=null_reporter)
    request = watched.jobs.processings[done.job.name]
    assert request.inputs["endpoint-1"][0].startswith(f"s3://capture/capture/churn/{E}/live/2013/07/01/")
    assert request.environment["baseline_statistics"] == "/opt/ml/processing/baseline/stats/statistics.json"
    assert request.environment["sagemaker_monitoring_schedule_name"] == f"{E}-data-quality"
    assert "labels" not in request.inputs
    assert done.report is not None
    assert done.report.outcome == "OK"
    assert told(watched)[-1][0] == "monitored"
    assert latest_report(watched, "churn")[0] == f"{done.uri}drift.json"


def test_labels_that_have_arrived_go_with_it(watched: FakeStackContext) -> None:
    watched.objects.put("s3://data/labels/churn/x.jsonl", b"{}")
    done = monitor(watched, "churn", start=None, end=None, reporter=null_reporter)
    assert watched.jobs.processings[done.job.name].inputs["labels"][0] == "s3://data/labels/churn/"


def test_without_a_baseline_or_a_request_there_is_nothing_to_compare(live: FakeStackContext) -> None:
    with pytest.raises(NotFound, match="no baseline"):
        monitor(live, "churn", start=None, end=None, reporter=null_reporter)
    container(live)
    baseline(live, "churn", None, null_reporter)
    with pytest.raises(NotEnoughData, match="captured no request"):
        monitor(live, "churn", start=None, end=None, reporter=null_reporter)
    with pytest.raises(NotFound, match="never monitored"):
        latest_report(live, "churn")


@pytest.mark.parametrize(
    ("hours", "inputs", "last"),
    [(1, 1, "2013/07/01/11/"), (5, 5, "2013/07/01/11/"), (6, 1, "2013/07/01/"), (24 * 4, 5, "2013/07/01/")],
)
def test_many_hours_of_capture_become_few_inputs(
    platform: FakeStackContext, hours: int, inputs: int, last: str
) -> None:
    for hour in range(hours):
        capture(platform, "r", [0.1], minutes_ago=1 + 60 * hour)
    found = capture_inputs(platform, "churn", EPOCH - timedelta(days=31), EPOCH)
    assert len(found) == inputs
    places = sorted(uri for uri, _ in found.values())
    assert places[-1].endswith(f"live/{last}")
    assert all(
        local == f"/opt/ml/processing/input/endpoint/{uri.split('churn/', 1)[1].rstrip('/')}"
        for uri, local in found.values()
    )


def test_only_the_hours_of_the_window_are_inputs(platform: FakeStackContext) -> None:
    for hour in (1, 5):
        capture(platform, "r", [0.1], minutes_ago=60 * hour)
    found = capture_inputs(platform, "churn", EPOCH - timedelta(hours=2), EPOCH)
    assert [uri[-14:] for uri, _ in found.values()] == ["2013/07/01/11/"]


def test_runs_of_the_schedule_are_listed(platform: FakeStackContext) -> None:
    platform.schedules.held = [MonitoringExecution(datetime(2013, 7, 1), "Completed", "job", None)]
    assert [(kind, run.status) for kind, run in executions(platform, "churn")] == [("data-quality", "Completed")]
    with pytest.raises(NotFound):
        executions(platform, "nobody")
