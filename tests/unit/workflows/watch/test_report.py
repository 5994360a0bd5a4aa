"""The data of the report, from ports in memory."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bedplate.errors import NotFound
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.watch.report import build_report
from builders import a_stack_context
from fakes import EPOCH, FakeStackContext
from release_builders import V1, V2


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    return a_stack_context(tmp_path)


def add_record(stack: FakeStackContext, kind: str, version: int, **data: object) -> None:
    ledger = Ledger(stack.objects, stack.outputs.ledger_bucket, stack.clock)
    ledger.record(kind, f"{kind} v{version}", actor="ada@example.com", model="churn", version=version, data=data)  # type: ignore[arg-type]


def test_a_model_without_history_has_an_empty_report(stack: FakeStackContext) -> None:
    report = build_report(stack, "churn", target="LOCAL")
    assert (report.live, report.events, report.gates, report.drift, report.traffic) == (None, (), (), None, None)
    assert report.is_ledger_intact


def test_an_unknown_model_is_not_found(stack: FakeStackContext) -> None:
    with pytest.raises(NotFound):
        build_report(stack, "unknown", target="LOCAL")


def test_gates_are_those_of_each_versions_last_evaluation(stack: FakeStackContext) -> None:
    gate = {
        "name": "auc",
        "value": 0.6,
        "ci_low": 0.5,
        "ci_high": 0.7,
        "bound": ">= 0.7",
        "outcome": "FAIL",
        "reason": "ci_low",
    }
    uri = "s3://artifacts/e.json"
    stack.objects.put(uri, EVALUATION)
    add_record(stack, "evaluated", 1, gates=[gate], evaluation_uri=uri)
    add_record(stack, "evaluated", 1, gates=[{**gate, "value": 0.8, "outcome": "PASS"}], evaluation_uri=uri)
    report = build_report(stack, "churn", target="LOCAL")
    assert [(g.version, g.value, g.verdict) for g in report.gates] == [(1, 0.8, "PASS")]
    assert report.segments["plan pro"]["v1"].value == 0.7


def test_the_report_has_the_live_release_and_the_rollback_duration(stack: FakeStackContext) -> None:
    add_record(stack, "deployed", 2, live=V2, release=V2)
    add_record(stack, "rollback", 1, live=V1, release=V1, switch_s=0.7)
    report = build_report(stack, "churn", target="LOCAL")
    assert report.live is not None
    assert report.live.display_name == "v1"
    assert report.last_rollback is not None
    assert (report.last_rollback.version, report.last_rollback.duration_s) == (1, 0.7)
    assert [a.tone for a in report.events] == ["good", "warn"]


def test_traffic_is_summed_by_release_since_the_first_deployment(stack: FakeStackContext) -> None:
    add_record(stack, "deployment-started", 1, release=V1)
    stack.metrics.datapoints = [(EPOCH, 4.0), (EPOCH + timedelta(seconds=1), 6.0)]
    stack.clock.sleep(60)
    report = build_report(stack, "churn", target="LOCAL")
    assert report.traffic is not None
    assert report.traffic.predictions == {"v0 (the fallback)": [4.0, 6.0], "v1": [4.0, 6.0]}
    assert report.traffic.marks == {}


def test_an_altered_record_marks_the_ledger_as_not_intact(stack: FakeStackContext) -> None:
    add_record(stack, "trained", 1)
    key = next(uri for uri in stack.objects.contents if "/ledger/" in uri)
    stack.objects.contents[key] = stack.objects.contents[key].replace(b"trained v1", b"trained v2")
    assert not build_report(stack, "churn", target="LOCAL").is_ledger_intact


EVALUATION = b"""{"format": 1, "model": "churn", "task": "binary", "rows": 10, "label_mean": 0.2,
 "candidate": {"auc": {"value": 0.8, "ci_low": 0.7, "ci_high": 0.9, "n_rows": 10}}, "champion": null,
 "difference": null, "segments": {"plan": {"pro": {"auc": {"value": 0.7, "ci_low": 0.6, "ci_high": 0.8, "n_rows": 5}}}},
 "fairness": [], "artifact_mb": 0.1, "seconds": 1.0}"""
