"""Every way in which a table can break its contract is found, counted and placed."""

from __future__ import annotations

import datetime as dt
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from bedplate.domain.data.contract import Example, RuleResult, TableCheck, failed_rules
from bedplate.domain.drift.profiling import build_reference
from bedplate.settings import Column, DataContract
from builders import check_table


def contract(*, rules: dict | None = None, **columns: Column) -> DataContract:
    fixed = {"id": Column(type="integer", role="key"), "y": Column(type="integer", role="label")}
    return DataContract(columns={**fixed, "x": Column(type="number"), **columns}, **(rules or {}))


def table(**columns) -> pa.Table:
    rows = len(next(iter(columns.values())))
    return pa.table({"id": list(range(rows)), "y": [0] * rows, "x": [1.0] * rows, **columns})


def failures(spec: DataContract, **columns) -> tuple[RuleResult, ...]:
    return failed_rules(check_table(table(**columns), spec))


def format_result(result: RuleResult) -> tuple[str, str, int, list[tuple[int | None, str]]]:
    return result.column, result.rule, result.count, [(e.row, e.value) for e in result.examples]


def test_valid_table_has_no_violation():
    assert failures(contract(), x=[1, 2, 3]) == ()


def test_columns_that_are_not_in_the_contract_are_allowed():
    assert failures(contract(), other=["a"]) == ()


def test_missing_column_is_named():
    (result,) = failed_rules(check_table(pa.table({"id": [1], "x": [1.0]}), contract()))
    assert (result.column, result.rule) == ("y", "present")


def test_nulls_are_counted_with_the_first_rows():
    (result,) = failures(contract(), x=[None, 1.0, None, None, None])
    assert format_result(result) == ("x", "nulls", 4, [(0, "null"), (2, "null"), (3, "null")])
    assert str(result) == "x: nulls, expected none in 4 rows (row 0: null; row 2: null; row 3: null; ...)"
    assert failures(contract(x=Column(type="number", nullable=True)), x=[None, 1.0]) == ()


def test_nulls_up_to_their_share_are_allowed():
    spec = contract(x=Column(type="number", nullable=True, max_null_pct=50))
    assert failures(spec, x=[None, 1.0]) == ()
    (result,) = failures(spec, x=[None, 1.0, None])
    assert format_result(result) == ("x", "nulls", 2, [(0, "null"), (2, "null")])


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("number", [1.5], ["a"]),
        ("number", [1], [True]),
        ("integer", [1.0], ["1"]),
        ("string", ["a"], [1]),
        ("boolean", [True], [1]),
        ("timestamp", [dt.datetime(2013, 1, 1)], [1]),
        ("timestamp", [dt.date(2013, 1, 1)], [True]),
        ("timestamp", ["2013-01-01T10:15:00Z"], [1.5]),
    ],
)
def test_value_of_another_type_is_a_violation(kind, good, bad):
    spec = contract(x=Column(type=kind))
    assert failures(spec, x=good) == ()
    (result,) = failures(spec, x=bad)
    assert (result.rule, result.count) == ("type", 1)


def test_a_value_of_another_type_does_not_also_count_as_out_of_range():
    spec = contract(x=Column(type="number", min=0, max=1))
    assert [r.rule for r in failures(spec, x=["a", "b"])] == ["type"]


def test_fractions_are_not_integers():
    (result,) = failures(contract(x=Column(type="integer")), x=[1.0, 1.5])
    assert format_result(result) == ("x", "type", 1, [(1, "1.5")])


def test_infinity_is_not_a_number_and_nan_is_null():
    result = failures(contract(), x=[float("nan"), 1.0, float("inf")])
    assert [format_result(r) for r in result] == [("x", "nulls", 1, [(0, "null")]), ("x", "type", 1, [(2, "inf")])]


def test_text_that_is_not_a_time_is_a_violation():
    (result,) = failures(contract(x=Column(type="timestamp")), x=["2013-01-01 10:15", "yesterday"])
    assert format_result(result) == ("x", "type", 1, [(1, "'yesterday'")])


def test_bounds_are_inclusive():
    spec = contract(x=Column(type="number", min=0, max=10))
    assert failures(spec, x=[0.0, 10.0]) == ()
    (result,) = failures(spec, x=[-0.1, 5, 10.1])
    assert format_result(result) == ("x", "range", 2, [(0, "-0.1"), (2, "10.1")])


def test_unknown_categories_are_listed():
    spec = contract(x=Column(type="string", categories=("a", "b"), nullable=True))
    (result,) = failures(spec, x=["a", "z", None, "q"])
    assert format_result(result) == ("x", "categories", 2, [(1, "'z'"), (3, "'q'")])


def test_dictionary_encoded_text_is_text():
    spec = contract(x=Column(type="string", categories=("a",)))
    assert failures(spec, x=pa.array(["a", "a"]).dictionary_encode()) == ()


def test_key_columns_are_unique_in_combination():
    spec = contract(part=Column(type="string", role="key"))
    assert failures(spec, id=[1, 1], part=["a", "b"]) == ()
    (result,) = failures(spec, id=[1, 1, 1], part=["a", "a", "b"])
    assert format_result(result) == ("id, part", "unique", 1, [(1, "same as row 0")])


