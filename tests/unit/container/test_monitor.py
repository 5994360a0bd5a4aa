"""A baseline is created from training rows, and captured requests are compared with it, as in Model Monitor."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedplate.container import monitor
from bedplate.container.baseline import build_baseline
from bedplate.container.capture_reader import build_sample, read_captures, read_labels
from bedplate.container.paths import CONTAINER_ROOT
from bedplate.domain.drift import DriftReport
from builders import capture_record
from release_builders import V1, V2

ROWS = 1200
TIME = "2026-11-21T03:00:00Z"
"""When requests are captured: long after the times in their rows."""
ENVIRONMENT = {
    "dataset_source": "/opt/ml/processing/input/endpoint",
    "output_path": "/opt/ml/processing/output",
    "baseline_statistics": "/opt/ml/processing/baseline/statistics.json",
    "baseline_constraints": "/opt/ml/processing/baseline/constraints.json",
    "sagemaker_endpoint_name": "e",
    "sagemaker_monitoring_schedule_name": "s",
    "publish_cloudwatch_metrics": "Enabled",
}


@pytest.fixture
def root(tmp_path, monkeypatch, spec):
    for name, value in {**ENVIRONMENT, CONTAINER_ROOT: str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    for name in ("BEDPLATE_MODE", "BEDPLATE_SPEC", "BEDPLATE_VERSION", "start_time", "end_time"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "contract.json").write_text(spec.model_dump_json())
    return tmp_path


@pytest.fixture
def baseline(root, monkeypatch):
    rng = np.random.default_rng(1)
    folder = root / "processing/input/training"
    folder.mkdir(parents=True)
    x, shop = rng.normal(size=ROWS), rng.choice(["north", "south"], ROWS)
    pq.write_table(pa.table({"x": x, "shop": shop, "y": rng.integers(0, 2, ROWS)}), folder / "train.parquet")
    scores = rng.random(ROWS)
    labels = (rng.random(ROWS) < scores).astype(float)
    pq.write_table(pa.table({"prediction": scores, "label": labels}), folder / "predictions.parquet")
    with monkeypatch.context() as environment:
        environment.setenv("BEDPLATE_MODE", "baseline")
        environment.setenv("BEDPLATE_SPEC", str(root / "contract.json"))
        environment.setenv("BEDPLATE_VERSION", "1")
        environment.setenv("dataset_source", "/opt/ml/processing/input/training")
        environment.setenv("output_path", "/opt/ml/processing/baseline")
        assert monitor.main() == 0
    return root


def write_captures(root, *records: dict, name="a") -> None:
    folder = root / "processing/input/endpoint/e/live/2026/11/21/03"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)))


def write_traffic(root, *, shift: float = 0.0, count: int = ROWS, release: str = V1) -> None:
    rng = np.random.default_rng(2)
    rows = [
        {"id": f"k{i}", "at": "2013-07-01T05:00:00Z", "shop": "north" if i % 2 else "south", "x": rng.normal(shift)}
        for i in range(count)
    ]
    predictions = rng.random(count).tolist()
    batches = [slice(first, first + 50) for first in range(0, count, 50)]
    records = (capture_record(rows[batch], predictions[batch], release=release, time=TIME) for batch in batches)
    write_captures(root, *records)


def read_report(root) -> DriftReport:
    return DriftReport.from_json(json.loads((root / "processing/output/drift.json").read_text()))


def read_message(root) -> str:
    return (root / "output/message").read_text()


def read_metrics(root) -> dict[str, float]:
    lines = (root / "output/metrics/cloudwatch/cloudwatch_metrics.jsonl").read_text().splitlines()
    metrics = [json.loads(line) for line in lines]
    assert {(f["Namespace"], f["Dimensions"][0]["Value"], f["Dimensions"][1]["Value"]) for f in metrics} <= {
        ("aws/sagemaker/Endpoints/data-metrics", "e", "s")
    }
    return {f["MetricName"]: f["Value"] for f in metrics}


def test_baseline_is_written_in_sagemakers_schema(baseline):
    statistics = json.loads((baseline / "processing/baseline/statistics.json").read_text())
    constraints = json.loads((baseline / "processing/baseline/constraints.json").read_text())
    assert statistics["dataset"] == {"item_count": ROWS}
    by_name = {f["name"]: f for f in statistics["features"]}
    numbers = by_name["x"]["numerical_statistics"]
    assert numbers["common"] == {"num_present": ROWS, "num_missing": 0}
    assert numbers["mean"] == pytest.approx(0, abs=0.1)
    assert numbers["std_dev"] == pytest.approx(1, abs=0.1)
    assert sum(b["count"] for b in numbers["distribution"]["kll"]["buckets"]) == ROWS
    assert by_name["shop"]["string_statistics"]["distinct_count"] == 2
    assert {f["name"]: f["inferred_type"] for f in constraints["features"]} == {"shop": "String", "x": "Fractional"}
    assert constraints["bedplate"]["version"] == "1"
    assert constraints["bedplate"]["metrics"]["auc"] > 0.7
    assert read_message(baseline).startswith(f"Completed: baseline of 2 features from {ROWS:,} rows")


def test_traffic_without_drift_completes_without_violations(baseline):
    write_traffic(baseline)
    assert monitor.main() == 0
    report = read_report(baseline)
    assert (report.outcome, report.rows, report.endpoint) == ("OK", ROWS, "e")
    assert report.releases == {V1: ROWS}
    assert read_message(baseline).startswith("Completed: no drift")
    assert json.loads((baseline / "processing/output/constraint_violations.json").read_text()) == {"violations": []}
    assert set(read_metrics(baseline)) == {
        "feature_baseline_drift_x", "feature_baseline_drift_shop", "bedplate_max_psi", "bedplate_prediction_psi",
    }  # fmt: skip


def test_drift_is_a_violation_with_exit_code_0(baseline):
    write_traffic(baseline, shift=2)
    assert monitor.main() == 0
    assert read_message(baseline).startswith("CompletedWithViolations: ")
    (violation,) = json.loads((baseline / "processing/output/constraint_violations.json").read_text())["violations"]
    assert (violation["feature_name"], violation["constraint_check_type"]) == ("x", "baseline_drift_check")
    assert read_metrics(baseline)["bedplate_max_psi"] == read_report(baseline).features["x"].psi > 0.25


def test_windows_use_the_contracts_time_column_instead_of_the_inference_time(baseline):
    write_traffic(baseline)
    monitor.main()
    assert [w.start.isoformat() for w in read_report(baseline).windows] == ["2013-07-01T00:00:00+00:00"]


def test_late_labels_are_joined_by_key_and_the_last_one_counts(baseline):
    write_traffic(baseline)
    folder = baseline / "processing/input/labels"
    folder.mkdir()
    rows = [{"id": f"k{i}", "label": i % 2, "observed_at": "2026-11-21T01:00:00Z"} for i in range(600)]
    (folder / "z.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nnot json\n")
    (folder / "a.jsonl").write_text(json.dumps({"id": "k0", "label": 1, "observed_at": "2026-11-21T02:00:00Z"}))
    assert read_labels(folder, ["id"])[("k0",)] == 1
    monitor.main()
    performance = read_report(baseline).performance
    assert performance is not None
    assert performance.n_labelled == 600
    assert performance.reference["auc"] > 0.7


def test_predictions_of_other_versions_are_not_analyzed(baseline):
    write_traffic(baseline, release=V2)
    monitor.main()
    report = read_report(baseline)
    assert (report.prediction, report.releases) == (None, {V2: ROWS})
    assert report.features["x"].n_current == ROWS


def test_probe_requests_of_bedplate_are_not_analyzed(baseline):
    ids = ("bedplate-probe", "order-7")
    write_captures(baseline, *(capture_record([{"x": 1.0}], [0.5], inferenceId=inference_id) for inference_id in ids))
    monitor.main()
    assert read_report(baseline).rows == 1


def test_only_requests_in_the_time_window_are_analyzed(baseline, monkeypatch):
    times = (f"2026-11-21T0{hour}:00:00Z" for hour in (1, 2, 3))
    write_captures(baseline, *(capture_record([{"x": 1.0}], [0.5], time=time) for time in times))
    monkeypatch.setenv("start_time", "2026-11-21T02:00:00Z")
    monkeypatch.setenv("end_time", "2026-11-21T03:00:00Z")
    monitor.main()
    assert read_report(baseline).rows == 1


def test_too_little_traffic_gives_no_data_and_no_metric(baseline):
    write_traffic(baseline, count=200)
    assert monitor.main() == 0
    assert read_report(baseline).outcome == "NO_DATA"
    assert read_metrics(baseline) == {}


def test_metrics_are_not_published_when_publishing_is_disabled(baseline, monkeypatch):
    monkeypatch.setenv("publish_cloudwatch_metrics", "Disabled")
    write_traffic(baseline)
    monitor.main()
    assert not (baseline / "output/metrics").exists()


def test_contract_without_a_baseline_gives_no_data(root, monkeypatch):
    write_traffic(root)
    monkeypatch.setenv("BEDPLATE_SPEC", str(root / "contract.json"))
    assert monitor.main() == 0
    assert read_report(root).outcome == "NO_DATA"
    assert "there is no baseline" in read_message(root)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "neither a baseline nor a contract"),
        ({"BEDPLATE_MODE": "dance"}, "expected one of baseline, monitor, model-quality, bias, explainability"),
        ({"BEDPLATE_MODE": "baseline"}, "BEDPLATE_SPEC must name"),
        ({"BEDPLATE_MODE": "baseline", "BEDPLATE_SPEC": "contract.json"}, "no Parquet file has all features"),
    ],
)
def test_exit_message_names_what_is_missing(root, monkeypatch, change, reason):
    for name, value in change.items():
        monkeypatch.setenv(name, str(root / value) if name == "BEDPLATE_SPEC" else value)
    assert monitor.main() == 1
    assert reason in read_message(root)


def test_files_that_are_not_a_baseline_are_rejected(root):
    (root / "processing/baseline").mkdir(parents=True)
    for name in ("statistics.json", "constraints.json"):
        (root / "processing/baseline" / name).write_text("{}")
    assert monitor.main() == 1
    assert "not a baseline that Bedplate wrote" in read_message(root)


def test_every_encoding_of_a_capture_can_be_read(tmp_path, spec):
    json_lines = capture_record([{"x": 1.0}], [0.5])
    json_body = capture_record([{"x": 1.0}], [0.5], content_type="application/json")
    json_body["captureData"]["endpointOutput"]["data"] = '{"predictions": [0.5]}'
    csv_body = capture_record([{"x": 1.0}], [0.5])
    csv_body["captureData"]["endpointInput"] |= {
        "data": base64.b64encode(b"x,shop\n1.0,7\n").decode(), "encoding": "BASE64", "observedContentType": "text/csv",
    }  # fmt: skip
    csv_body["captureData"]["endpointOutput"] |= {"data": "0.5\n", "encoding": "CSV", "observedContentType": "text/csv"}
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, (json_lines, json_body, csv_body))))
    sample = build_sample(spec, read_captures(tmp_path), {})
    assert sample.predictions.tolist() == [0.5] * 3
    assert sample.columns["x"].tolist() == [1.0] * 3
    assert (sample.columns["shop"].names, sample.type_errors) == (("7",), {})
    assert sample.releases == {V1: 3}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        '{"captureData": {}}',
        json.dumps(capture_record([], [])),
        json.dumps(capture_record([{"x": 1}], [], time="no")),
    ],
)
def test_unreadable_record_is_skipped(tmp_path, line):
    (tmp_path / "a.jsonl").write_text(line + "\n" + json.dumps(capture_record([{"x": 1.0}], [0.5])))
    assert len(list(read_captures(tmp_path))) == 1


def test_predictions_of_another_number_than_the_rows_are_missing(tmp_path, spec):
    (tmp_path / "a.jsonl").write_text(json.dumps(capture_record([{"x": 1.0}, {"x": 2.0}], [0.5])))
    assert np.isnan(build_sample(spec, read_captures(tmp_path), {}).predictions).all()


def test_values_of_another_type_are_counted_and_become_nulls(tmp_path, spec):
    (tmp_path / "a.jsonl").write_text(
        json.dumps(capture_record([{"x": "1"}, {"x": True}, {"x": 2, "shop": 3}], [0.1, 0.2, 0.3]))
    )
    sample = build_sample(spec, read_captures(tmp_path), {})
    assert sample.type_errors == {"x": 2, "shop": 1}
    assert np.isnan(sample.columns["x"]).tolist() == [True, True, False]


def test_rows_are_ordered_by_time(tmp_path, spec):
    rows = [{"x": 2.0, "at": "2013-07-02T00:00:00Z"}, {"x": 1.0, "at": "2013-07-01T00:00:00Z"}, {"x": 3.0, "at": "?"}]
    (tmp_path / "a.jsonl").write_text(json.dumps(capture_record(rows, [0.2, 0.1, 0.3], time=TIME)))
    sample = build_sample(spec, read_captures(tmp_path, start=datetime(2026, 1, 1, tzinfo=UTC)), {})
    assert sample.columns["x"].tolist() == [1.0, 2.0, 3.0]
    assert sample.predictions.tolist() == [0.1, 0.2, 0.3]


def change_columns(spec, **columns):
    data = spec.data.model_dump()
    changed = {name: {**data["columns"][name], **change} for name, change in columns.items()}
    return spec.model_validate({**spec.model_dump(), "data": {**data, "columns": {**data["columns"], **changed}}})


def test_contract_violations_are_counted_by_rule_with_event_ids(tmp_path, spec):
    bounded = change_columns(spec, x={"max": 1.0}, shop={"categories": ["north", "south"]})
    rows = [{"x": 0.5, "shop": "north"}, {"x": 2, "shop": "east"}, {"x": "?", "shop": None}]
    record = capture_record(rows, [0.1, 0.2, 0.3], eventId="e-7")
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    violations = build_sample(bounded, read_captures(tmp_path), {}).contract
    assert [(v.column, v.rule, v.count, v.examples) for v in violations] == [
        ("shop", "nulls", 1, ("null in event e-7",)),
        ("shop", "categories", 1, ("'east' in event e-7",)),
        ("x", "type", 1, ("'?' in event e-7",)),
        ("x", "range", 1, ("2 in event e-7",)),
    ]


def test_report_has_contract_violations_of_repeated_requests(baseline):
    row = {"id": "k", "at": "2013-07-01T05:00:00Z", "shop": 3, "x": 1.0}
    write_captures(baseline, capture_record([row, row], [0.1, 0.2]))
    assert monitor.main() == 0
    (violations,) = read_report(baseline).contract
    assert (violations.column, violations.rule, violations.count) == ("shop", "type", 2)
    assert DriftReport.from_json(read_report(baseline).to_json()) == read_report(baseline)


def test_feature_without_monitoring_purpose_is_neither_profiled_nor_counted(tmp_path, spec):
    changed = change_columns(spec, shop={"purposes": ["training", "inference"]})
    (tmp_path / "a.jsonl").write_text(json.dumps(capture_record([{"x": 1.0, "shop": 3}], [0.1])))
    sample = build_sample(changed, read_captures(tmp_path), {})
    assert (set(sample.columns), sample.contract) == ({"x"}, ())
    pq.write_table(pa.table({"x": [1.0, 2.0], "y": [0, 1]}), tmp_path / "train.parquet")
    profiles, rows = build_baseline(changed, [tmp_path / "train.parquet"])
    assert (set(profiles.features), rows) == ({"x"}, 2)
