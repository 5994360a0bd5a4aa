"""What the three newer schedules found, gathered over ports in memory."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from bedplate.domain.evidence.live_quality import LiveFinding, LiveReport
from bedplate.ports import ExistingSchedule, MonitoringExecution
from bedplate.workflows.watch.report import gather
from bedplate.workflows.watch.schedule_results import RUNS_SHOWN, scheduled
from builders import a_platform
from fakes import EPOCH, FakeStackContext


@pytest.fixture
def platform(tmp_path: Path) -> FakeStackContext:
    return a_platform(tmp_path)


def ran(platform: FakeStackContext, kind: str, *findings: LiveFinding) -> None:
    """A run of the schedule leaves its report, a minute after the one before."""
    report = LiveReport(kind, "churn", "e", "1", "OK", "holds", 100, 100, 0, findings)  # type: ignore[arg-type]
    prefix = f"{platform.names('churn').monitoring_prefix}{kind}/"
    number = sum(prefix in uri for uri in platform.objects.held)
    uri = f"s3://{platform.outputs.artifacts_bucket}/{prefix}run-{number:03}/report.json"
    platform.objects.put(uri, json.dumps(report.to_json()).encode())
    platform.clock.sleep(60)


def bounded(figure: float | None, metric: str = "auc", subject: str = "left") -> LiveFinding:
    return LiveFinding(metric, subject, figure, 0.75, 0.7, 100, "PASS", "")


def test_a_model_that_asks_for_no_schedule_and_never_had_one_shows_none(platform: FakeStackContext) -> None:
    assert scheduled(platform, "churn") == ()


def test_figures_with_a_bound_are_told_over_the_runs_oldest_first(platform: FakeStackContext) -> None:
    ran(platform, "model-quality", bounded(0.8))
    ran(platform, "model-quality", bounded(None))
    ran(platform, "model-quality", bounded(0.72), LiveFinding("accuracy", "left", 0.9, 0.9, None, 100, "MEASURED", ""))
    [found] = scheduled(platform, "churn")
    assert found.series == {"auc": (0.8, None, 0.72)}
    assert (found.kind, found.cron, found.status, found.last_run) == ("model-quality", None, None, None)
    assert found.latest is not None
    assert found.latest.findings[0].figure == 0.72


def test_differences_are_told_apart_by_what_they_are_between(platform: FakeStackContext) -> None:
    ran(platform, "bias", bounded(0.1, "selection_rate", "plan"), bounded(0.2, "selection_rate", "age"))
    [found] = scheduled(platform, "churn")
    assert found.series == {"selection_rate by plan": (0.1,), "selection_rate by age": (0.2,)}


def test_only_the_newest_runs_are_read(platform: FakeStackContext) -> None:
    for number in range(RUNS_SHOWN + 2):
        ran(platform, "model-quality", bounded(number / 100))
    [found] = scheduled(platform, "churn")
    assert found.series["auc"][0] == 0.02
    assert len(found.reports) == RUNS_SHOWN


def test_the_weight_of_a_feature_that_must_not_be_looked_at_is_left_out(platform: FakeStackContext) -> None:
    weights = [LiveFinding("importance", name, 0.5, 0.5, None, 100, "MEASURED", "") for name in ("age", "plan")]
    ran(platform, "explainability", bounded(0.1, "importance_moved", "importances"), *weights)
    [found] = scheduled(platform, "churn", hidden={"age"})
    assert found.latest is not None
    assert [f.subject for f in found.latest.findings] == ["importances", "plan"]


def test_a_standing_schedule_is_told_with_its_last_run_and_the_page_has_it(
    platform: FakeStackContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = ExistingSchedule("bias", "any", "Scheduled", "cron(0 4 ? * * *)", "d")
    monkeypatch.setattr(platform.schedules, "standing", lambda kind, _: standing if kind == "bias" else None)
    failed = MonitoringExecution(EPOCH + timedelta(hours=4), "Failed", None, "NO_DATA: 3 rows are labelled")
    platform.schedules.held = [failed]
    [found] = gather(platform, "churn", where="LOCAL").scheduled
    assert (found.cron, found.status, found.reports) == ("cron(0 4 ? * * *)", "Scheduled", ())
    assert found.last_run is not None
    assert found.last_run.status == "NO_DATA"
