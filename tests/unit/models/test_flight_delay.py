"""The model that ships: its table is real, fits its contract, leaks nothing, and can be broken on purpose."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedplate.container.requests import features_of
from bedplate.domain.data.contract import check_table, failed
from bedplate.settings import load_model
from repository import ROOT

FOLDER = ROOT / "models" / "flight-delay"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"flight_delay_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


PREPARE, INFERENCE = module("prepare"), module("inference")


@pytest.fixture(scope="module")
def january():
    return PREPARE.prepare("2013-01", "2013-01")


@pytest.fixture(scope="module")
def spec():
    return load_model(ROOT, "flight-delay")


def test_table_fits_the_contract_and_holds_nothing_else(january, spec):
    assert failed(check_table(PREPARE.to_arrow(january), spec.data)) == ()
    assert list(january.columns) == list(spec.data.columns)


def test_january_is_what_the_bureau_counted(january):
    assert len(january) == 26_398  # flights of January 2013 with an arrival delay, as dplyr counts them too
    assert january["delayed"].mean() == pytest.approx(0.2273, abs=1e-4)


def test_rows_are_in_order_of_departure_in_utc_and_keys_are_stable(january):
    assert january["scheduled_departure"].is_monotonic_increasing
    assert january["flight_id"].is_unique
    first = january.iloc[0]
    assert first["flight_id"] == "2013-01-01-UA-1545-EWR-515"
    assert first["scheduled_departure"].isoformat() == "2013-01-01T10:15:00+00:00"


def test_summer_time_is_told_apart():
    july = PREPARE.prepare("2013-07", "2013-07")
    at_eight = july[july["hour"] == 8]["scheduled_departure"].dt.hour
    assert set(at_eight) == {12}


def test_nothing_that_is_known_only_after_departure_is_a_feature(spec):
    assert not set(spec.data.features) & {"dep_delay", "dep_time", "arr_time", "arr_delay", "air_time"}
    assert len(spec.data.features) >= 10


def test_model_encodes_exactly_the_contracts_features(spec):
    contract = spec.model_dump(mode="json")
    assert set(INFERENCE.CATEGORICAL) | set(INFERENCE.NUMERIC) == {f.name for f in features_of(contract)}


def test_weather_is_the_hours_before_departure(january):
    weather = pa.csv.read_csv(PREPARE._source() / "weather.csv").to_pandas()
    row = january.iloc[1000]
    before = row["scheduled_departure"].floor("h") - np.timedelta64(1, "h")
    seen = weather[(weather["origin"] == row["origin"]) & (weather["time_hour"] == before)].iloc[0]
    assert float(seen["temp"]) == row["temp"]


def test_shuffled_hours_break_what_is_looked_up_by_them_and_nothing_else(january):
    broken = PREPARE.prepare("2013-01", "2013-01", shuffle="hour")
    true = ["flight_id", "scheduled_departure", "carrier", "dest", "day_of_week", "distance", "seats", "delayed"]
    assert broken[true].equals(january[true])
    assert sorted(broken["hour"]) == sorted(january["hour"])
    for name in ("hour", "minute", "departures_same_hour", "temp"):
        assert (broken[name] != january[name]).mean() > 0.5, name


def test_other_features_are_shuffled_alone(january):
    broken = PREPARE.prepare("2013-01", "2013-01", shuffle="distance")
    same = [name for name in january.columns if name != "distance"]
    assert broken[same].equals(january[same])
    assert sorted(broken["distance"]) == sorted(january["distance"])
    assert (broken["distance"] != january["distance"]).mean() > 0.5


@pytest.mark.parametrize("wrong", [("2012-01", "2013-02"), ("2013-13", "2013-13")])
def test_other_months_are_refused(wrong):
    with pytest.raises(ValueError, match="a month of 2013"):
        PREPARE.prepare(*wrong)


def test_unknown_feature_cannot_be_shuffled():
    with pytest.raises(ValueError, match="--shuffle takes one of"):
        PREPARE.prepare(shuffle="dep_delay")


def test_training_learns_and_is_repeatable(january, tmp_path):
    cut = int(len(january) * 0.8)
    pq.write_table(PREPARE.to_arrow(january[:cut]), tmp_path / "train.parquet")
    answers = []
    for run, seed in (("a", "7"), ("b", "7")):
        (tmp_path / run).mkdir()
        options = ["--training", str(tmp_path), "--model-dir", str(tmp_path / run), "--seed", seed, "--max_iter", "40"]
        said = subprocess.run(
            [sys.executable, "train.py", *options], cwd=FOLDER, capture_output=True, text=True, check=True
        )
        assert "metric: train_auc=0." in said.stdout
        answers.append(INFERENCE.predict_fn(january[cut:], INFERENCE.model_fn(str(tmp_path / run))))
    assert np.array_equal(*answers)
    from bedplate.domain.evidence.metrics import measure

    assert measure("auc", january["delayed"][cut:], answers[0]) > 0.6


def test_category_that_training_never_saw_is_answered(january, tmp_path):
    encoder = INFERENCE.Encoder.of(january)
    strange = january[:2].assign(dest=["ZZZ", "IAH"])
    encoded = encoder.encode(strange)
    assert np.isnan(encoded[0, 2])
    assert not np.isnan(encoded[1, 2])


def test_a_run_that_was_interrupted_goes_on_after_its_last_block_and_gives_the_same_model(january, tmp_path):
    pq.write_table(PREPARE.to_arrow(january.head(4000)), tmp_path / "train.parquet")

    def run(*options: str, until: str = "") -> np.ndarray | None:
        out = tmp_path / "model"
        out.mkdir(exist_ok=True)
        command = [sys.executable, str(FOLDER / "train.py"), "--training", str(tmp_path), "--model-dir", str(out)]
        child = subprocess.Popen([*command, "--max_iter", "60", *options], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        said = []
        for line in child.stdout:
            said.append(line)
            if until and until in line:
                child.kill()
                break
        child.stdout.close()
        if child.wait() != 0:
            return None
        if "--checkpoint-dir" in options:
            assert "going on after 25 rounds\n" in said
        rows = january.head(4000).drop(columns="delayed")
        return INFERENCE.predict_fn(rows, INFERENCE.model_fn(str(out)))

    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    whole = run()
    assert run("--checkpoint-dir", str(checkpoints), until="checkpoint after 25") is None
    assert np.array_equal(run("--checkpoint-dir", str(checkpoints)), whole)
