"""The check of requests and pandera's schema are of one mind about every row."""

from __future__ import annotations

import json
import random
from typing import Any

import pandas as pd
import pytest
from pandera.errors import SchemaErrors

from bedplate.container.requests import BadRequest, columns_of, features_of, refused_of, rows_of
from bedplate.domain.data.contract_schema import ISO_8601, schema_of
from bedplate.settings import Column, DataContract

CONTRACT = DataContract(
    columns={
        "id": Column(type="string", role="key"),
        "y": Column(type="integer", role="label"),
        "x": Column(type="number", min=-1, max=1),
        "free": Column(type="number", nullable=True),
        "n": Column(type="integer", min=0),
        "m": Column(type="integer", nullable=True, max=10),
        "s": Column(type="string", categories=("a", "b")),
        "t": Column(type="string", nullable=True),
        "b": Column(type="boolean"),
        "w": Column(type="timestamp", nullable=True),
    }
)
JSON = {"data": json.loads(CONTRACT.model_dump_json())}
FEATURES = features_of(JSON)
GOOD = {"x": 0.5, "free": None, "n": 3, "m": 2, "s": "a", "t": "z", "b": True, "w": "2013-01-01T10:00:00Z"}
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 11, 3.0, 2.5, -0.5, 1.0000001, 1e300, 2**53 + 1),
    *("a", "b", "c", "", "1", "nan", "2013-01-01", "2013-01-01 10:15", "2013-01-01T10:15:00.5+01:00", "then"),
)


def by_request(row: dict[str, Any]) -> bool:
    try:
        columns_of(rows_of(json.dumps(row).encode(), "application/json"), FEATURES)
    except BadRequest:
        return False
    return True


def by_pandera(row: dict[str, Any]) -> bool:
    features = {name: CONTRACT.columns[name] for name in CONTRACT.features}
    frame = pd.DataFrame({name: pd.Series([row[name]], dtype=object) for name in features})
    try:
        schema_of(features.items()).validate(frame, lazy=True)
    except SchemaErrors:
        return False
    return True


def test_the_good_row_is_good() -> None:
    assert by_request(GOOD)
    assert by_pandera(GOOD)


@pytest.mark.parametrize("column", [f.name for f in FEATURES])
def test_both_say_the_same_of_every_value_in_every_column(column: str) -> None:
    verdicts = {repr(v): (by_request({**GOOD, column: v}), by_pandera({**GOOD, column: v})) for v in VALUES}
    assert {value: both for value, both in verdicts.items() if both[0] != both[1]} == {}
    assert {both[0] for both in verdicts.values()} == {True, False}


def test_both_say_the_same_of_random_rows() -> None:
    rng = random.Random(5)
    rows = []
    for _ in range(60):
        changed = rng.sample(list(GOOD), rng.randint(0, 2))
        rows.append({**GOOD, **{name: rng.choice(VALUES) for name in changed}})
    assert [by_request(row) for row in rows] == [by_pandera(row) for row in rows]


def test_both_know_the_same_times() -> None:
    from bedplate.container import requests

    assert requests._TIME.pattern == ISO_8601


def test_a_fault_is_told_with_column_row_rule_and_value() -> None:
    with pytest.raises(BadRequest) as bad:
        columns_of([GOOD, {**GOOD, "x": 2.0}], FEATURES)
    assert (bad.value.column, bad.value.row) == ("x", 2)
    assert bad.value.message == "column 'x' must be at most 1, found 2.0"
    with pytest.raises(BadRequest, match="must be one of a, b, found 'c'"):
        columns_of([{**GOOD, "s": "c"}], FEATURES)


def test_requests_held_to_types_alone_may_break_ranges_and_categories() -> None:
    lenient = features_of({"data": {**JSON["data"], "requests": "types"}})
    assert columns_of([{**GOOD, "x": 2.0, "s": "c", "w": "then"}], lenient)["x"] == [2.0]
    with pytest.raises(BadRequest):
        columns_of([{**GOOD, "x": "2"}], lenient)


def test_a_column_that_must_not_be_used_for_inference_is_refused_or_not_looked_at() -> None:
    note = {"type": "string", "role": "context", "purposes": ["debugging"]}
    data = {**JSON["data"], "columns": {**JSON["data"]["columns"], "note": note}}
    with pytest.raises(BadRequest, match="column 'note' must not be used for inference") as bad:
        columns_of([GOOD, {**GOOD, "note": "x"}], FEATURES, refused=refused_of({"data": data}))
    assert bad.value.row == 2
    dropped = refused_of({"data": {**data, "forbidden": "drop"}})
    assert "note" not in columns_of([{**GOOD, "note": "x"}], FEATURES, refused=dropped)


def test_numbers_too_large_to_hold_are_refused() -> None:
    for value in (2**63, -(2**63) - 1, 1e19):
        with pytest.raises(BadRequest, match="whole number"):
            columns_of([{**GOOD, "n": value}], FEATURES)
