"""The checks of requests and the pandera schema accept the same rows."""

from __future__ import annotations

import json
import random
from typing import Any

import pandas as pd
import pytest
from pandera.errors import SchemaErrors

from bedplate.container.requests import BadRequest, excluded_columns, extract_columns, parse_rows, read_features
from bedplate.domain.data.contract_schema import ISO_8601, build_schema
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
FEATURES = read_features(JSON)
GOOD = {"x": 0.5, "free": None, "n": 3, "m": 2, "s": "a", "t": "z", "b": True, "w": "2013-01-01T10:00:00Z"}
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 11, 3.0, 2.5, -0.5, 1.0000001, 1e300, 2**53 + 1),
    *("a", "b", "c", "", "1", "nan", "2013-01-01", "2013-01-01 10:15", "2013-01-01T10:15:00.5+01:00", "then"),
)


def is_accepted(row: dict[str, Any]) -> bool:
    try:
        extract_columns(parse_rows(json.dumps(row).encode(), "application/json"), FEATURES)
    except BadRequest:
        return False
    return True


def is_valid(row: dict[str, Any]) -> bool:
    features = {name: CONTRACT.columns[name] for name in CONTRACT.features}
    frame = pd.DataFrame({name: pd.Series([row[name]], dtype=object) for name in features})
    try:
        build_schema(features.items()).validate(frame, lazy=True)
    except SchemaErrors:
        return False
    return True


def test_valid_row_is_accepted_by_both() -> None:
    assert is_accepted(GOOD)
    assert is_valid(GOOD)


@pytest.mark.parametrize("column", [f.name for f in FEATURES])
def test_both_agree_on_every_value_in_every_column(column: str) -> None:
    verdicts = {repr(v): (is_accepted({**GOOD, column: v}), is_valid({**GOOD, column: v})) for v in VALUES}
    assert {value: verdict_pair for value, verdict_pair in verdicts.items() if verdict_pair[0] != verdict_pair[1]} == {}
    assert {verdict_pair[0] for verdict_pair in verdicts.values()} == {True, False}


def test_both_agree_on_random_rows() -> None:
    rng = random.Random(5)
    rows = []
    for _ in range(60):
        changed = rng.sample(list(GOOD), rng.randint(0, 2))
        rows.append({**GOOD, **{name: rng.choice(VALUES) for name in changed}})
    assert [is_accepted(row) for row in rows] == [is_valid(row) for row in rows]


def test_both_use_the_same_time_pattern() -> None:
    from bedplate.container import requests

    assert requests._ISO_8601.pattern == ISO_8601


def test_violation_has_column_row_rule_and_value() -> None:
    with pytest.raises(BadRequest) as bad:
        extract_columns([GOOD, {**GOOD, "x": 2.0}], FEATURES)
    assert (bad.value.column, bad.value.row) == ("x", 2)
    assert bad.value.message == "column 'x' must be at most 1, found 2.0"
    with pytest.raises(BadRequest, match="must be one of a, b, found 'c'"):
        extract_columns([{**GOOD, "s": "c"}], FEATURES)


def test_types_only_checks_accept_other_ranges_and_categories() -> None:
    lenient = read_features({"data": {**JSON["data"], "request_checks": "types"}})
    assert extract_columns([{**GOOD, "x": 2.0, "s": "c", "w": "then"}], lenient)["x"] == [2.0]
    with pytest.raises(BadRequest):
        extract_columns([{**GOOD, "x": "2"}], lenient)


def test_column_without_inference_purpose_is_rejected_or_dropped() -> None:
    note = {"type": "string", "role": "context", "purposes": ["debugging"]}
    data = {**JSON["data"], "columns": {**JSON["data"]["columns"], "note": note}}
    with pytest.raises(BadRequest, match="column 'note' must not be used for inference") as bad:
        extract_columns([GOOD, {**GOOD, "note": "x"}], FEATURES, excluded=excluded_columns({"data": data}))
    assert bad.value.row == 2
    dropped = excluded_columns({"data": {**data, "excluded_from_requests": "drop"}})
    assert "note" not in extract_columns([{**GOOD, "note": "x"}], FEATURES, excluded=dropped)


def test_integers_beyond_int64_are_rejected() -> None:
    for value in (2**63, -(2**63) - 1, 1e19):
        with pytest.raises(BadRequest, match="whole number"):
            extract_columns([{**GOOD, "n": value}], FEATURES)
