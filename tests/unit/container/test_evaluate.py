"""Candidate and champion are evaluated on the same rows, and missing input is named."""

from __future__ import annotations

import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedplate.container import evaluate
from bedplate.container.paths import CONTAINER_ROOT
from bedplate.domain.evidence.evaluation import Analyses, Evaluation
from bedplate.settings import Gates

ROWS = 400


@pytest.fixture
def root(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    x = rng.normal(size=ROWS)
    columns = {
        "id": [f"k{i}" for i in range(ROWS)],
        "at": pa.array(np.datetime64("2013-06-01", "us") + np.arange(ROWS)),
        "shop": np.where(np.arange(ROWS) % 20 == 0, "south", "north"),
        "x": x,
        "y": (rng.random(ROWS) < 1 / (1 + np.exp(-2 * x))).astype(int),
    }
    folder = tmp_path / "ml/processing/input/holdout"
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "holdout.parquet")
    monkeypatch.setenv(CONTAINER_ROOT, str(tmp_path / "ml"))
    monkeypatch.delenv("BEDPLATE_FALLBACK", raising=False)
    return tmp_path / "ml"


@pytest.fixture
def add_model(root, tmp_path, write_model):
    def pack(role: str, **model) -> None:
        folder = root / "processing/input" / role
        folder.mkdir()
        with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
            tar.add(write_model(tmp_path / role, **model), arcname=".")

    return pack


def read_evaluation(root) -> Evaluation:
    return Evaluation.from_json(json.loads((root / "processing/output/evaluation.json").read_text()))


def test_candidate_and_champion_are_evaluated_on_the_same_rows(root, add_model, capfd):
    add_model("candidate", weight=2.0)
    add_model("champion", weight=-2.0)
    assert evaluate.main() == 0
    evaluation = read_evaluation(root)
    assert evaluation.rows == ROWS
    assert evaluation.champion is not None
    assert evaluation.difference is not None
    assert evaluation.candidate["auc"].value == pytest.approx(1 - evaluation.champion["auc"].value)
    assert evaluation.difference["auc"].ci_low > 0.3
    assert evaluation.segments["shop"]["south"]["auc"].n_rows == 20
    assert evaluation.fairness[0].groups["north"].n_rows == 380
    assert evaluation.artifact_mb > 0
    predictions = pq.read_table(root / "processing/output/predictions.parquet")
    assert predictions.column_names == ["id", "at", "shop", "label", "prediction", "champion_prediction"]
    assert "metric: auc=" in capfd.readouterr().out


def test_openmp_threads_wait_passively_unless_the_image_sets_a_policy(root, monkeypatch):
    started: list[str] = []
    monkeypatch.setattr(evaluate.subprocess, "Popen", lambda *_, env, **__: started.append(env["OMP_WAIT_POLICY"]))
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    evaluate._start_scoring(root, "candidate", root / "rows.parquet", None)
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    evaluate._start_scoring(root, "candidate", root / "rows.parquet", None)
    assert started == ["passive", "active"]


def test_without_a_champion_there_is_no_difference(root, add_model):
    add_model("candidate")
    assert evaluate.main() == 0
    assert (read_evaluation(root).champion, read_evaluation(root).difference) == (None, None)


def test_fallback_constant_is_evaluated_as_the_champion(root, add_model, monkeypatch):
    monkeypatch.setenv("BEDPLATE_FALLBACK", "0.5")
    add_model("candidate", weight=2.0)
    assert evaluate.main() == 0
    champion = read_evaluation(root).champion
    assert champion is not None
    assert (champion["auc"].value, champion["brier"].value) == (0.5, 0.25)


def test_champion_that_cannot_score_the_rows_is_left_out(root, add_model, capfd):
    add_model("candidate")
    add_model("champion", inference="def model_fn(d): return 1\ndef predict_fn(r, m): raise KeyError('z')")
    assert evaluate.main() == 0
    assert read_evaluation(root).difference is None
    assert "no comparison: the champion cannot score the holdout" in capfd.readouterr().err


def test_candidate_that_cannot_score_fails_the_evaluation_with_the_reason(root, add_model):
    add_model("candidate", inference="def model_fn(d): raise OSError('gone')\ndef predict_fn(r, m): return r")
    assert evaluate.main() == 1
    message = (root / "output/message").read_text()
    assert "the candidate cannot score the holdout: model_fn of inference.py raised OSError: gone" in message


@pytest.mark.parametrize("missing", ["candidate", "holdout"])
def test_missing_input_is_named(root, add_model, missing):
    if missing == "holdout":
        add_model("candidate")
        (root / "processing/input/holdout/holdout.parquet").unlink()
    assert evaluate.main() == 1
    assert f"input {missing} has no" in (root / "output/message").read_text()


def test_fairness_needs_two_groups_that_are_large_enough(root, add_model, spec):
    add_model("candidate")
    assert evaluate.main() == 0
    (fairness,) = read_evaluation(root).fairness
    assert (fairness.column, fairness.metric, fairness.threshold) == ("shop", "selection_rate", 0.5)
    assert {fairness.highest_group, fairness.lowest_group} == {"north", "south"}
    shares = {name: group.value for name, group in fairness.groups.items()}
    assert fairness.difference.value == pytest.approx(abs(shares["north"] - shares["south"]))
    assert fairness.difference.ci_low <= fairness.difference.value <= fairness.difference.ci_high


