"""Two versions are compared on the rows of their evaluations, or of one holdout."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedplate.cli.pages.comparison import render
from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.versions.package import build_archive
from bedplate.errors import UsageError
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.versions.compare import compare_versions, to_json
from builders import a_package, a_spec, a_stack_context
from fakes import EPOCH, FakeStackContext

ROWS = 400
LABELS = np.tile([0.0, 1.0], ROWS // 2)
START = datetime(2024, 3, 1, tzinfo=UTC)


def table(**columns: Any) -> bytes:
    sink = io.BytesIO()
    times = [START + timedelta(minutes=i) for i in range(ROWS)]
    plan = ["pro", "pro", "basic", "basic"] * (ROWS // 4)
    pq.write_table(pa.table({"at": times, "plan": plan, "label": LABELS, **columns}), sink)
    return sink.getvalue()


def predict(sharpness: float) -> Any:
    noise = np.random.default_rng(1).standard_normal(ROWS)
    return 1 / (1 + np.exp(-(sharpness * (LABELS - 0.5) + noise)))


def build_stack(
    tmp_path: Path, *, holdouts: tuple[str, str] = ("h", "h"), data_to: str = "2024-02-01"
) -> FakeStackContext:
    stack = a_stack_context(tmp_path)
    spec = a_spec().model_dump_json().encode()
    stack.objects.put("s3://artifacts/code", build_archive({"train.py": b"", "contract.json": spec}))
    packages = []
    for version, sharpness in ((1, 0.5), (2, 3.0)):
        metadata = {
            "evaluation_uri": f"s3://artifacts/e/{version}/evaluation.json",
            "holdout_uri": holdouts[version - 1],
            "hyperparameters": json.dumps({"depth": str(version)}),
            "code_uri": "s3://artifacts/code",
            "data_to": data_to,
        }
        packages.append(a_package(version, metadata=metadata))
        stack.objects.put(f"s3://artifacts/e/{version}/predictions.parquet", table(prediction=predict(sharpness)))
    stack.registry.packages["bedplate-local-churn"] = packages
    return stack


def test_two_evaluations_on_the_same_rows_are_compared_without_a_job(tmp_path: Path) -> None:
    stack = build_stack(tmp_path)
    comparison = compare_versions(stack, "churn", 1, 2, null_reporter)
    assert {f.metric: f.verdict for f in comparison.metrics}["auc"] == "better"
    assert set(comparison.segments["plan"]) == {"basic", "pro"}
    assert ("hyperparameter", "depth", "1", "2") in {
        (r.topic, r.name, r.first, r.second) for r in comparison.provenance
    }
    assert stack.jobs.jobs == {}
    assert json.loads(json.dumps(to_json(comparison)))["rows"] == ROWS
    page = render(comparison, stack="local", created_at=EPOCH)
    assert page.count("<svg") == len(comparison.metrics) + 1
    assert "better" in page


def test_evaluations_on_different_rows_suggest_scoring(tmp_path: Path) -> None:
    comparison = compare_versions(build_stack(tmp_path, holdouts=("h1", "h2")), "churn", 1, 2, null_reporter)
    assert comparison.metrics == ()
    assert "--score" in (comparison.note or "")
    assert "--score" in render(comparison, stack="local", created_at=EPOCH)


def test_scoring_uses_the_holdout_of_the_second_version(tmp_path: Path) -> None:
    stack = build_stack(tmp_path, holdouts=("s3://data/h1", "s3://data/h2"), data_to="2024-03-01T00:05:00+00:00")
    estimate = Estimate(0.7, 0.6, 0.8, ROWS).to_json()

    def work(request: Any) -> None:
        prefix = request.outputs["evaluation"][1]
        assert request.inputs["champion"][0] == stack.registry.get("bedplate-local-churn", 1).artifact_uri
        assert request.inputs["holdout"][0] == "s3://data/h2"
        predictions = table(prediction=predict(0.5), champion_prediction=predict(3.0))
        stack.objects.put(f"{prefix}/predictions.parquet", predictions)
        document = {
            "format": 1,
            "model": "churn",
            "task": "binary",
            "rows": ROWS,
            "label_mean": 0.5,
            "candidate": {"auc": estimate},
        }
        empty = {"champion": None, "difference": None, "segments": {}, "fairness": [], "artifact_mb": 1, "seconds": 1}
        stack.objects.put(f"{prefix}/evaluation.json", json.dumps({**document, **empty}).encode())

    stack.jobs.work = work
    comparison = compare_versions(stack, "churn", 1, 2, null_reporter, score=True)
    assert {f.metric: f.verdict for f in comparison.metrics}[
        "auc"
    ] == "worse"  # the first version is the better one here
    assert "trained on some of them" in comparison.warnings[0]
    assert stack.registry.get("bedplate-local-churn", 2).metadata["evaluation_uri"].endswith("/e/2/evaluation.json")


def test_an_unevaluated_version_is_named(tmp_path: Path) -> None:
    stack = build_stack(tmp_path)
    del stack.objects.contents["s3://artifacts/e/1/predictions.parquet"]
    assert "bedplate evaluate churn:1" in (compare_versions(stack, "churn", 1, 2, null_reporter).note or "")


def test_a_version_is_not_compared_with_itself(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="itself"):
        compare_versions(build_stack(tmp_path), "churn", 2, 2, null_reporter)
