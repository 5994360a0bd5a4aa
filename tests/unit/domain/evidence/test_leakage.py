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


def found(train: pa.Table | None, held: pa.Table, spec: ModelSpec | None = None) -> Leakage:
    return leakage(spec or a_spec(), train, held, held.column("left").to_numpy().astype(float))


def test_innocent_data_shows_nothing() -> None:
    clean = found(table(1), table(2, start=N))
    assert (clean.known_after, clean.shared_keys, clean.same_content, clean.out_of_order) == ((), 0, 0, 0)
    assert clean.strongest is not None
    assert clean.strongest.high < 0.65
    assert {a.feature for a in clean.alone} == {"age", "calls", "plan"}


@pytest.mark.parametrize(
    ("column", "make"),
    [
        ("age", lambda left: pa.array(np.where(left == 1, 70.0, 30.0) + np.random.default_rng(0).normal(0, 3, N))),
        ("age", lambda left: pa.array([None if v else 40.0 for v in left], pa.float64())),
        ("calls", lambda left: 3 * left + np.arange(N) % 2),
        ("plan", lambda left: np.where(left == 1, "pro", "basic")),
    ],
)
def test_a_feature_that_knows_the_label_is_found_in_whatever_form(column: str, make: Any) -> None:
    leaky = found(table(1, **{column: make}), table(2, start=N, **{column: make}))
    assert leaky.alone[0].feature == column
    assert leaky.strongest is not None
    assert leaky.strongest.low > 0.95


def test_a_regressions_features_are_held_against_r2() -> None:
    columns = {
        "id": {"type": "string", "role": "key"},
        "x": {"type": "number"},
        "left": {"type": "number", "role": "label"},
    }
    spec = a_spec(task="regression", data={"columns": columns})
    rng = np.random.default_rng(0)
    x = rng.normal(size=2 * N)
    whole = pa.table({"id": [str(i) for i in range(2 * N)], "x": x, "left": 3 * x + rng.normal(0, 0.1, 2 * N)})
    leaky = found(whole.slice(0, N), whole.slice(N), spec)
    assert (leaky.metric, leaky.out_of_order) == ("r2", None)
    assert leaky.strongest is not None
    assert leaky.strongest.value > 0.95


def test_rows_that_training_holds_too_are_counted_by_key_and_by_content() -> None:
    train, held = table(1), table(2, start=N)
    with_keys = held.set_column(
        0, "id", pa.array([*train.column("id").to_pylist()[:7], *held.column("id").to_pylist()[7:]])
    )
    assert (found(train, with_keys).shared_keys, found(train, with_keys).same_content) == (7, 0)
    copied = pa.concat_tables([train.slice(0, 9), held.slice(9)])
    copied = copied.set_column(0, "id", held.column("id"))
    assert (found(train, copied).shared_keys, found(train, copied).same_content) == (0, 9)


def test_nulls_are_values_like_any_other_when_contents_are_compared() -> None:
    def missing(left: Any) -> Any:
        return pa.nulls(N, pa.float64())

    train = table(1, age=missing)
    assert found(train, train.set_column(0, "id", pa.array([f"n{i}" for i in range(N)]))).same_content == N


def test_rows_not_later_than_training_are_counted() -> None:
    assert found(table(1), table(2, start=N - 10)).out_of_order == 10


def test_features_declared_as_known_afterwards_are_named() -> None:
    columns = {name: c.model_dump() for name, c in a_spec().data.columns.items()}
    columns["calls"]["known"] = "after"
    assert found(table(1), table(2, start=N), a_spec(data={"columns": columns})).known_after == ("calls",)


def test_without_the_training_data_nothing_is_claimed() -> None:
    nothing = found(None, table(2))
    assert (nothing.strongest, nothing.shared_keys, nothing.out_of_order) == (None, None, None)
