"""From captured rows to a report: windows, late labels, quality, and few alerts in the right order."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bedplate.domain.drift import DriftReport
from bedplate.domain.drift.analysis import CategoryColumn, DriftBaseline, Sample, analyze_drift
from bedplate.domain.drift.profile import CategoryProfile, NumericProfile
from bedplate.settings import Column, DataContract, ModelSpec

COLUMNS = {
    "id": Column(type="string", role="key"),
    "at": Column(type="timestamp", role="time"),
    "shop": Column(type="string", role="segment", categories=("north", "south")),
    "x": Column(type="number", nullable=True, min=-10, max=10),
    "z": Column(type="number"),
    "y": Column(type="integer", role="label"),
}
RNG = np.random.default_rng(3)
N = 6000


def spec(**monitors) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "churn", "owner": "a@b.cc", "on_call": "a@b.cc", "description": "d", "intended_use": "i",
            "excluded_use": "e", "risk": "low", "fallback": 0.5, "data": DataContract(columns=COLUMNS),
            "monitors": {"min_rows": 300, "window": "week", "max_drop": {"auc": 0.05}, **monitors},
            "budget": {"monthly_usd": 1},
        }
    )  # fmt: skip


def baseline(**changes) -> DriftBaseline:
    features = {
        "shop": CategoryProfile.build_reference(["north", "south"], RNG.integers(0, 2, N)),
        "x": NumericProfile.build_reference(RNG.normal(size=N)),
        "z": NumericProfile.build_reference(RNG.normal(size=N)),
    }
    return replace(
        DriftBaseline(features, NumericProfile.build_reference(RNG.random(N)), {"auc": 0.8, "brier": 0.2}), **changes
    )


def sample(rows: int = N, **changes) -> Sample:
    rng = np.random.default_rng(7)
    columns = {
        "shop": CategoryColumn(("north", "south"), rng.integers(0, 2, rows)),
        "x": rng.normal(size=rows),
        "z": rng.normal(size=rows),
        **changes.pop("columns", {}),
    }
    times = np.datetime64("2013-07-01T00:00", "us") + np.arange(rows) * np.timedelta64(10, "m")
    whole = Sample(columns, times, rng.random(rows), np.full(rows, np.nan), releases={"churn-v1-00000000": rows})
    return replace(whole, **changes)


def report(captured: Sample, *, of: DriftBaseline | None = None, **monitors) -> DriftReport:
    return analyze_drift(spec(**monitors), of or baseline(), captured, endpoint="e")


def test_rows_of_the_same_distribution_have_no_drift():
    result = report(sample())
    assert (result.outcome, result.alerts) == ("OK", ())
    assert {d.verdict for d in result.features.values()} == {"stable"}
    assert result.max_psi < 0.1


def test_feature_drift_is_an_alert_with_its_psi():
    result = report(sample(columns={"x": np.random.default_rng(1).normal(1, size=N)}))
    assert result.outcome == "DRIFT"
    assert [(a.subject, a.severity) for a in result.alerts] == [("x", "alert")]
    assert result.alerts[0].value == result.features["x"].psi == result.max_psi > 0.25
    assert next(iter(result.features)) == "x"


def test_bands_of_the_contract_decide_between_warning_and_alert():
    moved = sample(columns={"x": np.random.default_rng(1).normal(1, size=N)})
    assert report(moved, psi_alert=50).outcome == "WARN"
    assert report(moved, psi_alert=50, psi_warn=40).outcome == "OK"


def test_only_monitored_features_have_drift():
    moved = sample(columns={"x": np.random.default_rng(1).normal(1, size=N)})
    assert list(report(moved, features=["z"]).features) == ["z"]


def test_prediction_drift_is_reported_before_feature_drift():
    result = report(sample(predictions=np.random.default_rng(1).random(N) ** 3, columns={"x": np.full(N, 3.0)}))
    assert [a.kind for a in result.alerts] == ["prediction", "feature"]


def test_too_few_rows_are_no_data_and_never_a_pass():
    result = report(sample(rows=299))
    assert result.outcome == "NO_DATA"
    assert {d.verdict for d in result.features.values()} == {"NO_DATA"}
    assert "too few" in result.summary


def test_without_a_baseline_there_is_no_data():
    result = analyze_drift(spec(), None, sample(), endpoint="e")
    assert (result.outcome, result.features, result.prediction) == ("NO_DATA", {}, None)
    assert "no baseline" in result.summary


def test_empty_capture_is_no_data():
    nothing = sample(rows=0)
    result = report(nothing)
    assert (result.rows, result.start, result.windows, result.outcome) == (0, None, (), "NO_DATA")


def test_weeks_begin_on_monday_and_have_no_values_with_few_rows():
    result = report(sample(rows=1300))
    assert [(w.start.isoformat()[:10], w.n_rows) for w in result.windows] == [("2013-07-01", 1008), ("2013-07-08", 292)]
    assert result.windows[0].psi["x"] is not None
    assert result.windows[1].psi["x"] is None
    assert result.windows[1].prediction_psi is None


@pytest.mark.parametrize(("window", "count"), [("day", 42), ("week", 6), ("month", 2)])
def test_window_size_comes_from_the_contract(window, count):
    assert len(report(sample(), window=window).windows) == count


def test_late_labels_measure_only_the_rows_that_they_label():
    predictions = np.random.default_rng(2).random(N)
    labels = np.where(np.arange(N) < 2000, (predictions > 0.5).astype(float), np.nan)
    result = report(sample(predictions=predictions, labels=labels))
    assert result.performance is not None
    assert result.performance.n_labelled == 2000
    assert result.performance.metrics["auc"] == 1.0
    assert result.performance.segments["shop"]["north"]["auc"] == 1.0
    assert result.windows[0].performance["auc"] == 1.0
    assert result.windows[-1].performance["auc"] is None


def test_dropped_metric_is_the_first_alert():
    labels = np.random.default_rng(5).integers(0, 2, N).astype(float)
    result = report(sample(labels=labels, columns={"x": np.full(N, 3.0)}))
    assert result.alerts[0].kind == "performance"
    assert result.alerts[0].subject == "auc"
    assert result.alerts[0].value == pytest.approx(0.3, abs=0.03)
    assert report(sample(labels=labels), max_drop={"auc": 0.4}).alerts == ()


def test_rising_error_counts_as_a_drop():
    labels = np.random.default_rng(5).integers(0, 2, N).astype(float)
    assert report(sample(labels=labels), max_drop={"brier": 0.05}).alerts[0].subject == "brier"


def test_broken_values_are_counted_by_column():
    values = np.random.default_rng(7).normal(size=N)
    values[:5] = 99
    values[5:8] = np.nan
    result = report(sample(columns={"x": values}, type_errors={"x": 2}))
    quality = result.quality["x"]
    assert (quality.out_of_range, quality.nulls, quality.type_errors) == (5, 1, 2)
    assert [a.message for a in result.alerts] == ["x: 2 values of the wrong type", "x: 5 values outside the contract"]


def test_null_in_a_column_that_allows_none_is_an_alert():
    values = np.random.default_rng(7).normal(size=N)
    values[0] = np.nan
    assert [a.message for a in report(sample(columns={"z": values})).alerts] == ["z: 1 nulls where none is allowed"]


def test_more_nulls_than_before_are_a_warning():
    values = np.random.default_rng(7).normal(size=N)
    values[: N // 10] = np.nan
    (alert,) = report(sample(columns={"x": values})).alerts
    assert (alert.severity, alert.kind, alert.subject) == ("warn", "quality", "x")


def test_new_categories_are_named():
    shops = CategoryColumn(("north", "east"), np.random.default_rng(1).integers(0, 2, N))
    result = report(sample(columns={"shop": shops}))
    assert set(result.quality["shop"].unseen) == {"east"}
    assert result.quality["shop"].out_of_range == result.quality["shop"].unseen["east"]


def test_column_of_another_kind_than_its_baseline_is_an_error():
    with pytest.raises(ValueError, match="another data contract"):
        report(sample(columns={"x": CategoryColumn(("a",), np.zeros(N, dtype=int))}))


def test_report_is_equal_after_a_json_round_trip():
    labels = np.random.default_rng(5).integers(0, 2, N).astype(float)
    result = report(sample(labels=labels, columns={"x": np.full(N, 3.0)}))
    text = json.loads(json.dumps(result.to_json()))
    assert DriftReport.from_json(text).to_json() == text
    reread = DriftReport.from_json(text)
    assert (reread.windows[0], reread.alerts, reread.start) == (result.windows[0], result.alerts, result.start)
