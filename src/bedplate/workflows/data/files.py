"""Reads a Parquet or CSV file by its data contract, in batches or as one table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.domain.data.contract import BATCH_ROWS
from bedplate.errors import NotFound, UsageError
from bedplate.settings import Column, DataContract

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET, CSV = (".parquet", ".pq"), (".csv",)


@dataclass(frozen=True, slots=True)
class DataFile:
    """An opened file: its columns, no rows yet. With `is_text` (CSV) every field is a string until it is cast."""

    path: Path
    columns: tuple[str, ...]
    is_text: bool
    next_step: str

    @classmethod
    def open(cls, path: Path, *, next_step: str) -> DataFile:
        """Reads the columns of a file. Raises NotFound if it is missing, UsageError if it cannot be read."""
        if not path.is_file():
            raise NotFound(f"{path} does not exist", next_step=next_step)
        if path.suffix not in (*PARQUET, *CSV):
            raise UsageError(f"{path}: expected a .parquet or .csv file", next_step=next_step)
        is_text = path.suffix in CSV
        return cls(path, _read_columns(path, is_text, next_step), is_text, next_step)

    def batches(self, contract: DataContract) -> Iterator[pa.RecordBatch]:
        """Yields the contract's columns in batches, in memory that does not grow with the rows. Raises UsageError."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        declared = [name for name in self.columns if name in contract.columns]
        try:
            if self.is_text:
                yield from _csv_batches(self.path, self.columns, declared)
                return
            with pq.ParquetFile(self.path) as file:
                yield from file.iter_batches(BATCH_ROWS, columns=declared)
        except (pa.ArrowException, OSError) as exc:
            raise _read_error(self.path, exc, self.next_step) from exc

    def table(self, contract: DataContract) -> pa.Table:
        """Returns the contract's columns of all rows, cast to its types. For data that passed the check."""
        import pyarrow as pa

        batches = list(self.batches(contract))
        if not batches:
            declared = [name for name in self.columns if name in contract.columns]
            return pa.table({name: pa.nulls(0) for name in declared})
        table = pa.Table.from_batches(batches)
        if not self.is_text:
            return table
        columns = {name: cast_text(table.column(name), contract.columns[name]) for name in table.column_names}
        return pa.table(columns)


def file_sha256(path: Path) -> str:
    """Returns the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cast_text(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    """Casts text to the contract's type; returns it unchanged where that fails (timestamps in several formats)."""
    import pyarrow as pa

    candidates = {
        "number": (pa.float64(),),
        "integer": (pa.int64(), pa.float64()),
        "boolean": (pa.bool_(),),
        "timestamp": (pa.timestamp("us"), pa.timestamp("us", "UTC")),
    }.get(column.type, ())
    for arrow_type in candidates:
        try:
            return values.cast(arrow_type)
        except pa.ArrowInvalid:
            continue
    return values


def is_profiled(column: Column) -> bool:
    """Returns whether a column has a profile: every column but keys and timestamps."""
    return column.role not in ("key", "time") and column.type != "timestamp"


def _read_columns(path: Path, is_text: bool, next_step: str) -> tuple[str, ...]:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    try:
        if is_text:
            with pyarrow.csv.open_csv(path) as reader:
                return tuple(reader.schema.names)
        return tuple(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as exc:
        raise _read_error(path, exc, next_step) from exc


def _csv_batches(path: Path, columns: tuple[str, ...], included: list[str]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.csv

    options = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()),
        include_columns=included,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    with pyarrow.csv.open_csv(path, convert_options=options) as reader:
        yield from reader


def _read_error(path: Path, exc: Exception, next_step: str) -> UsageError:
    return UsageError(f"{path} cannot be read: {exc}", next_step=next_step)
