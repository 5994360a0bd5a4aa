"""Script mode sets the script's environment, adds files to the model and reports failures with the cause."""

from __future__ import annotations

import json

import pytest

from bedplate.container import train
from bedplate.container.paths import CONTAINER_ROOT

SHOW_ENVIRONMENT = """
import json, os, pathlib, sys
found = {k: v for k, v in os.environ.items() if k.startswith("SM_")} | {"hash": os.environ["PYTHONHASHSEED"]}
(pathlib.Path(os.environ["SM_MODEL_DIR"]) / "seen.json").write_text(json.dumps({"argv": sys.argv[1:], "env": found}))
"""


def run(root, monkeypatch) -> int:
    monkeypatch.setenv(CONTAINER_ROOT, str(root))
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    return train.main()


def test_training_adds_code_contract_and_record_to_the_model(training_root, monkeypatch, capfd):
    root = training_root()
    assert run(root, monkeypatch) == 0
    assert json.loads((root / "model/weight.json").read_text()) == 2.5
    assert {p.name for p in (root / "model/code").iterdir()} == {"train.py", "inference.py"}
    assert json.loads((root / "model/contract.json").read_text())["name"] == "churn"
    record = json.loads((root / "model/training.json").read_text())
    assert (record["rows"], record["features"]) == (3, ["shop", "x"])
    assert {"numpy", "scikit-learn"} <= set(record["versions"])
    assert "metric: train_auc=0.75" in capfd.readouterr().out


def test_script_gets_sagemakers_environment_without_internal_hyperparameters(training_root, monkeypatch):
    root = training_root(SHOW_ENVIRONMENT, {"sagemaker_job_name": "j", "early-stop": "true"})
    assert run(root, monkeypatch) == 0
    content = json.loads((root / "model/seen.json").read_text())
    assert content["argv"] == ["--weight", "2.5", "--seed", "7", "--early-stop", "true"]
    env = content["env"]
    assert env["SM_CHANNEL_TRAINING"] == str(root / "input/data/training")
    assert env["SM_HP_EARLY_STOP"] == "true"
    assert json.loads(env["SM_HPS"]) == {"weight": 2.5, "seed": 7, "early-stop": True}
    assert json.loads(env["SM_TRAINING_ENV"])["hyperparameters"]["weight"] == 2.5
    assert (env["SM_HOSTS"], env["hash"]) == ('["algo-1"]', "7")


def test_quotes_of_hyperparameters_from_the_sdk_are_removed(training_root, monkeypatch):
    root = training_root(parameters={"sagemaker_program": '"train.py"', "weight": '"3.5"'})
    assert run(root, monkeypatch) == 0
    assert json.loads((root / "model/weight.json").read_text()) == 3.5


def test_last_exception_of_the_script_is_the_failure(training_root, monkeypatch, capfd):
    root = training_root("def f():\n    raise KeyError('no such column')\nf()\n")
    assert run(root, monkeypatch) == 1
    failure = (root / "output/failure").read_text()
    assert failure.startswith("KeyError: 'no such column'\ntrain.py exited with code 1\nTraceback")
    assert "no such column" in capfd.readouterr().err


def test_failure_is_cut_to_sagemakers_limit(training_root, monkeypatch):
    root = training_root("raise ValueError('x' * 5000)")
    assert run(root, monkeypatch) == 1
    assert len((root / "output/failure").read_text()) <= 1024


@pytest.mark.parametrize(
    ("script", "parameters", "reason"),
    [
        ("", {}, "wrote nothing to SM_MODEL_DIR"),
        ("import sys; sys.exit(3)", {}, "exited with code 3; stderr is empty"),
        ("import os; os.kill(os.getpid(), 9)", {}, "killed by signal 9"),
        ("", {"sagemaker_program": "other.py"}, "other.py is not in the model's folder"),
    ],
)
def test_failure_names_the_cause(training_root, monkeypatch, script, parameters, reason):
    root = training_root(script, parameters)
    assert run(root, monkeypatch) == 1
    assert reason in (root / "output/failure").read_text()


def test_missing_code_is_named(training_root, monkeypatch):
    root = training_root()
    (root / "input/data/code/sourcedir.tar.gz").unlink()
    assert run(root, monkeypatch) == 1
    assert "sourcedir.tar.gz" in (root / "output/failure").read_text()


def test_archive_cannot_write_outside_its_folder(training_root, monkeypatch, tmp_path):
    root = training_root(**{"../../escaped.py": "1"})
    assert run(root, monkeypatch) == 1
    assert "cannot be unpacked" in (root / "output/failure").read_text()
    assert not list(tmp_path.rglob("escaped.py"))
