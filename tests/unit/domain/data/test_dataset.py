"""A table is split into training data and holdout, reproducibly."""

from __future__ import annotations

import io
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedplate.domain.data.dataset import MIN_ROWS, split_dataset
from bedplate.errors import NotEnoughData
from builders import a_spec

START = datetime(2013, 1, 1)
CONTRACT = a_spec().data


def rows(count: int = 500, *, hours: int = 1, **extra: list[object]) -> pa.Table:
    """Newest first, so that order is the split's doing."""
    backwards = range(count - 1, -1, -1)
    return pa.table(
        {
            "id": [f"c{i:05d}" for i in backwards],
            "at": [START + timedelta(hours=i // hours) for i in backwards],
            "left": [i % 2 for i in backwards],
            "age": [float(i) for i in backwards],
            "calls": [i % 7 for i in backwards],
            "plan": ["pro" if i % 3 else "basic" for i in backwards],
            **extra,
        }
    )


def read(part: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(part))


def test_the_holdout_is_the_last_part_in_order_of_time() -> None:
    parts = split_dataset(rows(500), CONTRACT, 0.2)
    train, holdout = read(parts.train), read(parts.holdout)
    assert (train.num_rows, holdout.num_rows) == (400, 100)
    assert max(train["at"].to_pylist()) < min(holdout["at"].to_pylist())
    assert (parts.first, parts.cut, parts.last) == (START, START + timedelta(hours=400), START + timedelta(hours=499))


@pytest.mark.parametrize(("fraction", "holdout_rows"), [(0.1, 50), (0.5, 250)])
def test_the_fraction_sets_the_size_of_the_holdout(fraction: float, holdout_rows: int) -> None:
    assert split_dataset(rows(500), CONTRACT, fraction).holdout_rows == holdout_rows


def test_rows_with_the_same_time_are_not_separated() -> None:
    parts = split_dataset(rows(500, hours=60), CONTRACT, 0.2)
    assert parts.holdout_rows == 140
    assert not set(read(parts.train)["at"].to_pylist()) & set(read(parts.holdout)["at"].to_pylist())


def test_the_same_rows_in_another_order_give_the_same_bytes() -> None:
    table = rows(300)
    shuffled = table.take(pa.array([(i * 7) % 300 for i in range(300)]))
    assert split_dataset(table, CONTRACT, 0.2) == split_dataset(shuffled, CONTRACT, 0.2)


def test_another_fraction_has_another_hash() -> None:
    assert split_dataset(rows(300), CONTRACT, 0.2).data_sha256 != split_dataset(rows(300), CONTRACT, 0.3).data_sha256


def test_columns_that_are_not_in_the_contract_are_dropped() -> None:
    parts = split_dataset(rows(300, arr_delay=[1] * 300), CONTRACT, 0.2)
    assert parts.dropped_columns == ("arr_delay",)
    assert "arr_delay" not in read(parts.train).column_names
    assert parts.data_sha256 == split_dataset(rows(300), CONTRACT, 0.2).data_sha256


def test_too_few_rows_are_an_error() -> None:
    with pytest.raises(NotEnoughData):
        split_dataset(rows(MIN_ROWS * 5 - 10), CONTRACT, 0.2)
    with pytest.raises(NotEnoughData):
        split_dataset(rows(0), CONTRACT, 0.2)


def test_without_a_time_column_the_order_of_the_rows_is_used() -> None:
    columns = {n: c for n, c in a_spec().model_dump()["data"]["columns"].items() if c["role"] != "time"}
    contract = a_spec(data={"columns": columns}).data
    parts = split_dataset(rows(300), contract, 0.2)
    assert read(parts.holdout)["id"][0].as_py() == "c00059"
    assert parts.cut is None


def test_times_as_text_and_as_dates_are_times() -> None:
    table = rows(300, hours=3)
    text = table.set_column(1, "at", table["at"].cast(pa.string()))
    dates = table.set_column(1, "at", table["at"].cast(pa.date32()))
    assert split_dataset(text, CONTRACT, 0.2).cut == split_dataset(table, CONTRACT, 0.2).cut
    assert split_dataset(dates, CONTRACT, 0.2).first == START
