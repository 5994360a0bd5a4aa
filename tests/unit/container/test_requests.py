"""Requests that break the contract are refused with the row and the column; all others become columns."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bedplate.container.frames import frame_of
from bedplate.container.requests import BadRequest, Feature, columns_of, content_type_of, features_of, rows_of

FEATURES = (
    Feature("x", "number", nullable=True),
    Feature("n", "integer", nullable=False),
    Feature("s", "string", nullable=False),
    Feature("b", "boolean", nullable=False),
)
ROW = {"x": 1.5, "n": 2, "s": "a", "b": True}


def lines(*rows: object) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def refused(body: bytes, content_type: str = "application/jsonlines") -> BadRequest:
    with pytest.raises(BadRequest) as found:
        columns_of(rows_of(body, content_type), FEATURES, text=content_type == "text/csv")
    return found.value


def test_three_formats_of_the_same_rows_give_the_same_columns():
    expected = columns_of(rows_of(lines(ROW, ROW), "application/jsonlines"), FEATURES)
    assert columns_of(rows_of(json.dumps([ROW, ROW]).encode(), "application/json"), FEATURES) == expected
    csv = b"x,n,s,b\n1.5,2,a,true\n1.5,2,a,true\n"
    assert columns_of(rows_of(csv, "text/csv"), FEATURES, text=True) == expected


def test_one_object_is_one_row():
    assert rows_of(json.dumps(ROW).encode(), "application/json") == [ROW]


def test_missing_column_is_named_with_its_row():
    bad = refused(lines(ROW, {k: v for k, v in ROW.items() if k != "n"}))
    assert (bad.column, bad.row) == ("n", 2)
    assert bad.to_json() == {"error": "column 'n' is missing", "column": "n", "row": 2}


@pytest.mark.parametrize(
    ("column", "value"),
    [("x", "1"), ("x", True), ("n", 1.5), ("n", "1"), ("n", False), ("s", 1), ("b", 1), ("b", "true")],
)
def test_wrong_type_is_refused(column, value):
    bad = refused(lines({**ROW, column: value}))
    assert (bad.column, bad.row) == (column, 1)


def test_whole_floats_are_integers_and_integers_are_numbers():
    found = columns_of([{**ROW, "x": 3, "n": 2.0}], FEATURES)
    assert (found["x"], found["n"]) == ([3.0], [2])


def test_null_is_taken_only_where_the_contract_allows_it():
    assert columns_of([{**ROW, "x": None}], FEATURES)["x"] == [None]
    assert "must not be null" in refused(lines({**ROW, "s": None})).message


@pytest.mark.parametrize("body", [b"", b"\n\n", b"[]"])
def test_no_row_is_refused(body):
    assert "no row" in refused(body, "application/json" if body == b"[]" else "application/jsonlines").message


@pytest.mark.parametrize("body", [b"{", b"1", b'"a"', b"[1]", b'{"x": NaN}'])
def test_what_is_no_json_object_is_refused(body):
    assert refused(body).row == 1


@pytest.mark.parametrize("body", [b"x,n,s,b\n1,2,a\n", b"x,n,s,b\nnan,2,a,true\n", b"x,n,s,b\n1,2.5,a,true\n", b"\xff"])
def test_broken_csv_is_refused(body):
    refused(body, "text/csv")


def test_empty_csv_field_is_null():
    assert columns_of(rows_of(b"x,n,s,b\n,2,a,0\n", "text/csv"), FEATURES, text=True)["x"] == [None]


def test_unknown_content_type_is_refused_with_those_that_are_read():
    with pytest.raises(BadRequest, match="text/csv"):
        content_type_of("text/plain")
    assert content_type_of("") == "application/jsonlines"


def test_other_keys_of_a_row_are_left_out():
    assert set(columns_of([{**ROW, "id": "k"}], FEATURES)) == {"x", "n", "s", "b"}


def test_keys_time_and_label_are_no_features():
    columns = {
        "id": {"type": "string", "role": "key"},
        "at": {"type": "timestamp", "role": "time"},
        "y": {"type": "integer", "role": "label"},
        "shop": {"type": "string", "role": "segment"},
        "x": {"type": "number", "nullable": True},
    }
    assert [f.name for f in features_of({"data": {"columns": columns}})] == ["shop", "x"]


def test_frame_has_the_contracts_order_and_types():
    frame = frame_of(columns_of([{**ROW, "x": None}, ROW], FEATURES), FEATURES)
    assert list(frame.columns) == ["x", "n", "s", "b"]
    assert [str(kind) for kind in frame.dtypes] == ["float64", "int64", "str", "bool"]
    assert np.isnan(frame["x"][0])
