"""A schedule's run holds live answers against the evaluation: metrics on labels, differences of groups, reasons."""

from __future__ import annotations

import json
import math
import tarfile

import numpy as np
import pytest

from bedplate.container import live, monitor
from bedplate.container.paths import CONTAINER_ROOT
from bedplate.domain.evidence.live_quality import LiveReport
from builders import a_spec
from unit.container.conftest import COLUMNS

ROWS = 600
EXPLANATION = {"max_moved": 0.3, "rows": 40, "background": 20, "draws": 2}


@pytest.fixture
def root(tmp_path, monkeypatch):
    found = {
        "dataset_source": "/opt/ml/processing/input/endpoint",
        "output_path": "/opt/ml/processing/output",
        "baseline_constraints": "/opt/ml/processing/baseline/constraints/constraints.json",
        "sagemaker_endpoint_name": "e",
        "sagemaker_monitoring_schedule_name": "s",
        CONTAINER_ROOT: str(tmp_path),
    }
    for name, value in found.items():
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


def bounds(root, *, metrics=None, fairness=(), importances=None, **changes) -> None:
    spec = a_spec(
        "churn",
        data={"columns": COLUMNS},
        gates={
            "fairness": [{"by": "shop", "metric": "selection_rate", "max_difference": 0.2, "min_rows": 50}],
            "explanation": EXPLANATION,
        },
        **{"monitors": {"min_rows": 300, "max_drop": {"auc": 0.05}}, **changes},
    )
    reference = {"metrics": metrics or {"auc": 0.8}, "fairness": fairness, "importances": importances or {}}
    folder = root / "processing/baseline/constraints"
    folder.mkdir(parents=True)
    ours = {"version": "1", "spec": spec.model_dump(mode="json"), "reference": reference}
    (folder / "constraints.json").write_text(json.dumps({"version": 0.0, "bedplate": ours}))


def traffic(root, *, labelled: int = ROWS, flipped: bool = False, north: float = 0.0, version: str = "1") -> None:
    """Requests of two rows each, with SageMaker's ground truth merged in for the first `labelled` rows."""
    rng = np.random.default_rng(3)
    folder = root / "processing/input/endpoint/e/live/2026/11/21/03"
    folder.mkdir(parents=True)
    lines = []
    for at in range(0, ROWS, 2):
        rows, answers, labels = [], [], []
        for i in (at, at + 1):
            shop, x = ("north", "south")[i % 2], float(rng.normal())
            answer = min(0.99, 1 / (1 + math.exp(-x)) + (north if shop == "north" else 0))
            rows.append({"id": f"k{i}", "at": "2026-11-21T03:00:00Z", "shop": shop, "x": x})
            answers.append(answer)
            right = rng.random() < 1 / (1 + math.exp(-3 * x))
            labels.append(str(int(right is not flipped)) if i < labelled else "")
        side = {"observedContentType": "application/jsonlines", "encoding": "JSON"}
        asked = {**side, "data": "\n".join(map(json.dumps, rows))}
        said = {**side, "data": "\n".join(json.dumps({"prediction": a}) for a in answers)}
        meta = {
            "eventId": f"i{at}",
            "inferenceTime": "2026-11-21T03:00:00Z",
            "customAttributes": [f"version={version}"],
        }
        merged = {"captureData": {"endpointInput": asked, "endpointOutput": said}, "eventMetadata": meta}
        if any(labels):
            merged["groundTruthData"] = {"data": "\n".join(labels), "encoding": "CSV"}
        lines.append(json.dumps({**merged, "eventVersion": "0"}))
    (folder / "merged.jsonl").write_text("\n".join(lines))


def report(root) -> LiveReport:
    return LiveReport.from_json(json.loads((root / "processing/output/report.json").read_text()))


def violations(root) -> list[dict]:
    return json.loads((root / "processing/output/constraint_violations.json").read_text())["violations"]


