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
from bedplate.domain.evaluation import Evaluation

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
