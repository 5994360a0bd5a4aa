"""The report of a drift monitor: drift per column and per window, metrics on labels, alerts; `drift.json` as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import TypeAdapter

from bedplate.domain.documents import FORMAT, JsonFloat, check_format
from bedplate.domain.drift.column_drift import ColumnDrift

Severity = Literal["alert", "warn"]
Outcome = Literal["DRIFT", "WARN", "OK", "NO_DATA"]


@dataclass(frozen=True, slots=True)
class Alert:
    """A `value` that is beyond its `bound`. `subject` is a column, `prediction`, or a metric."""

    severity: Severity
    kind: Literal["feature", "prediction", "performance", "quality"]
    subject: str
    value: JsonFloat
    bound: float
    message: str


@dataclass(frozen=True, slots=True)
class ColumnQuality:
    """Violations of a column's contract in `n_rows` rows. `unseen` is category -> rows, for categories not in the
    baseline."""

    n_rows: int
    nulls: int
    reference_null_share: float
    type_errors: int
    out_of_range: int
    unseen: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ContractViolation:
    """A rule of the data contract that `count` captured rows violate; `examples` are values with their event id."""

    column: str
    rule: str
    expected: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DriftWindow:
    """One time window, including `start` and excluding `end`. PSI is None where the window has too few rows.

    `performance` is metric -> value on the window's labelled rows, None where there are too few.
    """

    start: datetime
    end: datetime
    n_rows: int
    psi: Mapping[str, float | None]
    prediction_psi: float | None
    n_labelled: int
    performance: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Performance:
    """Metrics on all labelled rows. `reference` is metric -> value on the holdout of the baseline's version.

    `segments` is column -> segment -> metric -> value; the key `n_rows` is the number of labelled rows.
    """

    n_labelled: int
    metrics: Mapping[str, float | None]
    reference: Mapping[str, float | None]
    segments: Mapping[str, Mapping[str, Mapping[str, float | None]]]


@dataclass(frozen=True, slots=True)
class DriftReport:
    """`start` and `end` are the times of the first and the last row, None without rows.

    `releases` is release -> rows; `alerts` are ranked, the most urgent first.
    """

    model: str
    endpoint: str
    rows: int
    start: datetime | None
    end: datetime | None
    releases: Mapping[str, int]
    outcome: Outcome
    summary: str
    features: Mapping[str, ColumnDrift]
    prediction: ColumnDrift | None
    windows: tuple[DriftWindow, ...]
    performance: Performance | None
    quality: Mapping[str, ColumnQuality]
    alerts: tuple[Alert, ...]
    psi_warn: float
    psi_alert: float
    contract: tuple[ContractViolation, ...] = ()

    @property
    def max_psi(self) -> float:
        """Largest PSI of the features that have a verdict; NaN when none has one."""
        values = [d.psi for d in self.features.values() if d.verdict != "NO_DATA"]
        return max(values, default=math.nan)

    def to_json(self) -> dict[str, Any]:
        """Returns the document `drift.json`: times as ISO 8601, NaN as None."""
        return {"format": FORMAT, **to_json_value(dataclasses.asdict(self))}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> DriftReport:
        """Raises UnsupportedFormat for another format, ValueError for a document that `to_json` did not write."""
        check_format(document, "drift.json", next_step="bedplate monitor run <model>")
        return _REPORT.validate_python(document)


_REPORT: TypeAdapter[DriftReport] = TypeAdapter(DriftReport)


def to_json_value(value: Any) -> Any:
    """Converts a value to what JSON can hold: times to ISO 8601, NaN and infinity to None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json_value(item) for item in value]
    return value
