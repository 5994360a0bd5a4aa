"""Builders for tests that train models on a stack in memory: model folders and training data."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedplate.settings import ModelSpec
from builders import a_stack_context
from fakes import FakeStackContext

TRAINING_SCRIPT = "import os; print(os.environ['SM_MODEL_DIR'])"


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
