"""Builders for tests that train and evaluate models on a stack in memory: model folders, data and results of jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bedplate import ports
from bedplate.domain.evidence.evaluation import evaluate_models
from bedplate.settings import ModelSpec
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.training.train import train
from bedplate.workflows.training.training_plan import TrainRequest, plan
from builders import a_spec, a_stack_context
from fakes import EPOCH, FakeStackContext
from release_builders import ENDPOINT, V1

TRAINING_SCRIPT = "import os; print(os.environ['SM_MODEL_DIR'])"
EVALUATED_SPEC = a_spec(gates={"thresholds": [{"metric": "auc", "min": 0.7}], "champion": {"metric": "auc"}})


def build_training_stack(project_dir: Path, *specs: ModelSpec) -> FakeStackContext:
    """A stack whose models (one called `churn` without any) have a training script, with 500 rows in data.parquet."""
    context = a_stack_context(project_dir, *specs)
    for name in context.specs:
        folder = project_dir / "models" / name
        folder.mkdir(parents=True)
        (folder / "train.py").write_text(TRAINING_SCRIPT)
        (folder / "model.yaml").write_text(f"name: {name}")
    write_training_data(project_dir / "data.parquet")
    return context


def write_training_data(path: Path, rows: int = 500, **columns: list[Any]) -> Path:
    """Writes a Parquet file with one row per hour that fits the contract of `a_spec`. Returns its path.

    `columns` replaces or adds columns.
    """
    table = {
        "id": [f"c{i}" for i in range(rows)],
        "at": [datetime(2013, 1, 1) + timedelta(hours=i) for i in range(rows)],
        "left": [i % 2 for i in range(rows)],
        "age": [float(i) for i in range(rows)],
        "calls": [i % 7 for i in range(rows)],
        "plan": ["pro" if i % 3 else "basic" for i in range(rows)],
    }
    pq.write_table(pa.table({**table, **columns}), path)
    return path


def build_trained_stack(project_dir: Path) -> FakeStackContext:
    """A stack whose live release is version 1, which was trained on the registered data.parquet."""
    spec = a_spec(
        gates={"thresholds": [{"metric": "auc", "min": 0.7}]},
        training={"max_usd": 5},
        retraining={"max_age_days": 30},
    )
    stack = build_training_stack(project_dir, spec)
    add_fallback_release(stack)
    evaluate = evaluation_work(stack)
    stack.jobs.work = lambda request: evaluate(request) if isinstance(request, ports.ProcessingRequest) else None
    train(stack, plan(stack, TrainRequest("churn", project_dir / "data.parquet", {}), null_reporter), null_reporter)
    stack.endpoints.releases[V1] = ports.Release(V1, "s3://a/1.tar.gz", {"BEDPLATE_RELEASE": V1}, EPOCH)
    stack.endpoints.live[ENDPOINT] = V1
    return stack


def add_fallback_release(stack: FakeStackContext) -> None:
    """Creates the release of the live fallback, which predicts 0.2."""
    fallback = stack.endpoints.live[ENDPOINT]
    environment = {"BEDPLATE_FALLBACK": "0.2", "BEDPLATE_RELEASE": f"{ENDPOINT}-v0"}
    stack.endpoints.releases[fallback] = ports.Release(fallback, None, environment, EPOCH)


def evaluation_work(stack: FakeStackContext, *, good: bool = True) -> Callable[[ports.ProcessingRequest], None]:
    """Returns work for `FakeJobs` that evaluates candidate and champion on 400 rows, as the image's `evaluate` does.

    A good candidate passes the gate auc >= 0.7. The champion predicts 0.2.
    """

    def work(request: ports.ProcessingRequest) -> None:
        random = np.random.default_rng(0)
        labels = (random.random(400) < 0.5).astype(float)
        candidate = labels * 0.3 + random.random(400) if good else random.random(400)
        has_champion = "BEDPLATE_FALLBACK" in request.environment or "champion" in request.inputs
        champion = np.full(400, 0.2) if has_champion else None
        plans = {"plan": ["basic"] * 400}
        result = evaluate_models(EVALUATED_SPEC, labels, candidate, champion, plans, artifact_mb=1.0, seconds=0.1)
        (_, uri) = request.outputs["evaluation"]
        stack.objects.put(f"{uri}/evaluation.json", json.dumps(result.to_json()).encode())

    return work


def record_drift(stack: FakeStackContext, *signals: str) -> int:
    """Records a monitoring run of version 1 with these signals in the ledger. Returns the record's number."""
    data: dict[str, Any] = {"outcome": "DRIFT", "signals": list(signals)}
    return Ledger.of(stack).record("monitored", "PSI 0.4", actor="x", model="churn", version=1, data=data).seq
