"""A baseline is made from training rows, and captured requests are held against it, as Model Monitor would."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedplate.container import monitor
from bedplate.container.baseline import baseline_of
from bedplate.container.capture_reader import labels_below, records, sample_of
from bedplate.container.paths import CONTAINER_ROOT
from bedplate.domain.drift import DriftReport

ROWS = 1200
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
    with monkeypatch.context() as at:
        at.setenv("BEDPLATE_MODE", "baseline")
        at.setenv("BEDPLATE_SPEC", str(root / "contract.json"))
        at.setenv("BEDPLATE_VERSION", "1")
        at.setenv("dataset_source", "/opt/ml/processing/input/training")
        at.setenv("output_path", "/opt/ml/processing/baseline")
        assert monitor.main() == 0
    return root


def record(rows, answers, *, version="1", at="2026-11-21T03:00:00Z", kind="application/jsonlines") -> dict:
    asked = "\n".join(map(json.dumps, rows))
    said = "\n".join(json.dumps({"prediction": a}) for a in answers)
    side = {"observedContentType": kind, "encoding": "JSON"}
    return {
        "captureData": {"endpointInput": {**side, "data": asked}, "endpointOutput": {**side, "data": said}},
        "eventMetadata": {
            "customAttributes": [f"release=e-v{version}-0a1b2c3d;version={version};model=churn"],
            "inferenceTime": at,
        },
        "eventVersion": "0",
    }


def capture(root, *found: dict, name="a") -> None:
    folder = root / "processing/input/endpoint/e/live/2026/11/21/03"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, found)))


def traffic(root, *, shift: float = 0.0, rows: int = ROWS, **more) -> None:
    rng = np.random.default_rng(2)
    asked = [
        {"id": f"k{i}", "at": "2013-07-01T05:00:00Z", "shop": "north" if i % 2 else "south", "x": rng.normal(shift)}
        for i in range(rows)
    ]
    answers = rng.random(rows).tolist()
    capture(root, *(record(asked[i : i + 50], answers[i : i + 50], **more) for i in range(0, rows, 50)))


def report(root) -> DriftReport:
    return DriftReport.from_json(json.loads((root / "processing/output/drift.json").read_text()))


def message(root) -> str:
    return (root / "output/message").read_text()


def metrics(root) -> dict[str, float]:
    lines = (root / "output/metrics/cloudwatch/cloudwatch_metrics.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert {(f["Namespace"], f["Dimensions"][0]["Value"], f["Dimensions"][1]["Value"]) for f in found} <= {
        ("aws/sagemaker/Endpoints/data-metrics", "e", "s")
    }
    return {f["MetricName"]: f["Value"] for f in found}


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
    assert message(baseline).startswith(f"Completed: baseline of 2 features from {ROWS:,} rows")


def test_quiet_traffic_completes_without_violations(baseline):
    traffic(baseline)
    assert monitor.main() == 0
    found = report(baseline)
    assert (found.outcome, found.rows, found.endpoint) == ("OK", ROWS, "e")
    assert found.releases == {"e-v1-0a1b2c3d": ROWS}
    assert message(baseline).startswith("Completed: no drift")
    assert json.loads((baseline / "processing/output/constraint_violations.json").read_text()) == {"violations": []}
    assert set(metrics(baseline)) == {
        "feature_baseline_drift_x", "feature_baseline_drift_shop", "bedplate_max_psi", "bedplate_prediction_psi",
    }  # fmt: skip


def test_drift_is_a_violation_with_exit_code_0(baseline):
    traffic(baseline, shift=2)
    assert monitor.main() == 0
    assert message(baseline).startswith("CompletedWithViolations: ")
    (violation,) = json.loads((baseline / "processing/output/constraint_violations.json").read_text())["violations"]
    assert (violation["feature_name"], violation["constraint_check_type"]) == ("x", "baseline_drift_check")
    assert metrics(baseline)["bedplate_max_psi"] == report(baseline).features["x"].psi > 0.25


def test_windows_are_of_the_contracts_time_not_of_the_answers(baseline):
    traffic(baseline)
    monitor.main()
    assert [w.start.isoformat() for w in report(baseline).windows] == ["2013-07-01T00:00:00+00:00"]


def test_late_labels_meet_their_rows_by_key_and_the_last_one_counts(baseline):
    traffic(baseline)
    folder = baseline / "processing/input/labels"
    folder.mkdir()
    rows = [{"id": f"k{i}", "label": i % 2, "observed_at": "2026-11-21T01:00:00Z"} for i in range(600)]
    (folder / "z.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nnot json\n")
    (folder / "a.jsonl").write_text(json.dumps({"id": "k0", "label": 1, "observed_at": "2026-11-21T02:00:00Z"}))
    assert labels_below(folder, ["id"])[("k0",)] == 1
    monitor.main()
    performance = report(baseline).performance
    assert performance is not None
    assert performance.n_labelled == 600
    assert performance.reference["auc"] > 0.7


def test_answers_of_other_versions_do_not_count(baseline):
    traffic(baseline, version="2")
    monitor.main()
    found = report(baseline)
    assert (found.prediction, found.releases) == (None, {"e-v2-0a1b2c3d": ROWS})
    assert found.features["x"].n == ROWS


def test_requests_of_our_own_that_prove_who_answers_do_not_count(baseline):
    ours = record([{"x": 1.0}], [0.5])
    ours["eventMetadata"]["inferenceId"] = "bedplate-proof"
    customers = record([{"x": 2.0}], [0.5])
    customers["eventMetadata"]["inferenceId"] = "order-7"
    capture(baseline, ours, customers)
    monitor.main()
    assert report(baseline).rows == 1


def test_only_requests_of_the_asked_time_count(baseline, monkeypatch):
    capture(baseline, *(record([{"x": 1.0}], [0.5], at=f"2026-11-21T0{hour}:00:00Z") for hour in (1, 2, 3)))
    monkeypatch.setenv("start_time", "2026-11-21T02:00:00Z")
    monkeypatch.setenv("end_time", "2026-11-21T03:00:00Z")
    monitor.main()
    assert report(baseline).rows == 1


def test_too_little_traffic_is_no_data_and_no_metric(baseline):
    traffic(baseline, rows=200)
    assert monitor.main() == 0
    assert report(baseline).outcome == "NO_DATA"
    assert metrics(baseline) == {}


def test_metrics_are_published_only_when_asked(baseline, monkeypatch):
    monkeypatch.setenv("publish_cloudwatch_metrics", "Disabled")
    traffic(baseline)
    monitor.main()
    assert not (baseline / "output/metrics").exists()


def test_without_baseline_but_with_contract_the_report_says_no_data(root, monkeypatch):
    traffic(root)
    monkeypatch.setenv("BEDPLATE_SPEC", str(root / "contract.json"))
    assert monitor.main() == 0
    assert report(root).outcome == "NO_DATA"
    assert "there is no baseline" in message(root)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "neither a baseline nor a contract"),
        ({"BEDPLATE_MODE": "dance"}, "baseline, monitor, model-quality, bias, explainability expected"),
        ({"BEDPLATE_MODE": "baseline"}, "BEDPLATE_SPEC must name"),
        ({"BEDPLATE_MODE": "baseline", "BEDPLATE_SPEC": "contract.json"}, "no Parquet file holds all features"),
    ],
)
def test_what_is_missing_is_said_in_the_exit_message(root, monkeypatch, change, reason):
    for name, value in change.items():
        monkeypatch.setenv(name, str(root / value) if name == "BEDPLATE_SPEC" else value)
    assert monitor.main() == 1
    assert reason in message(root)


def test_files_that_are_no_baseline_are_refused(root):
    (root / "processing/baseline").mkdir(parents=True)
    for name in ("statistics.json", "constraints.json"):
        (root / "processing/baseline" / name).write_text("{}")
    assert monitor.main() == 1
    assert "no baseline of bedplate's" in message(root)


def test_every_encoding_of_a_capture_is_read(tmp_path, spec):
    one = record([{"x": 1.0}], [0.5])
    two = record([{"x": 1.0}], [0.5], kind="application/json")
    two["captureData"]["endpointOutput"]["data"] = '{"predictions": [0.5]}'
    three = record([{"x": 1.0}], [0.5])
    three["captureData"]["endpointInput"] |= {
        "data": base64.b64encode(b"x,shop\n1.0,7\n").decode(), "encoding": "BASE64", "observedContentType": "text/csv",
    }  # fmt: skip
    three["captureData"]["endpointOutput"] |= {"data": "0.5\n", "encoding": "CSV", "observedContentType": "text/csv"}
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, (one, two, three))))
    found = sample_of(spec, records(tmp_path), {})
    assert found.predictions.tolist() == [0.5] * 3
    assert found.columns["x"].tolist() == [1.0] * 3
    assert (found.columns["shop"].names, found.type_errors) == (("7",), {})
    assert found.releases == {"e-v1-0a1b2c3d": 3}


@pytest.mark.parametrize(
    "broken",
    ["", "{", "[]", '{"captureData": {}}', json.dumps(record([], [])), json.dumps(record([{"x": 1}], [], at="no"))],
)
def test_record_that_cannot_be_read_is_passed_over(tmp_path, broken):
    (tmp_path / "a.jsonl").write_text(broken + "\n" + json.dumps(record([{"x": 1.0}], [0.5])))
    assert len(list(records(tmp_path))) == 1


def test_answers_that_do_not_match_their_rows_are_unknown(tmp_path, spec):
    (tmp_path / "a.jsonl").write_text(json.dumps(record([{"x": 1.0}, {"x": 2.0}], [0.5])))
    assert np.isnan(sample_of(spec, records(tmp_path), {}).predictions).all()


def test_values_of_another_type_are_counted_and_left_out(tmp_path, spec):
    (tmp_path / "a.jsonl").write_text(
        json.dumps(record([{"x": "1"}, {"x": True}, {"x": 2, "shop": 3}], [0.1, 0.2, 0.3]))
    )
    found = sample_of(spec, records(tmp_path), {})
    assert found.type_errors == {"x": 2, "shop": 1}
    assert np.isnan(found.columns["x"]).tolist() == [True, True, False]


def test_rows_come_in_order_of_time(tmp_path, spec):
    rows = [{"x": 2.0, "at": "2013-07-02T00:00:00Z"}, {"x": 1.0, "at": "2013-07-01T00:00:00Z"}, {"x": 3.0, "at": "?"}]
    (tmp_path / "a.jsonl").write_text(json.dumps(record(rows, [0.2, 0.1, 0.3])))
    found = sample_of(spec, records(tmp_path, start=datetime(2026, 1, 1, tzinfo=UTC)), {})
    assert found.columns["x"].tolist() == [1.0, 2.0, 3.0]
    assert found.predictions.tolist() == [0.1, 0.2, 0.3]


def contract_of(spec, **columns):
    data = spec.data.model_dump()
    changed = {name: {**data["columns"][name], **change} for name, change in columns.items()}
    return spec.model_validate({**spec.model_dump(), "data": {**data, "columns": {**data["columns"], **changed}}})


def test_requests_that_break_the_contract_are_counted_by_rule_with_their_events(tmp_path, spec):
    bounded = contract_of(spec, x={"max": 1.0}, shop={"categories": ["north", "south"]})
    found = record([{"x": 0.5, "shop": "north"}, {"x": 2, "shop": "east"}, {"x": "?", "shop": None}], [0.1, 0.2, 0.3])
    found["eventMetadata"]["eventId"] = "e-7"
    (tmp_path / "a.jsonl").write_text(json.dumps(found))
    broken = sample_of(bounded, records(tmp_path), {}).contract
    assert [(v.column, v.rule, v.count, v.examples) for v in broken] == [
        ("shop", "nulls", 1, ("null in event e-7",)),
        ("shop", "categories", 1, ("'east' in event e-7",)),
        ("x", "type", 1, ("'?' in event e-7",)),
        ("x", "range", 1, ("2 in event e-7",)),
    ]


def test_broken_rules_are_in_the_report_and_requests_may_repeat(baseline):
    row = {"id": "k", "at": "2013-07-01T05:00:00Z", "shop": 3, "x": 1.0}
    capture(baseline, record([row, row], [0.1, 0.2]))
    assert monitor.main() == 0
    (broken,) = report(baseline).contract
    assert (broken.column, broken.rule, broken.count) == ("shop", "type", 2)
    assert DriftReport.from_json(report(baseline).to_json()) == report(baseline)


def test_a_feature_that_must_not_be_monitored_is_neither_profiled_nor_counted(tmp_path, spec):
    unwatched = contract_of(spec, shop={"purposes": ["training", "inference"]})
    (tmp_path / "a.jsonl").write_text(json.dumps(record([{"x": 1.0, "shop": 3}], [0.1])))
    found = sample_of(unwatched, records(tmp_path), {})
    assert (set(found.columns), found.contract) == ({"x"}, ())
    pq.write_table(pa.table({"x": [1.0, 2.0], "y": [0, 1]}), tmp_path / "train.parquet")
    profiles, rows = baseline_of(unwatched, [tmp_path / "train.parquet"])
    assert (set(profiles.features), rows) == ({"x"}, 2)
