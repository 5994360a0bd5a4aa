"""The report's page: whole without figures, self-contained with them, and safe with text that people wrote."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bedplate.cli.pages.report import render
from bedplate.domain.drift import DriftReport, DriftWindow
from bedplate.domain.drift.compare import ColumnDrift
from bedplate.domain.evidence.live_quality import LiveFinding, LiveReport
from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.metric_chart import MetricChart
from bedplate.ports import BudgetState, MonitoringExecution
from bedplate.workflows.watch.report import Act, Gate, LiveNow, Report, Rollback, TrafficChart
from bedplate.workflows.watch.schedule_results import ScheduleResults

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTHING = Report(
    model="churn",
    description="Who leaves?",
    stack="local",
    where="LOCAL http://127.0.0.1:4566",
    made_at=NOW,
    live=None,
    acts=(),
    ledger_whole=True,
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


def moved(psi: float, verdict: str = "significant") -> ColumnDrift:
    shares = ((0.5, 0.5), (0.9, 0.1))
    return ColumnDrift(psi, 0.1, "ks", 0.2, 0.01, 0.02, verdict, 900, 900, ("low", "high"), *shares)  # type: ignore[arg-type]


def everything() -> Report:
    week = DriftWindow(NOW, NOW + timedelta(days=7), 900, {"age": 0.4, "plan": None}, 0.2, 900, {"auc": 0.7})
    features = {"age": moved(0.4), "plan": moved(0.02, "stable")}
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
        prediction=moved(0.2),
        windows=windows,
        performance=None,
        quality={},
        alerts=(),
        psi_warn=0.1,
        psi_alert=0.25,
    )
    return replace(
        NOTHING,
        live=LiveNow("v1", NOW),
        acts=(Act(NOW, "forced", 1, "mara@b.example", "because <b>I</b> say so", "warn"),),
        gates=(Gate(1, "auc", 0.73, 0.72, 0.74, ">= 0.7", "PASS", "inside"),),
        segment_bounds={"plan": 0.6},
        segments={"plan pro": {"v1": Estimate(0.7, 0.6, 0.8, 100)}},
        drift=drift,
        traffic=TrafficChart((NOW, NOW + timedelta(seconds=1)), {"v1": [1.0, 2.0]}, {NOW: "deployed v1"}),
        last_rollback=Rollback(1, 0.4),
        spend={"churn": ({"training": 0.4}, 1.0, (50.0,))},
        budgets=(BudgetState("churn", 1.0, 0.9, None, (("ACTUAL", 50.0, "ALARM"),)),),
    )


def test_without_figures_every_section_says_so() -> None:
    page = render(NOTHING)
    assert page.count('<p class="none">') == 6
    assert "<svg" not in page
    assert "release 0" in page


def test_with_figures_every_section_has_its_chart() -> None:
    page = render(everything())
    assert page.count("<svg") == 7
    assert '<p class="none">' not in page


def test_the_alarm_that_undid_a_deployment_is_drawn_with_its_bound() -> None:
    graph = MetricChart("e-errors", "Errors", ((NOW, 0.0), (NOW + timedelta(minutes=1), 4.0)), 1.0)
    page = render(replace(NOTHING, alarm=graph))
    assert "The last deployment that was undone" in page
    assert "alarm 1" in page
    assert "The last deployment that was undone" not in render(NOTHING)


def test_nothing_is_loaded_from_anywhere() -> None:
    page = render(everything())
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"', page) == []
    assert "<script" not in page
    assert "@import" not in page


def test_what_people_wrote_is_text_and_no_markup() -> None:
    assert "because &lt;b&gt;I&lt;/b&gt; say so" in render(everything())


def test_a_broken_ledger_cannot_be_overlooked() -> None:
    page = render(replace(NOTHING, ledger_whole=False))
    assert "THE CHAIN IS BROKEN" in page
    assert ">BROKEN<" in page


def test_the_tiles_take_the_colour_of_what_they_say() -> None:
    page = render(everything())
    assert '<b class="bad">0.4</b>' in page
    assert '<b class="warn">$0.90</b>' in page
    assert '<b class="good">0.4 s</b>' in page


def test_metrics_in_dollars_share_no_axis_with_shares_and_years_of_windows_are_told_by_month() -> None:
    report = everything()
    assert report.drift is not None
    later = NOW + timedelta(days=400)
    windows = [replace(report.drift.windows[0], performance={"rmse": 12e3, "mae": 8e3, "r2": 0.9})]
    windows.append(replace(windows[0], start=later))
    page = render(replace(report, drift=replace(report.drift, windows=tuple(windows))))
    assert page.count("<svg") == 8
    assert "rmse and mae on late labels" in page
    assert "r2 on late labels" in page
    assert f"{later:%b %Y}" in page


def test_windows_without_a_figure_draw_no_empty_chart() -> None:
    report = everything()
    assert report.drift is not None
    empty = replace(report.drift.windows[0], psi={"age": None}, prediction_psi=None, performance={"auc": None})
    page = render(replace(report, drift=replace(report.drift, windows=(empty, empty))))
    assert "No window of its own held enough rows" in page
    assert page.count("<svg") == 5


QUALITY = LiveReport(
    kind="model-quality",
    model="churn",
    endpoint="e",
    version="2",
    outcome="OK",
    summary="1 bounds hold",
    rows=900,
    labelled=400,
    explained=0,
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
        tuple((NOW + timedelta(days=i), each) for i, each in enumerate(reports)),
    )


def broken(report: LiveReport, figure: float) -> LiveReport:
    findings = (report.findings[0], replace(report.findings[1], figure=figure, verdict="FAIL"))
    return replace(report, outcome="VIOLATION", summary="auc is low", findings=findings)


def test_a_schedules_figures_stand_beside_their_bounds_those_with_a_bound_first() -> None:
    page = render(replace(NOTHING, scheduled=(a_schedule(QUALITY),)))
    section = page.partition("Model quality</h2>")[2].partition("</section>")[0]
    assert "Runs by cron(0 * ? * * *). Last run 2026-03-01 12:00 UTC, Completed." in section
    assert "saw 400 of 900 rows labelled, of v2" in section
    assert [cell for cell in re.findall(r"<td>(\w+)</td>", section) if cell != "left"] == ["auc", "accuracy"]
    assert '<td class="PASS">PASS</td>' in section
    assert ">MEASURED<" not in section
    assert "<svg" not in section, "one report has no course"
    assert '<b class="good">1 of 1 hold</b>' in page


def test_the_course_of_a_bounded_figure_is_drawn_once_there_are_two_reports() -> None:
    page = render(replace(NOTHING, scheduled=(a_schedule(QUALITY, broken(QUALITY, 0.6)),)))
    section = page.partition("Model quality</h2>")[2].partition("</section>")[0]
    assert section.count("<svg") == 1
    assert "bound of auc" in section
    assert '<p class="bad">VIOLATION: auc is low</p>' in section
    assert '<b class="bad">0 of 1 hold</b><span>1 broke a bound</span>' in page


def test_a_figure_in_the_labels_unit_has_a_chart_of_its_own() -> None:
    priced = replace(QUALITY, findings=(*QUALITY.findings, LiveFinding("mae", "left", 8e3, 7e3, 9e3, 400, "PASS", "")))
    page = render(replace(NOTHING, scheduled=(a_schedule(priced, priced),)))
    assert page.count("<svg") == 2
    assert "bound of mae" in page


def test_the_weight_of_each_feature_is_drawn_beside_the_evaluations_and_not_listed() -> None:
    findings = (
        LiveFinding("importance_moved", "importances", 0.1, None, 0.2, 200, "PASS", ""),
        LiveFinding("importance", "distance", 0.7, 0.6, None, 200, "MEASURED", ""),
        LiveFinding("importance", "hour", 0.3, 0.4, None, 200, "MEASURED", ""),
    )
    why = replace(QUALITY, kind="explainability", explained=200, findings=findings)
    page = render(replace(NOTHING, scheduled=(a_schedule(why),)))
    section = page.partition("What the answers rest on</h2>")[2].partition("</section>")[0]
    assert "Importance of distance, hour" in section
    assert "<td>importance_moved</td>" in section
    assert "<td>importance</td>" not in section
    assert "200 of 900 rows explained" in section


def test_a_schedule_that_never_wrote_a_report_says_so_and_what_failed() -> None:
    failed = MonitoringExecution(NOW, "NO_DATA", None, "NO_DATA: 0 rows are labelled")
    page = render(replace(NOTHING, scheduled=(ScheduleResults("bias", "cron(0 4 ? * * *)", "Stopped", failed, ()),)))
    section = page.partition("Differences between groups</h2>")[2].partition("</section>")[0]
    assert "and is Stopped." in section
    assert "0 rows are labelled" in section
    assert "No run has written a report yet." in section
    assert '<b class="warn">0 of 1 hold</b><span>1 could not tell</span>' in page
