"""Reads rows from a Parquet or JSON Lines file, ordered by time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from bedplate.errors import NotFound, UsageError

SLICE = 4096


def read_rows(
    path: Path, *, drop: Sequence[str] = (), order_by: str | None = None, limit: int | None = None
) -> tuple[int, Iterator[dict[str, Any]]]:
    """Returns the number of rows, and the rows as JSON objects without the columns in `drop`.

    The rows are ordered by column `order_by` if it exists. Raises NotFound for a missing file, UsageError with the line
    for one that is neither Parquet nor JSON Lines.
    """
    if not path.exists():
        raise NotFound(f"{path} does not exist", next_step=f"ls {path.parent}")
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            return _read_parquet(path, drop, order_by, limit)
    with path.open("rb") as file:
        rows = list(read_json_lines(file, source=str(path)))
    if order_by and all(row.get(order_by) is not None for row in rows):
        rows.sort(key=lambda row: str(row[order_by]))
    rows = rows[:limit]
    return len(rows), ({key: value for key, value in row.items() if key not in drop} for row in rows)


def read_json_lines(stream: BinaryIO, *, source: str) -> Iterator[dict[str, Any]]:
    """Yields the objects of a JSON Lines stream. Raises UsageError with the line that is not an object.

    >>> import io
    >>> list(read_json_lines(io.BytesIO(b'{"a": 1}\\n\\n{"a": 2}\\n'), source="x"))
    [{'a': 1}, {'a': 2}]
    """
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as exc:
            raise UsageError(f"{source}: line {number} is not JSON ({exc}); expected one object per line") from exc
        if not isinstance(row, dict):
            raise UsageError(f"{source}: line {number} is not an object; expected one object per line")
        yield row


def _read_parquet(
    path: Path, drop: Sequence[str], order_by: str | None, limit: int | None
) -> tuple[int, Iterator[dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as exc:
        raise UsageError(f"{path} cannot be read as Parquet: {exc}") from exc
    if order_by and order_by in table.column_names:
        table = table.sort_by(order_by)
    table = table.drop_columns([name for name in drop if name in table.column_names]).slice(0, limit)

    def rows() -> Iterator[dict[str, Any]]:
        for batch in table.to_batches(max_chunksize=SLICE):
            yield from batch.to_pylist()

    return table.num_rows, rows()
