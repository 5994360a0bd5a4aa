"""What the report gathers, over ports in memory."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bedplate.errors import NotFound
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.watch.report import gather
from builders import a_platform
from fakes import EPOCH, FakeStackContext

E = "bedplate-local-churn"


@pytest.fixture
def platform(tmp_path: Path) -> FakeStackContext:
    return a_platform(tmp_path)


def tell(platform: FakeStackContext, kind: str, version: int, **data: object) -> None:
    ledger = Ledger(platform.objects, platform.outputs.ledger_bucket, platform.clock)
    ledger.record(kind, f"{kind} v{version}", actor="ada@example.com", model="churn", version=version, data=data)  # type: ignore[arg-type]


def test_a_model_without_a_history_is_reported_without_figures(platform: FakeStackContext) -> None:
    report = gather(platform, "churn", where="LOCAL")
    assert (report.live, report.acts, report.gates, report.drift, report.traffic) == (None, (), (), None, None)
    assert report.ledger_whole


def test_an_unknown_model_is_not_found(platform: FakeStackContext) -> None:
    with pytest.raises(NotFound):
        gather(platform, "nobody", where="LOCAL")


def test_gates_are_those_of_each_versions_last_evaluation(platform: FakeStackContext) -> None:
    gate = {"name": "auc", "value": 0.6, "low": 0.5, "high": 0.7, "bound": ">= 0.7", "outcome": "FAIL", "reason": "low"}
    uri = "s3://artifacts/e.json"
    platform.objects.put(uri, EVALUATION)
    tell(platform, "evaluated", 1, gates=[gate], evaluation_uri=uri)
    tell(platform, "evaluated", 1, gates=[{**gate, "value": 0.8, "outcome": "PASS"}], evaluation_uri=uri)
    report = gather(platform, "churn", where="LOCAL")
    assert [(g.version, g.figure, g.verdict) for g in report.gates] == [(1, 0.8, "PASS")]
    assert report.segments["plan pro"]["v1"].value == 0.7


def test_the_last_release_that_answered_is_live_and_rollbacks_keep_their_seconds(platform: FakeStackContext) -> None:
    tell(platform, "deployed", 2, live=f"{E}-v2-0a1b2c3d", release=f"{E}-v2-0a1b2c3d")
    tell(platform, "rollback", 1, live=f"{E}-v1-0a1b2c3d", release=f"{E}-v1-0a1b2c3d", took_s=0.7)
    report = gather(platform, "churn", where="LOCAL")
    assert report.live is not None
    assert report.live.release_short == "v1"
    assert report.last_rollback is not None
    assert (report.last_rollback.version, report.last_rollback.took_s) == (1, 0.7)
    assert [a.tone for a in report.acts] == ["good", "warn"]


def test_traffic_adds_up_by_release_from_the_first_move_on(platform: FakeStackContext) -> None:
    tell(platform, "deploying", 1, release=f"{E}-v1-0a1b2c3d")
    platform.metrics.points = [(EPOCH, 4.0), (EPOCH + timedelta(seconds=1), 6.0)]
    platform.clock.sleep(60)
    report = gather(platform, "churn", where="LOCAL")
    assert report.traffic is not None
    assert report.traffic.answers == {"v0 (the fallback)": [4.0, 6.0], "v1": [4.0, 6.0]}
    assert report.traffic.marks == {}


def test_an_altered_record_shows(platform: FakeStackContext) -> None:
    tell(platform, "trained", 1)
    key = next(uri for uri in platform.objects.held if "/ledger/" in uri)
    platform.objects.held[key] = platform.objects.held[key].replace(b"trained v1", b"trained v2")
    assert not gather(platform, "churn", where="LOCAL").ledger_whole


EVALUATION = b"""{"model": "churn", "task": "binary", "rows": 10, "label_mean": 0.2,
 "candidate": {"auc": {"value": 0.8, "low": 0.7, "high": 0.9, "n": 10}}, "champion": null, "difference": null,
 "segments": {"plan": {"pro": {"auc": {"value": 0.7, "low": 0.6, "high": 0.8, "n": 5}}}},
 "fairness": [], "artifact_mb": 0.1, "seconds": 1.0}"""
