"""What a monitor found, as one value and as `drift.json`: by column, by window, on late labels, and the few alerts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from bedplate.domain.drift.compare import ColumnDrift

Severity = Literal["alert", "warn"]
Outcome = Literal["DRIFT", "WARN", "OK", "NO_DATA"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing worth a person's time: `figure` crossed `bound`. `subject` is a column, `prediction`, or a metric."""

    severity: Severity
    kind: Literal["feature", "prediction", "performance", "quality"]
    subject: str
    figure: float
    bound: float
    message: str


@dataclass(frozen=True, slots=True)
class ColumnQuality:
    """How a column broke its contract in `n` rows. `unseen` counts categories that the reference does not know."""

    n: int
    nulls: int
    reference_null_share: float
    type_errors: int
    out_of_range: int
    unseen: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ContractViolation:
    """A rule of the data contract that `count` captured rows break; the first values, each with its request's event."""

    column: str
    rule: str
    expected: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DriftWindow:
    """One window of time, `start` included, `end` not. PSI is None where the window held too few rows.

    `performance` is metric -> value on the window's labelled rows, None where these are too few.
    """

    start: datetime
    end: datetime
    n: int
    psi: Mapping[str, float | None]
    prediction_psi: float | None
    n_labelled: int
    performance: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Performance:
    """On all rows whose label is known. `reference` is the holdout's metric, of the version that the baseline is of.

    `segments` is column -> value -> metric -> value, with the rows under `n`.
    """

    n_labelled: int
    metrics: Mapping[str, float | None]
    reference: Mapping[str, float | None]
    segments: Mapping[str, Mapping[str, Mapping[str, float | None]]]


@dataclass(frozen=True, slots=True)
class DriftReport:
    """`start` and `end` are the first and last moment of the rows, None without any; `releases` counts rows by release.

    `alerts` are ranked: the first is the most urgent.
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
        """Largest PSI of the features that were judged; NaN when none was."""
        known = [d.psi for d in self.features.values() if d.verdict != "NO_DATA"]
        return max(known, default=math.nan)

    def to_json(self) -> dict[str, Any]:
        """Plain values: times as ISO 8601, NaN as null."""
        found = plain(dataclasses.asdict(self))
        assert isinstance(found, dict)
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> DriftReport:
        """Raises KeyError or TypeError for anything that `to_json` did not write."""
        performance, prediction = found["performance"], found["prediction"]
        return cls(
            **{
                **found,
                "start": _moment(found["start"]),
                "end": _moment(found["end"]),
                "features": {name: _drift(value) for name, value in found["features"].items()},
                "prediction": None if prediction is None else _drift(prediction),
                "windows": tuple(
                    DriftWindow(**{**w, "start": _moment(w["start"]), "end": _moment(w["end"])})
                    for w in found["windows"]
                ),
                "performance": None if performance is None else Performance(**performance),
                "quality": {name: ColumnQuality(**value) for name, value in found["quality"].items()},
                "contract": tuple(
                    ContractViolation(**{**v, "examples": tuple(v["examples"])}) for v in found.get("contract", ())
                ),
                "alerts": tuple(Alert(**{**a, "figure": _number(a["figure"])}) for a in found["alerts"]),
            }
        )


def _drift(found: Mapping[str, Any]) -> ColumnDrift:
    figures = {name: _number(found[name]) for name in ("psi", "js", "statistic", "p_value", "p_adjusted")}
    shares = {name: tuple(map(_number, found[name])) for name in ("reference", "current")}
    return ColumnDrift(**{**found, **figures, **shares, "bins": tuple(found["bins"])})


def plain(value: Any) -> Any:
    """As JSON has it: times as ISO 8601, NaN and infinity as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
