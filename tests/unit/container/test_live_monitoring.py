"""Live predictions are compared with the evaluation: model quality, bias and explainability."""

from __future__ import annotations

import json
import math
import tarfile

import numpy as np
import pytest

from bedplate.container import live_monitoring, monitor
from bedplate.container.paths import CONTAINER_ROOT
from bedplate.domain.documents import FORMAT
from bedplate.domain.evidence.live_quality import LiveReport
from builders import a_shop_spec, capture_record
from release_builders import V1, V2

ROWS = 600
EXPLANATION = {"max_importance_shift": 0.3, "rows": 40, "background": 20, "draws": 2}


@pytest.fixture
def root(tmp_path, monkeypatch):
    variables = {
        "dataset_source": "/opt/ml/processing/input/endpoint",
        "output_path": "/opt/ml/processing/output",
        "baseline_constraints": "/opt/ml/processing/baseline/constraints/constraints.json",
        "sagemaker_endpoint_name": "e",
        "sagemaker_monitoring_schedule_name": "s",
        CONTAINER_ROOT: str(tmp_path),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in ("BEDPLATE_SPEC", "BEDPLATE_VERSION", "start_time", "end_time"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def run(root, monkeypatch):
    def run(kind: str) -> tuple[int, str]:
        monkeypatch.setenv("BEDPLATE_MODE", kind)
        return monitor.main(), (root / "output/message").read_text()

    return run


def write_constraints(root, *, metrics=None, fairness=(), importances=None, **changes) -> None:
    spec = a_shop_spec(
        gates={
            "fairness": [{"column": "shop", "metric": "selection_rate", "max_difference": 0.2, "min_rows": 50}],
            "explanation": EXPLANATION,
        },
        **{"monitors": {"min_rows": 300, "max_drop": {"auc": 0.05}}, **changes},
    )
    reference = {"metrics": metrics or {"auc": 0.8}, "fairness": fairness, "importances": importances or {}}
    folder = root / "processing/baseline/constraints"
    folder.mkdir(parents=True)
    section = {"format": FORMAT, "version": "1", "spec": spec.model_dump(mode="json"), "reference": reference}
    (folder / "constraints.json").write_text(json.dumps({"version": 0.0, "bedplate": section}))


def write_captures(root, *, labelled: int = ROWS, flipped: bool = False, north: float = 0.0, release: str = V1) -> None:
    """Writes captured requests of two rows each, with merged ground truth for the first `labelled` rows."""
    rng = np.random.default_rng(3)
    folder = root / "processing/input/endpoint/e/live/2026/11/21/03"
    folder.mkdir(parents=True)
    lines = []
    for first in range(0, ROWS, 2):
        rows, predictions, labels = [], [], []
        for i in (first, first + 1):
            shop, x = ("north", "south")[i % 2], float(rng.normal())
            prediction = min(0.99, 1 / (1 + math.exp(-x)) + (north if shop == "north" else 0))
            rows.append({"id": f"k{i}", "at": "2026-11-21T03:00:00Z", "shop": shop, "x": x})
            predictions.append(prediction)
            right = rng.random() < 1 / (1 + math.exp(-3 * x))
            labels.append(str(int(right is not flipped)) if i < labelled else "")
        record = capture_record(rows, predictions, release=release, eventId=f"i{first}")
        if any(labels):
            record["groundTruthData"] = {"data": "\n".join(labels), "encoding": "CSV"}
        lines.append(json.dumps(record))
    (folder / "merged.jsonl").write_text("\n".join(lines))


def read_report(root) -> LiveReport:
    return LiveReport.from_json(json.loads((root / "processing/output/report.json").read_text()))


def read_violations(root) -> list[dict]:
    return json.loads((root / "processing/output/constraint_violations.json").read_text())["violations"]


def read_metrics(root) -> dict[str, float]:
    lines = (root / "output/metrics/cloudwatch/cloudwatch_metrics.jsonl").read_text().splitlines()
    return {m["MetricName"]: m["Value"] for m in map(json.loads, lines)}


def test_model_with_the_quality_of_its_evaluation_passes(root, run):
    write_constraints(root)
    write_captures(root)
    code, message = run("model-quality")
    assert (code, message.partition(":")[0]) == (0, "Completed")
    assert read_report(root).outcome == "OK"
    assert read_report(root).labelled_rows == ROWS
    assert read_metrics(root)[live_monitoring.VIOLATIONS] == 0
    assert read_metrics(root)["auc"] > 0.75


def test_drop_of_a_metric_is_a_violation_in_sagemakers_format(root, run):
    write_constraints(root)
    write_captures(root, flipped=True)
    code, message = run("model-quality")
    assert (code, message.partition(":")[0]) == (0, "CompletedWithViolations")
    [violation] = read_violations(root)
    assert (violation["metric_name"], violation["constraint_check_type"]) == ("auc", "LessThanThreshold")
    assert read_metrics(root)[live_monitoring.VIOLATIONS] == 1


def test_too_few_labels_fail_the_run_without_publishing_metrics(root, run):
    write_constraints(root)
    write_captures(root, labelled=298)
    code, message = run("model-quality")
    assert code == 1
    assert message == "NO_DATA: 298 rows are labelled, 300 are needed (evaluation 0.800, bound 0.75)"
    assert read_report(root).outcome == "NO_DATA"
    assert live_monitoring.VIOLATIONS not in read_metrics(root)


def test_predictions_of_another_version_are_not_evaluated(root, run):
    write_constraints(root)
    write_captures(root, release=V2)
    assert run("model-quality")[0] == 1
    assert read_report(root).labelled_rows == 0


def test_groups_with_different_selection_rates_are_a_bias_violation(root, run):
    write_constraints(root)
    write_captures(root, north=0.4)
    assert run("bias")[1].startswith("CompletedWithViolations: 1 violations: selection_rate by shop")
    [violation] = read_violations(root)
    assert (violation["facet"], violation["constraint_check_type"]) == ("shop", "bias_drift_check")
    assert read_metrics(root)["bias_metric_selection_rate_shop"] > 0.2


def test_groups_with_equal_selection_rates_pass(root, run):
    write_constraints(root)
    write_captures(root)
    assert run("bias")[0] == 0
    assert read_report(root).outcome == "OK"


def test_bias_of_small_groups_gives_no_data(root, run):
    write_constraints(root)
    write_captures(root, labelled=60)
    code, message = run("bias")
    assert (code, message) == (1, "NO_DATA: no two values of shop have 50 labelled rows each (bound 0.2)")


def pack_model(root, write_model) -> None:
    folder = root / "processing/input/model"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        tar.add(write_model(root / "packing"), ".")


def test_unchanged_importances_pass(root, run, write_model):
    write_constraints(root, importances={"x": 0.2, "shop": 0.0})
    write_captures(root, labelled=0)
    pack_model(root, write_model)
    assert run("explainability")[1].startswith("Completed")
    assert read_report(root).explained_rows == 40
    assert read_metrics(root)["importance_shift"] == 0
    assert read_metrics(root)["feature_x"] == 1


def test_shifted_importances_are_an_attribution_drift(root, run, write_model):
    write_constraints(root, importances={"x": 0.1, "shop": 0.1})
    write_captures(root, labelled=0)
    pack_model(root, write_model)
    assert run("explainability")[1].startswith("CompletedWithViolations")
    assert read_violations(root)[0]["constraint_check_type"] == "feature_attribution_drift_check"
    assert read_metrics(root)["importance_shift"] == pytest.approx(0.5)


def test_explainability_run_without_a_model_fails(root, run):
    write_constraints(root, importances={"x": 0.1})
    write_captures(root)
    code, message = run("explainability")
    assert code == 1
    assert "model cannot be unpacked" in message


def test_run_without_constraints_names_the_command_that_creates_them(root, run):
    write_captures(root)
    assert run("bias") == (1, "constraints.json is missing; create it: bedplate monitor schedule")
