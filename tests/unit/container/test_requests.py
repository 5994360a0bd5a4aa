"""Requests that violate the contract are rejected with row and column; all others become columns."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bedplate.container.frames import build_frame
from bedplate.container.requests import (
    BadRequest,
    Feature,
    extract_columns,
    parse_content_type,
    parse_rows,
    read_features,
)

FEATURES = (
    Feature("x", "number", nullable=True),
    Feature("n", "integer", nullable=False),
    Feature("s", "string", nullable=False),
    Feature("b", "boolean", nullable=False),
)
ROW = {"x": 1.5, "n": 2, "s": "a", "b": True}


def lines(*rows: object) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def rejection(body: bytes, content_type: str = "application/jsonlines") -> BadRequest:
    with pytest.raises(BadRequest) as raised:
        extract_columns(parse_rows(body, content_type), FEATURES, is_text=content_type == "text/csv")
    return raised.value


def test_three_formats_of_the_same_rows_give_the_same_columns():
    expected = extract_columns(parse_rows(lines(ROW, ROW), "application/jsonlines"), FEATURES)
    assert extract_columns(parse_rows(json.dumps([ROW, ROW]).encode(), "application/json"), FEATURES) == expected
    csv = b"x,n,s,b\n1.5,2,a,true\n1.5,2,a,true\n"
    assert extract_columns(parse_rows(csv, "text/csv"), FEATURES, is_text=True) == expected


def test_one_object_is_one_row():
    assert parse_rows(json.dumps(ROW).encode(), "application/json") == [ROW]


def test_missing_column_is_named_with_its_row():
    error = rejection(lines(ROW, {k: v for k, v in ROW.items() if k != "n"}))
    assert (error.column, error.row) == ("n", 2)
    assert error.to_json() == {"error": "column 'n' is missing", "column": "n", "row": 2}


@pytest.mark.parametrize(
    ("column", "value"),
    [("x", "1"), ("x", True), ("n", 1.5), ("n", "1"), ("n", False), ("s", 1), ("b", 1), ("b", "true")],
)
def test_wrong_type_is_rejected(column, value):
    error = rejection(lines({**ROW, column: value}))
    assert (error.column, error.row) == (column, 1)


def test_whole_floats_are_integers_and_integers_are_numbers():
    columns = extract_columns([{**ROW, "x": 3, "n": 2.0}], FEATURES)
    assert (columns["x"], columns["n"]) == ([3.0], [2])


def test_null_is_accepted_only_in_nullable_columns():
    assert extract_columns([{**ROW, "x": None}], FEATURES)["x"] == [None]
    assert "must not be null" in rejection(lines({**ROW, "s": None})).message


@pytest.mark.parametrize("body", [b"", b"\n\n", b"[]"])
def test_request_without_rows_is_rejected(body):
    assert "no row" in rejection(body, "application/json" if body == b"[]" else "application/jsonlines").message


@pytest.mark.parametrize("body", [b"{", b"1", b'"a"', b"[1]", b'{"x": NaN}'])
def test_values_other_than_json_objects_are_rejected(body):
    assert rejection(body).row == 1


@pytest.mark.parametrize("body", [b"x,n,s,b\n1,2,a\n", b"x,n,s,b\nnan,2,a,true\n", b"x,n,s,b\n1,2.5,a,true\n", b"\xff"])
def test_invalid_csv_is_rejected(body):
    rejection(body, "text/csv")


def test_empty_csv_field_is_null():
    assert extract_columns(parse_rows(b"x,n,s,b\n,2,a,0\n", "text/csv"), FEATURES, is_text=True)["x"] == [None]


def test_unknown_content_type_is_rejected_and_supported_ones_are_named():
    with pytest.raises(BadRequest, match="text/csv"):
        parse_content_type("text/plain")
    assert parse_content_type("") == "application/jsonlines"


def test_other_keys_of_a_row_are_dropped():
    assert set(extract_columns([{**ROW, "id": "k"}], FEATURES)) == {"x", "n", "s", "b"}


def test_keys_time_and_label_are_not_features():
    columns = {
        "id": {"type": "string", "role": "key"},
        "at": {"type": "timestamp", "role": "time"},
        "y": {"type": "integer", "role": "label"},
        "shop": {"type": "string", "role": "segment"},
        "x": {"type": "number", "nullable": True},
    }
    assert [f.name for f in read_features({"data": {"columns": columns}})] == ["shop", "x"]


def test_frame_has_the_contracts_order_and_types():
    frame = build_frame(extract_columns([{**ROW, "x": None}, ROW], FEATURES), FEATURES)
    assert list(frame.columns) == ["x", "n", "s", "b"]
    assert [str(kind) for kind in frame.dtypes] == ["float64", "int64", "str", "bool"]
    assert np.isnan(frame["x"][0])
