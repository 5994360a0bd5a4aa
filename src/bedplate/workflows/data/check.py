"""Holds a file against a model's data contract, and its shares of categories against the last accepted version's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.domain.data.contract import RuleResult, TableCheck, failed
from bedplate.errors import GateFailed, NotEnoughData
from bedplate.settings import ModelSpec, Purpose
from bedplate.workflows.data.files import DataFile
from bedplate.workflows.stack_context import StackContext

if TYPE_CHECKING:
    from bedplate.domain.drift.profile import ColumnProfile

MAX_SHOWN = 20


@dataclass(frozen=True, slots=True)
class DataReport:
    """Every rule with its verdict. `against` is the version whose shares of categories were compared, if any;
    `undeclared` are columns of the file that the contract does not know."""

    model: str
    path: Path
    rows: int
    columns: int
    undeclared: tuple[str, ...]
    results: tuple[RuleResult, ...]
    against: str | None
    took_s: float

    @property
    def faults(self) -> tuple[RuleResult, ...]:
        return failed(self.results)


def check_file(
    stack: StackContext,
    spec: ModelSpec,
    path: Path,
    *,
    purpose: Purpose | None = None,
    against: str | None = None,
    profile: Mapping[str, ColumnProfile] | None = None,
) -> DataReport:
    """Look at every row once, batch by batch. Raises NotFound and UsageError for a file that cannot be read."""
    began = stack.clock.now()
    file = DataFile.open(path, next_step=f"bedplate data check {spec.name} --data <file.parquet>")
    check = TableCheck(spec.data, file.columns, previous=profile, purpose=purpose)
    for batch in file.batches(spec.data):
        check.add(batch, text=file.text)
    now = stack.clock.now()
    return DataReport(
        model=spec.name,
        path=path,
        rows=check.rows,
        columns=len(file.columns),
        undeclared=tuple(name for name in file.columns if name not in spec.data.columns),
        results=check.results(now),
        against=against,
        took_s=(now - began).total_seconds(),
    )


def must_hold_rows(report: DataReport) -> None:
    """Raises NotEnoughData for a file without rows: of nothing nothing can be said, and that is no pass."""
    if not report.rows:
        raise NotEnoughData(
            f"{report.path} holds no row", next_step=f"bedplate data check {report.model} --data <file.parquet>"
        )


def must_fit(report: DataReport) -> None:
    """Raises GateFailed with a line for each rule that is broken, NotEnoughData for a file without rows."""
    faults = report.faults
    if not faults:
        must_hold_rows(report)
        return
    lines = "".join(f"\n  {fault}" for fault in faults[:MAX_SHOWN])
    more = f"\n  and {len(faults) - MAX_SHOWN} more" if len(faults) > MAX_SHOWN else ""
    count = "one way" if len(faults) == 1 else f"{len(faults)} ways"
    raise GateFailed(
        f"{report.path} breaks the data contract of {report.model} in {count}:{lines}{more}",
        next_step=f"$EDITOR models/{report.model}/model.yaml, or mend the data",
    )
