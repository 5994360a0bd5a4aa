"""Reads a table from a Parquet or CSV file as its contract has it: batch by batch, or whole."""

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
    """A file whose columns are known and whose rows are not read yet. CSV's fields are `text` until they are typed."""

    path: Path
    columns: tuple[str, ...]
    text: bool
    next_step: str

    @classmethod
    def open(cls, path: Path, *, next_step: str) -> DataFile:
        """Raises NotFound for a missing file, UsageError for one of another kind or that cannot be read."""
        if not path.is_file():
            raise NotFound(f"There is no file {path}", next_step=next_step)
        if path.suffix not in (*PARQUET, *CSV):
            raise UsageError(f"{path}: a .parquet or .csv file expected", next_step=next_step)
        text = path.suffix in CSV
        return cls(path, _columns(path, text, next_step), text, next_step)

    def batches(self, contract: DataContract) -> Iterator[pa.RecordBatch]:
        """The contract's columns; memory does not grow with the rows. Raises UsageError."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        known = [name for name in self.columns if name in contract.columns]
        try:
            if self.text:
                yield from _csv(self.path, self.columns, known)
                return
            with pq.ParquetFile(self.path) as file:
                yield from file.iter_batches(BATCH_ROWS, columns=known)
        except (pa.ArrowException, OSError) as exc:
            raise _unreadable(self.path, exc, self.next_step) from exc

    def table(self, contract: DataContract) -> pa.Table:
        """The contract's columns of all rows, CSV's in the types of the contract. For data that fits it."""
        import pyarrow as pa

        batches = list(self.batches(contract))
        if not batches:
            known = [name for name in self.columns if name in contract.columns]
            return pa.table({name: pa.nulls(0) for name in known})
        table = pa.Table.from_batches(batches)
        if not self.text:
            return table
        columns = {name: typed(table.column(name), contract.columns[name]) for name in table.column_names}
        return pa.table(columns)


def file_sha256(path: Path) -> str:
    """Of the bytes, whatever they are."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def typed(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    """Text as the contract's type; text again where it cannot be (times of mixed forms)."""
    import pyarrow as pa

    wanted = {
        "number": (pa.float64(),),
        "integer": (pa.int64(), pa.float64()),
        "boolean": (pa.bool_(),),
        "timestamp": (pa.timestamp("us"), pa.timestamp("us", "UTC")),
    }.get(column.type, ())
    for kind in wanted:
        try:
            return values.cast(kind)
        except pa.ArrowInvalid:
            continue
    return values


def _columns(path: Path, text: bool, next_step: str) -> tuple[str, ...]:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    try:
        if text:
            with pyarrow.csv.open_csv(path) as reader:
                return tuple(reader.schema.names)
        return tuple(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as exc:
        raise _unreadable(path, exc, next_step) from exc


def _csv(path: Path, columns: tuple[str, ...], known: list[str]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.csv

    options = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()),
        include_columns=known,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    with pyarrow.csv.open_csv(path, convert_options=options) as reader:
        yield from reader


def _unreadable(path: Path, exc: Exception, next_step: str) -> UsageError:
    return UsageError(f"{path} cannot be read: {exc}", next_step=next_step)