def test_further_sets_of_columns_are_unique_when_the_contract_says_so():
    (result,) = failures(contract(rules={"unique": [["x"]]}), x=[1.0, 2.0, 1.0])
    assert format_result(result) == ("x", "unique", 1, [(2, "same as row 0")])


def test_keys_are_never_null():
    spec = contract(id=Column(type="integer", role="key", nullable=True))
    assert failures(spec, id=[1, None])[0].rule == "nulls"


def test_column_of_nulls_fits_any_nullable_type():
    for kind in ("number", "integer", "string", "boolean", "timestamp"):
        results = check_table(table(x=pa.nulls(2)), contract(x=Column(type=kind, nullable=True)))
        assert failed_rules(results) == ()
        assert next(r.outcome for r in results if (r.column, r.rule) == ("x", "type")) == "NO_DATA"


def test_an_empty_table_gives_no_data():
    results = check_table(table(x=pa.array([], pa.float64())), contract())
    assert {r.outcome for r in results} == {"NO_DATA"}


def test_batches_give_the_same_results_as_the_whole_table():
    rng = np.random.default_rng(1)
    whole = table(x=np.where(rng.random(1000) < 0.01, 5.0, 0.5), id=rng.integers(0, 900, 1000))
    spec = contract(x=Column(type="number", max=1))
    parts = TableCheck(spec, whole.column_names)
    for start in range(0, 1000, 70):
        parts.add(whole.slice(start, 70).combine_chunks().to_batches()[0])
    assert parts.results() == check_table(whole, spec)
    assert {r.rule for r in failed_rules(parts.results())} == {"range", "unique"}


def test_a_null_in_another_batch_does_not_hide_a_duplicate():
    spec = contract(b=Column(type="integer", nullable=True), rules={"unique": [["b"]]})
    check = TableCheck(spec, ["id", "y", "x", "b"])
    for part in ([7, 8], [None, 7]):
        ids = [check.rows, check.rows + 1]
        check.add(pa.record_batch({"id": ids, "y": [0, 0], "x": [1.0, 1.0], "b": pa.array(part, pa.int64())}))
    (result,) = failed_rules(check.results())
    assert format_result(result) == ("b", "unique", 1, [(3, "same as row 0")])


@pytest.mark.parametrize(
    "times", [[datetime(2013, 6, 1), datetime(2013, 6, 29)], ["2013-06-01", "2013-06-29T00:00:00Z"]]
)
def test_freshness_is_the_age_of_the_newest_row(times):
    spec = contract(at=Column(type="timestamp", role="time"), rules={"freshness_days": 2})
    data = table(at=times)
    (late,) = failed_rules(check_table(data, spec, now=datetime(2013, 7, 2, tzinfo=UTC)))
    assert (late.rule, late.examples) == ("freshness", (Example(None, "newest is 2013-06-29 00:00 UTC"),))
    assert failed_rules(check_table(data, spec, now=datetime(2013, 6, 30, tzinfo=UTC))) == ()
    assert [r.outcome for r in check_table(data, spec) if r.rule == "freshness"] == ["NO_DATA"]


def check_shift(a: int, b: int, **rules) -> RuleResult:
    spec = contract(c=Column(type="string"), rules=rules)
    before = build_reference(pa.table({"c": ["a"] * 500 + ["b"] * 500}), ["c"])
    result = check_table(table(c=["a"] * a + ["b"] * b), spec, previous=before)
    return next(r for r in result if r.rule == "category shift")


def test_a_category_whose_share_changed_too_much_is_reported_with_both_shares():
    assert check_shift(650, 350).outcome == "PASS"
    result = check_shift(750, 250)
    assert result.outcome == "FAIL"
    assert result.examples[0].value == "a: 50.0 % before, 75.0 % now"
    assert check_shift(650, 350, max_category_shift=0.1).outcome == "FAIL"
    assert check_shift(90, 9).outcome == "NO_DATA"


def test_the_shift_limit_of_a_column_overrides_that_of_the_contract():
    spec = contract(c=Column(type="string", max_category_shift=0.5))
    before = build_reference(pa.table({"c": ["a"] * 500 + ["b"] * 500}), ["c"])
    assert failed_rules(check_table(table(c=["a"] * 750 + ["b"] * 250), spec, previous=before)) == ()


def test_without_an_earlier_version_there_is_no_verdict_on_shares():
    (result,) = (r for r in check_table(table(c=["a"] * 200), contract(c=Column(type="string"))) if "shift" in r.rule)
    assert result.outcome == "NO_DATA"


def test_a_column_fails_for_a_purpose_that_it_is_not_allowed_for():
    note = Column(type="string", role="context", purposes=("debugging",))
    data = table(note=["a"])
    (result,) = failed_rules(check_table(data, contract(note=note), purpose="training"))
    assert (result.column, result.rule) == ("note", "purpose")
    assert failed_rules(check_table(data, contract(note=note), purpose="debugging")) == ()
    assert (
        failed_rules(
            check_table(data, contract(note=note, rules={"excluded_from_requests": "drop"}), purpose="training")
        )
        == ()
    )
    assert (
        failed_rules(check_table(table(x=[1.0]), contract(note=note), purpose="training")) == ()
    )  # its absence is no fault
