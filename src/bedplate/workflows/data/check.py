"""Checks a file against a model's data contract, and its category shares against the last accepted version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.domain.data.contract import RuleResult, TableCheck, failed_rules
from bedplate.errors import GateFailed, NotEnoughData
from bedplate.settings import ModelSpec, Purpose
from bedplate.workflows.data.files import DataFile
from bedplate.workflows.stack_context import StackContext

if TYPE_CHECKING:
    from bedplate.domain.drift.profile import ColumnProfile

MAX_SHOWN = 20


@dataclass(frozen=True, slots=True)
class DataReport:
    """Every rule with its verdict. `against` is the version whose category shares were compared, if there is one;
    `undeclared` are columns of the file that the contract does not declare."""

    model: str
    path: Path
    rows: int
    columns: int
    undeclared: tuple[str, ...]
    results: tuple[RuleResult, ...]
    against: str | None
    duration_s: float

    @property
    def violations(self) -> tuple[RuleResult, ...]:
        return failed_rules(self.results)


def check_file(
    stack: StackContext,
    spec: ModelSpec,
    path: Path,
    *,
    purpose: Purpose | None = None,
    against: str | None = None,
    profile: Mapping[str, ColumnProfile] | None = None,
) -> DataReport:
    """Checks every row once, batch by batch. Raises NotFound or UsageError when the file cannot be read."""
    started_at = stack.clock.now()
    file = DataFile.open(path, next_step=f"bedplate data check {spec.name} --data <file.parquet>")
    check = TableCheck(spec.data, file.columns, previous=profile, purpose=purpose)
    for batch in file.batches(spec.data):
        check.add(batch, is_text=file.is_text)
    now = stack.clock.now()
    return DataReport(
        model=spec.name,
        path=path,
        rows=check.rows,
        columns=len(file.columns),
        undeclared=tuple(name for name in file.columns if name not in spec.data.columns),
        results=check.results(now),
        against=against,
        duration_s=(now - started_at).total_seconds(),
    )


def require_rows(report: DataReport) -> None:
    """Raises NotEnoughData for a file without rows, because no data is never a pass."""
    if not report.rows:
        raise NotEnoughData(
            f"{report.path} has no rows", next_step=f"bedplate data check {report.model} --data <file.parquet>"
        )


def require_valid(report: DataReport) -> None:
    """Raises GateFailed with one line per violated rule, NotEnoughData for a file without rows."""
    violations = report.violations
    if not violations:
        require_rows(report)
        return
    lines = "".join(f"\n  {violation}" for violation in violations[:MAX_SHOWN])
    more = f"\n  and {len(violations) - MAX_SHOWN} more" if len(violations) > MAX_SHOWN else ""
    count = "one rule" if len(violations) == 1 else f"{len(violations)} rules"
    raise GateFailed(
        f"{report.path} violates {count} of {report.model}'s data contract:{lines}{more}",
        next_step=f"$EDITOR models/{report.model}/model.yaml, or correct the data",
    )
