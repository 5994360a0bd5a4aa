"""A small model artifact: contract, inference script and a file of weights."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from builders import a_shop_spec

INFERENCE = """
import json
import pathlib

def model_fn(model_dir):
    return json.loads((pathlib.Path(model_dir) / "weight.json").read_text())

def predict_fn(rows, model):
    return 1 / (1 + 2.718281828 ** (-model * rows["x"].to_numpy()))
"""
TRAIN = """
import argparse, json, os, pathlib
import pyarrow.parquet as pq

parser = argparse.ArgumentParser()
parser.add_argument("--weight", type=float, default=1.0)
parser.add_argument("--seed", type=int)
args = parser.parse_args()
rows = pq.read_table(pathlib.Path(os.environ["SM_CHANNEL_TRAINING"]) / "train.parquet").num_rows
print("metric: train_auc=0.75")
(pathlib.Path(os.environ["SM_MODEL_DIR"]) / "weight.json").write_text(json.dumps(args.weight))
"""


@pytest.fixture(autouse=True)
def _imports_end_with_the_test(monkeypatch):
    """Undoes what loading a model adds to `sys.path` and `sys.modules`."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "inference", raising=False)
    yield
    sys.modules.pop("inference", None)


@pytest.fixture
def spec():
    return a_shop_spec(
        gates={"fairness": [{"column": "shop", "metric": "selection_rate", "max_difference": 0.2, "min_rows": 10}]},
        monitors={"min_rows": 300, "window": "day"},
    )


@pytest.fixture
def write_model(spec):
    """Returns a function that writes an unpacked artifact."""

    def write(folder: Path, *, weight: float = 1.0, inference: str = INFERENCE) -> Path:
        (folder / "code").mkdir(parents=True)
        (folder / "code" / "inference.py").write_text(inference)
        (folder / "contract.json").write_text(spec.model_dump_json())
        (folder / "weight.json").write_text(json.dumps(weight))
        return folder

    return write


@pytest.fixture
def model_dir(tmp_path: Path, write_model) -> Path:
    return write_model(tmp_path / "model")


@pytest.fixture
def training_root(tmp_path: Path, spec):
    """Returns a function that writes SageMaker's folders for a training job with the given script."""

    def prepare(script: str = TRAIN, parameters: dict[str, str] | None = None, **files: str) -> Path:
        root = tmp_path / "ml"
        for folder in ("input/config", "input/data/code", "input/data/training"):
            (root / folder).mkdir(parents=True)
        contents = {"train.py": script, "inference.py": INFERENCE, "contract.json": spec.model_dump_json(), **files}
        with tarfile.open(root / "input/data/code/sourcedir.tar.gz", "w:gz") as tar:
            for name, text in contents.items():
                info = tarfile.TarInfo(name)
                info.size = len(text.encode())
                tar.addfile(info, io.BytesIO(text.encode()))
        options = {"sagemaker_program": "train.py", "weight": "2.5", "seed": "7", **(parameters or {})}
        (root / "input/config/hyperparameters.json").write_text(json.dumps(options))
        pq.write_table(pa.table({"x": [1.0, 2.0, 3.0], "y": [0, 1, 1]}), root / "input/data/training/train.parquet")
        return root

    return prepare
