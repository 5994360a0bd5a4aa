"""Splits a table, in order of time, into training data and holdout."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bedplate.domain.ledger import sha256
from bedplate.errors import NotEnoughData
from bedplate.settings import DataContract

if TYPE_CHECKING:
    import pyarrow as pa

MIN_ROWS = 50
"""Fewest rows of each part."""


@dataclass(frozen=True, slots=True)
class Split:
    """Both parts as Parquet bytes. `data_sha256` is the hash of both; times are None without a time column.

    `first` and `last` are the times of the first and the last row.
    """

    train: bytes
    holdout: bytes
    data_sha256: str
    train_rows: int
    holdout_rows: int
    first: datetime | None
    cut: datetime | None
    """Time of the holdout's first row; every training row is earlier."""
    last: datetime | None
    dropped_columns: tuple[str, ...]
    """Columns of the table that the contract does not know: in neither part."""


def split_dataset(table: pa.Table, contract: DataContract, holdout_fraction: float) -> Split:
    """Splits off the last `holdout_fraction` of the rows, in order of the time column and then of the keys.

    Rows with the same time are not separated: the cut moves back to the first of them, unless that would leave no
    training rows. Without a time column the order of the rows is used. Raises NotEnoughData when a part has fewer than
    `MIN_ROWS` rows.
    """
    columns = [name for name in contract.columns if name in table.column_names]
    ordered = table.select(columns)
    if contract.time:
        ordered = ordered.sort_by([(name, "ascending") for name in (contract.time, *contract.keys)])
    cut = _cut_index(ordered, contract.time, holdout_fraction)
    rows = ordered.num_rows
    if cut < MIN_ROWS or rows - cut < MIN_ROWS:
        raise NotEnoughData(
            f"{rows} rows give {cut} for training and {rows - cut} for the holdout; each needs at least {MIN_ROWS}",
            next_step="bedplate train <model> --data <more rows>",
        )
    train, holdout = to_parquet(ordered.slice(0, cut)), to_parquet(ordered.slice(cut))
    return Split(
        train=train,
        holdout=holdout,
        data_sha256=sha256(f"{sha256(train)}{sha256(holdout)}".encode()),
        train_rows=cut,
        holdout_rows=rows - cut,
        first=_time_of_row(ordered, contract.time, 0),
        cut=_time_of_row(ordered, contract.time, cut),
        last=_time_of_row(ordered, contract.time, rows - 1),
        dropped_columns=tuple(name for name in table.column_names if name not in contract.columns),
    )


def to_parquet(table: pa.Table) -> bytes:
    """Returns the table as Parquet; the same table gives the same bytes with the same version of Arrow.

    Therefore there is no pandas metadata, and all settings are fixed.
    """
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    plain = table.replace_schema_metadata(None).combine_chunks()
    pq.write_table(plain, buffer, compression="zstd", row_group_size=65536)
    return buffer.getvalue()


def _cut_index(ordered: pa.Table, time: str | None, holdout_fraction: float) -> int:
    rows = int(ordered.num_rows)
    cut = rows - round(rows * holdout_fraction)
    if time is None or not 0 < cut < rows:
        return cut
    import numpy as np

    times = ordered.column(time).to_numpy()
    return int(np.searchsorted(times, times[cut], side="left")) or cut


def _time_of_row(ordered: pa.Table, time: str | None, row: int) -> datetime | None:
    if time is None:
        return None
    value = ordered.column(time)[row].as_py()
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
