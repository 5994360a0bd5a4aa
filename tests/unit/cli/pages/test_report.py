"""The report's page: complete without data, loads nothing, escapes what people wrote."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bedplate.cli.pages.report import render
from bedplate.domain.drift import DriftReport, DriftWindow
from bedplate.domain.drift.column_drift import ColumnDrift
from bedplate.domain.evidence.live_quality import LiveFinding, LiveReport
from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.metric_chart import MetricChart
from bedplate.ports import BudgetState, MonitoringExecution
from bedplate.workflows.watch.report import GateResult, HistoryEntry, LiveSummary, Report, RollbackSummary, TrafficChart
from bedplate.workflows.watch.schedule_results import ScheduleResults

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EMPTY = Report(
    model="churn",
    description="Who leaves?",
    stack="local",
    target="LOCAL http://127.0.0.1:4566",
    created_at=NOW,
    live=None,
    events=(),
    is_ledger_intact=True,
    gates=(),
    segment_metric="auc",
    segment_bounds={},
    segments={},
    drift=None,
    traffic=None,
    last_rollback=None,
    spend={},
    budgets=(),
)


def a_drift(psi: float, verdict: str = "significant") -> ColumnDrift:
    shares = ((0.5, 0.5), (0.9, 0.1))
    return ColumnDrift(psi, 0.1, "ks", 0.2, 0.01, 0.02, verdict, 900, 900, ("low", "high"), *shares)  # type: ignore[arg-type]


def full_report() -> Report:
    week = DriftWindow(NOW, NOW + timedelta(days=7), 900, {"age": 0.4, "plan": None}, 0.2, 900, {"auc": 0.7})
    features = {"age": a_drift(0.4), "plan": a_drift(0.02, "stable")}
    windows = (week, replace(week, start=NOW + timedelta(days=7)))
    drift = DriftReport(
        model="churn",
        endpoint="e",
        rows=900,
        start=NOW,
        end=NOW,
        releases={"v1": 900},
        outcome="DRIFT",
        summary="age moved",
        features=features,
        prediction=a_drift(0.2),
        windows=windows,
        performance=None,
        quality={},
        alerts=(),
        psi_warn=0.1,
        psi_alert=0.25,
    )
    return replace(
        EMPTY,
        live=LiveSummary("v1", NOW),
        events=(HistoryEntry(NOW, "forced", 1, "mara@b.example", "because <b>I</b> say so", "warn"),),
        gates=(GateResult(1, "auc", 0.73, 0.72, 0.74, ">= 0.7", "PASS", "inside"),),
        segment_bounds={"plan": 0.6},
        segments={"plan pro": {"v1": Estimate(0.7, 0.6, 0.8, 100)}},
        drift=drift,
        traffic=TrafficChart((NOW, NOW + timedelta(seconds=1)), {"v1": [1.0, 2.0]}, {NOW: "deployed v1"}),
        last_rollback=RollbackSummary(1, 0.4),
        spend={"churn": ({"training": 0.4}, 1.0, (50.0,))},
        budgets=(BudgetState("churn", 1.0, 0.9, None, (("ACTUAL", 50.0, "ALARM"),)),),
    )


def test_a_section_without_data_says_so() -> None:
    page = render(EMPTY)
    assert page.count('<p class="none">') == 6
    assert "<svg" not in page
    assert "release 0" in page


def test_a_section_with_data_has_a_chart() -> None:
    page = render(full_report())
    assert page.count("<svg") == 7
    assert '<p class="none">' not in page


def test_the_alarm_that_rolled_back_a_deployment_is_drawn_with_its_threshold() -> None:
    alarm = MetricChart("e-errors", "Errors", ((NOW, 0.0), (NOW + timedelta(minutes=1), 4.0)), 1.0)
    page = render(replace(EMPTY, rollback_alarm=alarm))
    assert "The last deployment that was rolled back" in page
    assert "alarm 1" in page
    assert "The last deployment that was rolled back" not in render(EMPTY)


def test_the_page_loads_nothing() -> None:
    page = render(full_report())
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"', page) == []
    assert "<script" not in page
    assert "@import" not in page


def test_texts_of_people_are_escaped() -> None:
    assert "because &lt;b&gt;I&lt;/b&gt; say so" in render(full_report())


def test_a_broken_ledger_is_shown_in_tile_and_section() -> None:
    page = render(replace(EMPTY, is_ledger_intact=False))
    assert "THE HASH CHAIN IS BROKEN" in page
    assert ">BROKEN<" in page


def test_tiles_are_coloured_by_their_state() -> None:
    page = render(full_report())
    assert '<b class="bad">0.4</b>' in page
    assert '<b class="warn">$0.90</b>' in page
    assert '<b class="good">0.4 s</b>' in page


def test_metrics_in_the_labels_unit_have_their_own_chart_and_long_spans_have_months_as_ticks() -> None:
    report = full_report()
    assert report.drift is not None
    later = NOW + timedelta(days=400)
    windows = [replace(report.drift.windows[0], performance={"rmse": 12e3, "mae": 8e3, "r2": 0.9})]
    windows.append(replace(windows[0], start=later))
    page = render(replace(report, drift=replace(report.drift, windows=tuple(windows))))
    assert page.count("<svg") == 8
    assert "rmse and mae on late labels" in page
    assert "r2 on late labels" in page
    assert f"{later:%b %Y}" in page


def test_windows_without_values_draw_no_chart() -> None:
    report = full_report()
    assert report.drift is not None
    empty = replace(report.drift.windows[0], psi={"age": None}, prediction_psi=None, performance={"auc": None})
    page = render(replace(report, drift=replace(report.drift, windows=(empty, empty))))
    assert "No window has enough rows for a value of its own" in page
    assert page.count("<svg") == 5


QUALITY = LiveReport(
    kind="model-quality",
    model="churn",
    endpoint="e",
    version="2",
    outcome="OK",
    summary="1 bounds are met",
    rows=900,
    labelled_rows=400,
    explained_rows=0,
    findings=(
        LiveFinding("accuracy", "left", 0.91, 0.9, None, 400, "MEASURED", ""),
        LiveFinding("auc", "left", 0.73, 0.75, 0.7, 400, "PASS", ""),
    ),
)


def a_schedule(*reports: LiveReport) -> ScheduleResults:
    run = MonitoringExecution(NOW, "Completed", "job", None)
    return ScheduleResults(
        reports[0].kind,
        "cron(0 * ? * * *)",
        "Scheduled",
        run,
        tuple((NOW + timedelta(days=i), report) for i, report in enumerate(reports)),
    )


def with_violation(report: LiveReport, value: float) -> LiveReport:
    findings = (report.findings[0], replace(report.findings[1], value=value, verdict="FAIL"))
    return replace(report, outcome="VIOLATION", summary="auc is low", findings=findings)


def test_a_schedules_metrics_are_listed_with_their_bounds_those_with_a_bound_first() -> None:
    page = render(replace(EMPTY, schedules=(a_schedule(QUALITY),)))
    section = page.partition("Model quality</h2>")[2].partition("</section>")[0]
    assert "Schedule: cron(0 * ? * * *), Scheduled. Last run 2026-03-01 12:00 UTC, Completed." in section
    assert "Last report 2026-03-01 12:00 UTC: 400 of 900 rows labelled, v2." in section
    assert [cell for cell in re.findall(r"<td>(\w+)</td>", section) if cell != "left"] == ["auc", "accuracy"]
    assert '<td class="PASS">PASS</td>' in section
    assert ">MEASURED<" not in section
    assert "<svg" not in section, "one report has no history"
    assert '<b class="good">1 of 1 passed</b>' in page


def test_the_history_of_a_metric_with_a_bound_is_drawn_from_two_reports_on() -> None:
    page = render(replace(EMPTY, schedules=(a_schedule(QUALITY, with_violation(QUALITY, 0.6)),)))
    section = page.partition("Model quality</h2>")[2].partition("</section>")[0]
    assert section.count("<svg") == 1
    assert "bound of auc" in section
    assert '<p class="bad">VIOLATION: auc is low</p>' in section
    assert '<b class="bad">0 of 1 passed</b><span>1 violated</span>' in page


def test_a_scheduled_metric_in_the_labels_unit_has_its_own_chart() -> None:
    with_mae = replace(
        QUALITY, findings=(*QUALITY.findings, LiveFinding("mae", "left", 8e3, 7e3, 9e3, 400, "PASS", ""))
    )
    page = render(replace(EMPTY, schedules=(a_schedule(with_mae, with_mae),)))
    assert page.count("<svg") == 2
    assert "bound of mae" in page


def test_importances_are_drawn_beside_those_of_the_evaluation_and_not_listed() -> None:
    findings = (
        LiveFinding("importance_shift", "importances", 0.1, None, 0.2, 200, "PASS", ""),
        LiveFinding("importance", "distance", 0.7, 0.6, None, 200, "MEASURED", ""),
        LiveFinding("importance", "hour", 0.3, 0.4, None, 200, "MEASURED", ""),
    )
    explained = replace(QUALITY, kind="explainability", explained_rows=200, findings=findings)
    page = render(replace(EMPTY, schedules=(a_schedule(explained),)))
    section = page.partition("Explainability: importance of the features</h2>")[2].partition("</section>")[0]
    assert "Importance of distance, hour" in section
    assert "<td>importance_shift</td>" in section
    assert "<td>importance</td>" not in section
    assert "200 of 900 rows explained" in section


def test_a_schedule_without_a_report_shows_the_reason_of_the_failure() -> None:
    failed = MonitoringExecution(NOW, "NO_DATA", None, "NO_DATA: 0 rows are labelled")
    page = render(replace(EMPTY, schedules=(ScheduleResults("bias", "cron(0 4 ? * * *)", "Stopped", failed, ()),)))
    section = page.partition("Bias: differences between groups</h2>")[2].partition("</section>")[0]
    assert "cron(0 4 ? * * *), Stopped." in section
    assert "0 rows are labelled" in section
    assert "No run has written a report yet." in section
    assert '<b class="warn">0 of 1 passed</b><span>1 without a verdict</span>' in page
