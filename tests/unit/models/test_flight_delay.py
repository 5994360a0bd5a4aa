"""The flight-delay model: its table fits the contract, has no leakage, and can be broken on purpose."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedplate.container.requests import read_features
from bedplate.domain.data.contract import failed_rules
from bedplate.settings import load_model
from builders import check_table
from repository import ROOT

FOLDER = ROOT / "models" / "flight-delay"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"flight_delay_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


PREPARE, INFERENCE = module("prepare"), module("inference")


@pytest.fixture(scope="module")
def january():
    return PREPARE.prepare("2013-01", "2013-01")


@pytest.fixture(scope="module")
def spec():
    return load_model(ROOT, "flight-delay")


def test_table_has_exactly_the_columns_of_the_contract(january, spec):
    assert failed_rules(check_table(PREPARE.to_arrow(january), spec.data)) == ()
    assert list(january.columns) == list(spec.data.columns)


def test_january_has_the_published_number_of_flights(january):
    assert len(january) == 26_398  # flights of January 2013 with an arrival delay, as dplyr counts them
    assert january["delayed"].mean() == pytest.approx(0.2273, abs=1e-4)


def test_rows_are_in_order_of_departure_in_utc_and_keys_are_stable(january):
    assert january["scheduled_departure"].is_monotonic_increasing
    assert january["flight_id"].is_unique
    first = january.iloc[0]
    assert first["flight_id"] == "2013-01-01-UA-1545-EWR-515"
    assert first["scheduled_departure"].isoformat() == "2013-01-01T10:15:00+00:00"


def test_departures_in_summer_time_are_converted_to_utc():
    july = PREPARE.prepare("2013-07", "2013-07")
    at_eight = july[july["hour"] == 8]["scheduled_departure"].dt.hour
    assert set(at_eight) == {12}


def test_no_feature_is_available_only_after_departure(spec):
    assert not set(spec.data.features) & {"dep_delay", "dep_time", "arr_time", "arr_delay", "air_time"}
    assert len(spec.data.features) >= 10


def test_model_encodes_exactly_the_features_of_the_contract(spec):
    contract = spec.model_dump(mode="json")
    assert set(INFERENCE.CATEGORICAL) | set(INFERENCE.NUMERIC) == {f.name for f in read_features(contract)}


def test_weather_is_the_hours_before_departure(january):
    weather = pa.csv.read_csv(PREPARE._source() / "weather.csv").to_pandas()
    row = january.iloc[1000]
    before = row["scheduled_departure"].floor("h") - np.timedelta64(1, "h")
    observation = weather[(weather["origin"] == row["origin"]) & (weather["time_hour"] == before)].iloc[0]
    assert float(observation["temp"]) == row["temp"]


def test_shuffled_hours_break_only_the_features_that_depend_on_the_hour(january):
    broken = PREPARE.prepare("2013-01", "2013-01", shuffle="hour")
    true = ["flight_id", "scheduled_departure", "carrier", "dest", "day_of_week", "distance", "seats", "delayed"]
    assert broken[true].equals(january[true])
    assert sorted(broken["hour"]) == sorted(january["hour"])
    for name in ("hour", "minute", "departures_same_hour", "temp"):
        assert (broken[name] != january[name]).mean() > 0.5, name


def test_shuffling_another_feature_changes_no_other_column(january):
    broken = PREPARE.prepare("2013-01", "2013-01", shuffle="distance")
    same = [name for name in january.columns if name != "distance"]
    assert broken[same].equals(january[same])
    assert sorted(broken["distance"]) == sorted(january["distance"])
    assert (broken["distance"] != january["distance"]).mean() > 0.5


@pytest.mark.parametrize("wrong", [("2012-01", "2013-02"), ("2013-13", "2013-13")])
def test_other_months_are_rejected(wrong):
    with pytest.raises(ValueError, match="a month of 2013"):
        PREPARE.prepare(*wrong)


def test_unknown_feature_cannot_be_shuffled():
    with pytest.raises(ValueError, match="--shuffle takes one of"):
        PREPARE.prepare(shuffle="dep_delay")


def test_training_is_repeatable_and_beats_chance(january, tmp_path):
    cut = int(len(january) * 0.8)
    pq.write_table(PREPARE.to_arrow(january[:cut]), tmp_path / "train.parquet")
    predictions = []
    for run, seed in (("a", "7"), ("b", "7")):
        (tmp_path / run).mkdir()
        options = ["--training", str(tmp_path), "--model-dir", str(tmp_path / run), "--seed", seed, "--max_iter", "40"]
        process = subprocess.run(
            [sys.executable, "train.py", *options], cwd=FOLDER, capture_output=True, text=True, check=True
        )
        assert "metric: train_auc=0." in process.stdout
        predictions.append(INFERENCE.predict_fn(january[cut:], INFERENCE.model_fn(str(tmp_path / run))))
    assert np.array_equal(*predictions)
    from bedplate.domain.evidence.metrics import compute_metric

    assert compute_metric("auc", january["delayed"][cut:], predictions[0]) > 0.6


def test_a_category_that_is_not_in_the_training_data_is_encoded_as_missing(january, tmp_path):
    encoder = INFERENCE.Encoder.of(january)
    strange = january[:2].assign(dest=["ZZZ", "IAH"])
    encoded = encoder.encode(strange)
    assert np.isnan(encoded[0, 2])
    assert not np.isnan(encoded[1, 2])


def test_an_interrupted_run_resumes_after_its_last_block_and_gives_the_same_model(january, tmp_path):
    pq.write_table(PREPARE.to_arrow(january.head(4000)), tmp_path / "train.parquet")

    def run(*options: str, until: str = "") -> np.ndarray | None:
        model_dir = tmp_path / "model"
        model_dir.mkdir(exist_ok=True)
        command = [sys.executable, str(FOLDER / "train.py"), "--training", str(tmp_path), "--model-dir", str(model_dir)]
        child = subprocess.Popen([*command, "--max_iter", "60", *options], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            lines.append(line)
            if until and until in line:
                child.kill()
                break
        child.stdout.close()
        if child.wait() != 0:
            return None
        if "--checkpoint-dir" in options:
            assert "resuming after 25 rounds\n" in lines
        rows = january.head(4000).drop(columns="delayed")
        return INFERENCE.predict_fn(rows, INFERENCE.model_fn(str(model_dir)))

    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    whole = run()
    assert run("--checkpoint-dir", str(checkpoints), until="checkpoint after 25") is None
    assert np.array_equal(run("--checkpoint-dir", str(checkpoints)), whole)