def metrics(root) -> dict[str, float]:
    lines = (root / "output/metrics/cloudwatch/cloudwatch_metrics.jsonl").read_text().splitlines()
    return {m["MetricName"]: m["Value"] for m in map(json.loads, lines)}


def test_model_that_answers_as_at_its_evaluation_passes(root, run):
    bounds(root)
    traffic(root)
    code, said = run("model-quality")
    assert (code, said.partition(":")[0]) == (0, "Completed")
    assert report(root).outcome == "OK"
    assert report(root).labelled == ROWS
    assert metrics(root)[live.VIOLATIONS] == 0
    assert metrics(root)["auc"] > 0.75


def test_drop_of_a_metric_is_a_violation_in_sagemakers_words(root, run):
    bounds(root)
    traffic(root, flipped=True)
    code, said = run("model-quality")
    assert (code, said.partition(":")[0]) == (0, "CompletedWithViolations")
    [found] = violations(root)
    assert (found["metric_name"], found["constraint_check_type"]) == ("auc", "LessThanThreshold")
    assert metrics(root)[live.VIOLATIONS] == 1


def test_too_few_labels_are_a_failed_run_with_no_figure_for_the_alarm(root, run):
    bounds(root)
    traffic(root, labelled=298)
    code, said = run("model-quality")
    assert code == 1
    assert said == "NO_DATA: 298 rows are labelled, 300 are needed (evaluation 0.800, bound 0.75)"
    assert report(root).outcome == "NO_DATA"
    assert live.VIOLATIONS not in metrics(root)


def test_answers_of_another_version_are_not_judged_by_this_ones_bounds(root, run):
    bounds(root)
    traffic(root, version="2")
    assert run("model-quality")[0] == 1
    assert report(root).labelled == 0


def test_groups_that_are_chosen_differently_are_a_bias_violation(root, run):
    bounds(root)
    traffic(root, north=0.4)
    assert run("bias")[1].startswith("CompletedWithViolations: 1 violations: selection_rate by shop")
    [found] = violations(root)
    assert (found["facet"], found["constraint_check_type"]) == ("shop", "bias_drift_check")
    assert metrics(root)["bias_metric_selection_rate_shop"] > 0.2


def test_groups_that_are_chosen_alike_pass(root, run):
    bounds(root)
    traffic(root)
    assert run("bias")[0] == 0
    assert report(root).outcome == "OK"


def test_bias_of_small_groups_is_no_data(root, run):
    bounds(root)
    traffic(root, labelled=60)
    code, said = run("bias")
    assert (code, said) == (1, "NO_DATA: no two values of shop have 50 labelled rows each (bound 0.2)")


def packed(root, write_model) -> None:
    folder = root / "processing/input/model"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        tar.add(write_model(root / "packing"), ".")


def test_reasons_of_the_evaluation_hold(root, run, write_model):
    bounds(root, importances={"x": 0.2, "shop": 0.0})
    traffic(root, labelled=0)
    packed(root, write_model)
    assert run("explainability")[1].startswith("Completed")
    assert report(root).explained == 40
    assert metrics(root)["importance_moved"] == 0
    assert metrics(root)["feature_x"] == 1


def test_reasons_that_moved_are_an_attribution_drift(root, run, write_model):
    bounds(root, importances={"x": 0.1, "shop": 0.1})
    traffic(root, labelled=0)
    packed(root, write_model)
    assert run("explainability")[1].startswith("CompletedWithViolations")
    assert violations(root)[0]["constraint_check_type"] == "feature_attribution_drift_check"
    assert metrics(root)["importance_moved"] == pytest.approx(0.5)


def test_reasons_without_a_model_cannot_be_judged(root, run):
    bounds(root, importances={"x": 0.1})
    traffic(root)
    code, said = run("explainability")
    assert code == 1
    assert "model cannot be unpacked" in said


def test_run_without_bounds_says_how_to_get_them(root, run):
    traffic(root)
    assert run("bias") == (1, "there are no constraints to hold answers against: bedplate monitor schedule")