ALL_GATES = {
    "calibration": {"max_ece": 0.1, "bins": 5},
    "fairness": [{"column": "shop", "metric": "equalized_odds", "max_difference": 0.9, "min_rows": 10}],
    "inference": {"rows": 6},
    "latency": {"single_p50_ms": 900, "requests": 20, "batches": 20, "batch_rows": 50, "warm_up": 1},
    "explanation": {"max_importance_shift": 0.5, "rows": 40, "background": 20},
    "leakage": {},
}


@pytest.fixture
def add_spec(root, spec):
    """Returns a function that writes the contract input with the given gates."""

    def write(**gates) -> None:
        folder = root / "processing/input/spec"
        folder.mkdir()
        contract = spec.model_copy(update={"gates": Gates.model_validate(gates)})
        (folder / "spec.json").write_text(contract.model_dump_json())

    return write


@pytest.fixture
def training(root):
    folder = root / "processing/input/training"
    folder.mkdir()
    holdout = pq.read_table(root / "processing/input/holdout/holdout.parquet")
    pq.write_table(holdout.slice(0, 50), folder / "train.parquet")


def test_every_gate_gets_its_analysis(root, add_model, add_spec, training):
    add_model("candidate", weight=2.0)
    add_model("champion", weight=1.0)
    add_spec(**ALL_GATES)
    assert evaluate.main() == 0
    evaluation = read_evaluation(root)
    trials = evaluation.analyses
    assert trials.calibration is not None
    assert len(trials.calibration.bins) == 5
    assert evaluation.fairness[0].metric == "equalized_odds"
    assert trials.latency is not None
    assert (len(trials.latency.single.latencies_ms), trials.latency.batch.rows_per_request) == (20, 50)
    assert trials.latency.single.latencies_ms[0] > 0
    assert trials.inference is not None
    assert {check.kind: check.faults for check in trials.inference if check.faults} == {}
    assert sum(check.cases for check in trials.inference) > 15
    assert trials.explanation is not None
    assert trials.explanation.importance_shift is not None
    assert trials.explanation.importance_shift.value == pytest.approx(0, abs=0.2)
    assert {i.feature for i in trials.explanation.importances} == {"shop", "x"}
    assert trials.leakage is not None
    assert trials.leakage.shared_keys == 50
    assert trials.curves is not None
    assert set(trials.curves) == {"candidate", "champion"}
    assert Evaluation.from_json(evaluation.to_json()) == evaluation


UNSTEADY = """
import random

def model_fn(model_dir):
    return random.Random()

def predict_fn(rows, model):
    import numpy as np
    return np.array([model.random() for _ in range(len(rows))])
"""


def test_model_with_random_predictions_violates_the_inference_contract(root, add_model, add_spec):
    add_model("candidate", inference=UNSTEADY)
    add_spec(inference={"rows": 6})
    assert evaluate.main() == 0
    checks = read_evaluation(root).analyses.inference
    assert checks is not None
    faulty = {check.kind for check in checks if check.faults}
    assert {"same prediction twice", "row order", "single row as in a batch"} <= faulty
    assert "missing column" not in faulty


def test_model_that_scores_but_does_not_serve_has_no_latency_and_no_inference_checks(root, add_model, add_spec, capfd):
    inference = (
        "import os\n"
        "def model_fn(d):\n"
        "    if 'SAGEMAKER_BIND_TO_PORT' in os.environ: raise OSError('no port for me')\n"
        "    return 1\n"
        "def predict_fn(rows, model): return rows['x'].to_numpy() * 0 + 0.5\n"
    )
    add_model("candidate", inference=inference)
    add_spec(inference={"rows": 6}, latency={"single_p50_ms": 900, "requests": 20, "batches": 20})
    assert evaluate.main() == 0
    trials = read_evaluation(root).analyses
    assert (trials.inference, trials.latency) == (None, None)
    assert "no port for me" in capfd.readouterr().err


def test_no_analyses_run_without_a_contract_input(root, add_model):
    add_model("candidate")
    assert evaluate.main() == 0
    assert read_evaluation(root).analyses == Analyses()


def test_gate_on_a_column_missing_from_the_holdout_fails_and_names_it(root, add_model, add_spec, spec):
    add_model("candidate")
    columns = {**{n: c.model_dump() for n, c in spec.data.columns.items()}, "mood": {"type": "string"}}
    folder = root / "processing/input/spec"
    folder.mkdir()
    gates = {"segments": [{"column": "mood", "metric": "auc", "min": 0.5}]}
    contract = spec.model_dump() | {"data": {"columns": columns}, "gates": gates}
    (folder / "spec.json").write_text(type(spec).model_validate(contract).model_dump_json())
    assert evaluate.main() == 1
    assert "no column 'mood'" in (root / "output/message").read_text()
