"""Every model of the local stack: its contract is valid, and its scripts train and predict by the contract."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bedplate.settings import load_model, load_stack

ROOT = Path(__file__).parents[1]
MODELS = load_stack(ROOT, "local").models


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_the_contracts_are_valid_in_every_environment(stack: str) -> None:
    process = subprocess.run(
        ["bedplate", "models", "check", "--stack", stack], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("model", MODELS)
def test_a_model_trains_and_returns_one_prediction_for_each_row(model: str, tmp_path: Path) -> None:
    spec, folder = load_model(ROOT, model), ROOT / "models" / model
    subprocess.run([sys.executable, "prepare.py", str(tmp_path / "train.parquet")], cwd=folder, check=True)
    rows = pd.read_parquet(tmp_path / "train.parquet")
    assert set(rows.columns) == set(spec.data.columns)
    subprocess.run(
        [sys.executable, spec.training.entry_point, "--training", str(tmp_path), "--model-dir", str(tmp_path)],
        cwd=folder,
        check=True,
    )
    script = (
        "import json, sys, pandas as pd, inference\n"
        f"rows = pd.read_parquet({str(tmp_path / 'train.parquet')!r}).head(20)\n"
        f"print(json.dumps([float(v) for v in inference.predict_fn(rows, inference.model_fn({str(tmp_path)!r}))]))"
    )
    predictions = json.loads(
        subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, capture_output=True).stdout
    )
    assert len(predictions) == 20
    assert len(set(predictions)) > 1
    if spec.task == "binary":
        assert all(0 <= prediction <= 1 for prediction in predictions)
