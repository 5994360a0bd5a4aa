"""Every way in which a table can break its contract is found, counted and placed."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from bedplate.domain.contract import Problem, check_table
from bedplate.settings import Column, DataContract


def contract(**columns: Column) -> DataContract:
    fixed = {"id": Column(type="integer", role="key"), "y": Column(type="integer", role="label")}
    return DataContract(columns={**fixed, "x": Column(type="number"), **columns})


def problems(spec: DataContract, **columns) -> tuple[Problem, ...]:
    rows = len(next(iter(columns.values())))
    whole = {"id": list(range(rows)), "y": [0] * rows, "x": [1.0] * rows, **columns}
    return check_table(pa.table(whole), spec)


def test_table_that_fits_has_no_problem():
    assert problems(contract(), x=[1, 2, 3]) == ()


def test_columns_of_which_the_contract_knows_nothing_are_allowed():
    assert problems(contract(), other=["a"]) == ()


def test_missing_column_is_named():
    assert check_table(pa.table({"id": [1], "x": [1.0]}), contract()) == (Problem("y", "column is missing"),)


def test_nulls_are_counted_with_the_first_rows():
    (found,) = problems(contract(), x=[None, 1.0, None, None, None])
    assert found == Problem("x", "null, but not nullable", 4, (0, 2, 3))
    assert str(found) == "x: null, but not nullable in 4 rows (rows 0, 2, 3, ...)"
    assert problems(contract(x=Column(type="number", nullable=True)), x=[None, 1.0]) == ()


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("number", [1.5], ["a"]),
        ("number", [1], [True]),
        ("integer", [1.0], ["1"]),
        ("string", ["a"], [1]),
        ("boolean", [True], [1]),
        ("timestamp", [dt.datetime(2013, 1, 1)], [1]),
        ("timestamp", ["2013-01-01T10:15:00Z"], [1.5]),
    ],
)
def test_type_decides(kind, good, bad):
    spec = contract(x=Column(type=kind))
    assert problems(spec, x=good) == ()
    (found,) = problems(spec, x=bad)
    assert "expected, found" in found.what


def test_fractions_are_no_integers():
    assert problems(contract(x=Column(type="integer")), x=[1.0, 1.5]) == (Problem("x", "no whole number", 1, (1,)),)


def test_nan_and_infinity_are_no_numbers():
    found = problems(contract(), x=[float("nan"), 1.0, float("inf")])
    assert found == (Problem("x", "NaN or infinite", 2, (0, 2)),)


def test_text_that_is_no_time_is_found():
    found = problems(contract(x=Column(type="timestamp")), x=["2013-01-01 10:15", "yesterday"])
    assert found == (Problem("x", "no time in ISO 8601", 1, (1,)),)


def test_bounds_belong_to_the_range():
    spec = contract(x=Column(type="number", min=0, max=10))
    assert problems(spec, x=[0.0, 10.0]) == ()
    assert [p.what for p in problems(spec, x=[-0.1, 10.1])] == ["below the minimum of 0", "above the maximum of 10"]


def test_unknown_categories_are_listed():
    spec = contract(x=Column(type="string", categories=("a", "b"), nullable=True))
    (found,) = problems(spec, x=["a", "z", None, "q"])
    assert found == Problem("x", "no category of the contract ('q', 'z')", 2, (1, 3))


def test_dictionary_encoded_text_is_text():
    spec = contract(x=Column(type="string", categories=("a",)))
    assert problems(spec, x=pa.array(["a", "a"]).dictionary_encode()) == ()


def test_keys_are_unique_together():
    spec = contract(part=Column(type="string", role="key"))
    assert problems(spec, id=[1, 1], part=["a", "b"]) == ()
    assert problems(spec, id=[1, 1, 1], part=["a", "a", "b"]) == (Problem("id, part", "the same key again", 1, (1,)),)


def test_keys_are_never_null():
    spec = contract(id=Column(type="integer", role="key", nullable=True))
    assert problems(spec, id=[1, None])[0].what == "null, but not nullable"


def test_column_of_nulls_fits_any_nullable_type():
    for kind in ("number", "integer", "string", "boolean", "timestamp"):
        assert problems(contract(x=Column(type=kind, nullable=True)), x=pa.nulls(2)) == ()


def test_empty_table_fits():
    assert problems(contract(), x=pa.array([], pa.float64())) == ()
