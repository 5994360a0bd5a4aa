"""Signs of label leakage between features, training data and holdout."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bedplate.domain.evidence.leakage import Leakage, leakage
from bedplate.settings import ModelSpec
from builders import a_spec

N = 600


def table(seed: int, *, start: int = 0, **changes: Any) -> pa.Table:
    rng = np.random.default_rng(seed)
    left = rng.integers(0, 2, N)
    values = {
        "id": [f"{seed}-{i}" for i in range(N)],
        "at": pa.array([datetime(2026, 1, 1) + timedelta(minutes=start + i) for i in range(N)], pa.timestamp("us")),
        "left": left,
        "age": pa.array(rng.normal(40, 9, N)),
        "calls": rng.integers(0, 9, N),
        "plan": rng.choice(["basic", "pro"], N),
    }
    return pa.table({**values, **{name: make(left) for name, make in changes.items()}})


def measure_leakage(train: pa.Table | None, holdout: pa.Table, spec: ModelSpec | None = None) -> Leakage:
    return leakage(spec or a_spec(), train, holdout, holdout.column("left").to_numpy().astype(float))


def test_data_without_leakage_has_no_findings() -> None:
    result = measure_leakage(table(1), table(2, start=N))
    assert (result.unavailable_features, result.shared_keys, result.same_content, result.out_of_order) == ((), 0, 0, 0)
    assert result.strongest is not None
    assert result.strongest.ci_high < 0.65
    assert {a.feature for a in result.single_features} == {"age", "calls", "plan"}


@pytest.mark.parametrize(
    ("column", "make"),
    [
        ("age", lambda left: pa.array(np.where(left == 1, 70.0, 30.0) + np.random.default_rng(0).normal(0, 3, N))),
        ("age", lambda left: pa.array([None if v else 40.0 for v in left], pa.float64())),
        ("calls", lambda left: 3 * left + np.arange(N) % 2),
        ("plan", lambda left: np.where(left == 1, "pro", "basic")),
    ],
)
def test_a_feature_that_contains_the_label_is_found_in_every_form(column: str, make: Any) -> None:
    leaky = measure_leakage(table(1, **{column: make}), table(2, start=N, **{column: make}))
    assert leaky.single_features[0].feature == column
    assert leaky.strongest is not None
    assert leaky.strongest.ci_low > 0.95


def test_features_of_a_regression_are_measured_by_r2() -> None:
    columns = {
        "id": {"type": "string", "role": "key"},
        "x": {"type": "number"},
        "left": {"type": "number", "role": "label"},
    }
    spec = a_spec(task="regression", data={"columns": columns})
    rng = np.random.default_rng(0)
    x = rng.normal(size=2 * N)
    whole = pa.table({"id": [str(i) for i in range(2 * N)], "x": x, "left": 3 * x + rng.normal(0, 0.1, 2 * N)})
    leaky = measure_leakage(whole.slice(0, N), whole.slice(N), spec)
    assert (leaky.metric, leaky.out_of_order) == ("r2", None)
    assert leaky.strongest is not None
    assert leaky.strongest.value > 0.95


def test_rows_that_are_also_in_the_training_data_are_counted_by_key_and_by_content() -> None:
    train, holdout = table(1), table(2, start=N)
    with_keys = holdout.set_column(
        0, "id", pa.array([*train.column("id").to_pylist()[:7], *holdout.column("id").to_pylist()[7:]])
    )
    assert (measure_leakage(train, with_keys).shared_keys, measure_leakage(train, with_keys).same_content) == (7, 0)
    copied = pa.concat_tables([train.slice(0, 9), holdout.slice(9)])
    copied = copied.set_column(0, "id", holdout.column("id"))
    assert (measure_leakage(train, copied).shared_keys, measure_leakage(train, copied).same_content) == (0, 9)


def test_nulls_are_values_like_any_other_when_contents_are_compared() -> None:
    def missing(left: Any) -> Any:
        return pa.nulls(N, pa.float64())

    train = table(1, age=missing)
    assert measure_leakage(train, train.set_column(0, "id", pa.array([f"n{i}" for i in range(N)]))).same_content == N


def test_rows_not_later_than_training_are_counted() -> None:
    assert measure_leakage(table(1), table(2, start=N - 10)).out_of_order == 10


def test_features_that_are_unavailable_at_prediction_are_named() -> None:
    columns = {name: c.model_dump() for name, c in a_spec().data.columns.items()}
    columns["calls"]["available_at_prediction"] = False
    assert measure_leakage(table(1), table(2, start=N), a_spec(data={"columns": columns})).unavailable_features == (
        "calls",
    )


def test_without_the_training_data_nothing_is_measured() -> None:
    unknown = measure_leakage(None, table(2))
    assert (unknown.strongest, unknown.shared_keys, unknown.out_of_order) == (None, None, None)
