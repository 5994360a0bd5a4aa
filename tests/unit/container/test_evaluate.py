"""Candidate and champion are scored on the same rows, and what is missing is named."""

from __future__ import annotations

import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedplate.container import evaluate
from bedplate.container.paths import CONTAINER_ROOT
from bedplate.domain.evidence.evaluation import Evaluation, Trials
from bedplate.settings import Gates

ROWS = 400


@pytest.fixture
def root(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    x = rng.normal(size=ROWS)
    table = {
        "id": [f"k{i}" for i in range(ROWS)],
        "at": pa.array(np.datetime64("2013-06-01", "us") + np.arange(ROWS)),
        "shop": np.where(np.arange(ROWS) % 20 == 0, "south", "north"),
        "x": x,
        "y": (rng.random(ROWS) < 1 / (1 + np.exp(-2 * x))).astype(int),
    }
    folder = tmp_path / "ml/processing/input/holdout"
    folder.mkdir(parents=True)
    pq.write_table(pa.table(table), folder / "holdout.parquet")
    monkeypatch.setenv(CONTAINER_ROOT, str(tmp_path / "ml"))
    monkeypatch.delenv("BEDPLATE_FALLBACK", raising=False)
    return tmp_path / "ml"


@pytest.fixture
def put(root, tmp_path, write_model):
    def pack(role: str, **model) -> None:
        folder = root / "processing/input" / role
        folder.mkdir()
        with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
            tar.add(write_model(tmp_path / role, **model), arcname=".")

    return pack


def result(root) -> Evaluation:
    return Evaluation.from_json(json.loads((root / "processing/output/evaluation.json").read_text()))


def test_candidate_and_champion_meet_on_the_same_rows(root, put, capfd):
    put("candidate", weight=2.0)
    put("champion", weight=-2.0)
    assert evaluate.main() == 0
    found = result(root)
    assert found.rows == ROWS
    assert found.champion is not None
    assert found.difference is not None
    assert found.candidate["auc"].value == pytest.approx(1 - found.champion["auc"].value)
    assert found.difference["auc"].low > 0.3
    assert found.segments["shop"]["south"]["auc"].n == 20
    assert found.fairness[0].groups["north"][1] == 380
    assert found.artifact_mb > 0
    answers = pq.read_table(root / "processing/output/predictions.parquet")
    assert answers.column_names == ["id", "at", "shop", "label", "prediction", "champion_prediction"]
    assert "metric: auc=" in capfd.readouterr().out


def test_threads_of_the_models_wait_without_spinning_unless_the_image_says_otherwise(root, monkeypatch):
    started: list[str] = []
    monkeypatch.setattr(evaluate.subprocess, "Popen", lambda *_, env, **__: started.append(env["OMP_WAIT_POLICY"]))
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    evaluate._start(root, "candidate", root / "rows.parquet", None)
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    evaluate._start(root, "candidate", root / "rows.parquet", None)
    assert started == ["passive", "active"]


def test_without_a_champion_there_is_no_difference(root, put):
    put("candidate")
    assert evaluate.main() == 0
    assert (result(root).champion, result(root).difference) == (None, None)


def test_fallbacks_constant_is_a_champion_of_its_own(root, put, monkeypatch):
    monkeypatch.setenv("BEDPLATE_FALLBACK", "0.5")
    put("candidate", weight=2.0)
    assert evaluate.main() == 0
    champion = result(root).champion
    assert champion is not None
    assert (champion["auc"].value, champion["brier"].value) == (0.5, 0.25)


def test_champion_that_cannot_score_these_rows_counts_as_none(root, put, capfd):
    put("candidate")
    put("champion", inference="def model_fn(d): return 1\ndef predict_fn(r, m): raise KeyError('z')")
    assert evaluate.main() == 0
    assert result(root).difference is None
    assert "no comparison: the champion cannot score the holdout" in capfd.readouterr().err


def test_candidate_that_cannot_score_is_a_failure_with_its_reason(root, put):
    put("candidate", inference="def model_fn(d): raise OSError('gone')\ndef predict_fn(r, m): return r")
    assert evaluate.main() == 1
    message = (root / "output/message").read_text()
    assert "the candidate cannot score the holdout: model_fn of inference.py raised OSError: gone" in message


@pytest.mark.parametrize("missing", ["candidate", "holdout"])
def test_missing_input_is_named(root, put, missing):
    if missing == "holdout":
        put("candidate")
        (root / "processing/input/holdout/holdout.parquet").unlink()
    assert evaluate.main() == 1
    assert f"input {missing} holds no" in (root / "output/message").read_text()


def test_fairness_needs_two_groups_that_are_large_enough(root, put, spec):
    put("candidate")
    assert evaluate.main() == 0
    (found,) = result(root).fairness
    assert (found.by, found.metric, found.threshold) == ("shop", "selection_rate", 0.5)
    assert {found.highest, found.lowest} == {"north", "south"}
    shares = {name: share for name, (share, _) in found.groups.items()}
    assert found.difference.value == pytest.approx(abs(shares["north"] - shares["south"]))
    assert found.difference.low <= found.difference.value <= found.difference.high


ALL_GATES = {
    "calibration": {"max_ece": 0.1, "bins": 5},
    "fairness": [{"by": "shop", "metric": "equalized_odds", "max_difference": 0.9, "min_rows": 10}],
    "inference": {"rows": 6},
    "latency": {"single_p50_ms": 900, "requests": 20, "batches": 20, "batch_rows": 50, "warm_up": 1},
    "explanation": {"max_moved": 0.5, "rows": 40, "background": 20},
    "leakage": {},
}


@pytest.fixture
def ask_for(root, spec):
    """Today's contract, with these gates."""

    def write(**gates) -> None:
        folder = root / "processing/input/spec"
        folder.mkdir()
        today = spec.model_copy(update={"gates": Gates.model_validate(gates)})
        (folder / "spec.json").write_text(today.model_dump_json())

    return write


@pytest.fixture
def training(root):
    folder = root / "processing/input/training"
    folder.mkdir()
    held = pq.read_table(root / "processing/input/holdout/holdout.parquet")
    pq.write_table(held.slice(0, 50), folder / "train.parquet")


def test_everything_that_gates_ask_for_is_tried_on_the_real_entry_point(root, put, ask_for, training):
    put("candidate", weight=2.0)
    put("champion", weight=1.0)
    ask_for(**ALL_GATES)
    assert evaluate.main() == 0
    found = result(root)
    trials = found.trials
    assert trials.calibration is not None
    assert len(trials.calibration.bins) == 5
    assert found.fairness[0].metric == "equalized_odds"
    assert trials.latency is not None
    assert (len(trials.latency.single.ms), trials.latency.batch.rows) == (20, 50)
    assert trials.latency.single.ms[0] > 0
    assert trials.inference is not None
    assert {check.kind: check.faults for check in trials.inference if check.faults} == {}
    assert sum(check.cases for check in trials.inference) > 15
    assert trials.explanation is not None
    assert trials.explanation.moved is not None
    assert trials.explanation.moved.value == pytest.approx(0, abs=0.2)
    assert {i.feature for i in trials.explanation.importances} == {"shop", "x"}
    assert trials.leakage is not None
    assert trials.leakage.shared_keys == 50
    assert trials.curves is not None
    assert set(trials.curves) == {"candidate", "champion"}
    assert Evaluation.from_json(found.to_json()) == found


UNSTEADY = """
import random

def model_fn(model_dir):
    return random.Random()

def predict_fn(rows, model):
    import numpy as np
    return np.array([model.random() for _ in range(len(rows))])
"""


def test_a_model_that_answers_at_random_breaks_the_inference_contract(root, put, ask_for):
    put("candidate", inference=UNSTEADY)
    ask_for(inference={"rows": 6})
    assert evaluate.main() == 0
    checks = result(root).trials.inference
    assert checks is not None
    faulty = {check.kind for check in checks if check.faults}
    assert {"same answer twice", "order kept", "alone as in a batch"} <= faulty
    assert "missing column" not in faulty


def test_a_model_that_scores_but_does_not_serve_leaves_what_was_to_be_asked_without_data(root, put, ask_for, capfd):
    inference = (
        "import os\n"
        "def model_fn(d):\n"
        "    if 'SAGEMAKER_BIND_TO_PORT' in os.environ: raise OSError('no port for me')\n"
        "    return 1\n"
        "def predict_fn(rows, model): return rows['x'].to_numpy() * 0 + 0.5\n"
    )
    put("candidate", inference=inference)
    ask_for(inference={"rows": 6}, latency={"single_p50_ms": 900, "requests": 20, "batches": 20})
    assert evaluate.main() == 0
    trials = result(root).trials
    assert (trials.inference, trials.latency) == (None, None)
    assert "no port for me" in capfd.readouterr().err


def test_without_a_contract_of_today_nothing_is_tried_out(root, put):
    put("candidate")
    assert evaluate.main() == 0
    assert result(root).trials == Trials()


def test_a_gate_that_names_a_column_the_holdout_lacks_is_said(root, put, ask_for, spec):
    put("candidate")
    columns = {**{n: c.model_dump() for n, c in spec.data.columns.items()}, "mood": {"type": "string"}}
    folder = root / "processing/input/spec"
    folder.mkdir()
    gates = {"segments": [{"by": "mood", "metric": "auc", "min": 0.5}]}
    today = spec.model_dump() | {"data": {"columns": columns}, "gates": gates}
    (folder / "spec.json").write_text(type(spec).model_validate(today).model_dump_json())
    assert evaluate.main() == 1
    assert "no column 'mood'" in (root / "output/message").read_text()
