"""Reads a table of training data as its contract has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.errors import NotFound, UsageError
from bedplate.settings import DataContract

if TYPE_CHECKING:
    import pyarrow as pa

MAX_SHOWN = 20


def read_table(path: Path, contract: DataContract, model: str) -> pa.Table:
    """A Parquet or CSV file (by its suffix), checked against the contract.

    Raises NotFound for a missing file, UsageError for another kind of file, or with a line for each way in which the
    data breaks the contract.
    """
    if not path.is_file():
        raise NotFound(f"There is no file {path}", next_step=_mended(model))
    table = _read(path, contract, model)
    _must_fit(table, contract, path, model)
    return table


def _read(path: Path, contract: DataContract, model: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    try:
        if path.suffix in (".parquet", ".pq"):
            return pq.read_table(path)
        if path.suffix == ".csv":
            strings = {name: pa.string() for name, c in contract.columns.items() if c.type == "string"}
            return pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(column_types=strings))
    except (pa.ArrowException, OSError) as exc:
        raise UsageError(f"{path} cannot be read: {exc}", next_step=_mended(model)) from exc
    raise UsageError(f"{path}: a .parquet or .csv file expected", next_step=_mended(model))


def _mended(model: str) -> str:
    return f"bedplate train {model} --data <file.parquet>"


def _must_fit(table: pa.Table, contract: DataContract, path: Path, model: str) -> None:
    from bedplate.domain.contract import check_table

    problems = check_table(table, contract)
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems[:MAX_SHOWN])
        more = f"\n  and {len(problems) - MAX_SHOWN} more" if len(problems) > MAX_SHOWN else ""
        count = "one way" if len(problems) == 1 else f"{len(problems)} ways"
        raise UsageError(
            f"{path} breaks the data contract of {model} in {count}:{lines}{more}",
            next_step=f"$EDITOR models/{model}/model.yaml, or mend the data",
        )
