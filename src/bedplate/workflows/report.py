"""What happened to one model, gathered once into a value that a page can draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bedplate.ports import BudgetState


@dataclass(frozen=True, slots=True)
class Act:
    """One record of the ledger, as a line. `tone` is good, warn, bad or nothing."""

    at: datetime
    kind: str
    version: int | None
    actor: str
    summary: str
    tone: str


@dataclass(frozen=True, slots=True)
class Gate:
    """One verdict of one version."""

    version: int
    name: str
    figure: float | None
    low: float | None
    high: float | None
    bound: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric with its 95 % interval over `n` rows."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """PSI of one feature, and the shares of its bins (each sums to 1)."""

    name: str
    psi: float
    bins: tuple[str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """One window of the drift report; a figure is None where the window held too few rows."""

    label: str
    psi: Mapping[str, float | None]
    prediction_psi: float | None
    performance: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Drift:
    rows: int
    features: tuple[FeatureDrift, ...]
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Answers by release in consecutive intervals, and the moments worth a mark."""

    times: tuple[datetime, ...]
    answers: Mapping[str, Sequence[float]]
    marks: Mapping[datetime, str]


@dataclass(frozen=True, slots=True)
class LiveNow:
    release_short: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Rollback:
    version: int
    took_s: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the page shows. `spend`: budget -> (stage -> USD, limit in USD, thresholds in percent)."""

    model: str
    description: str
    stack: str
    where: str
    made_at: datetime
    live: LiveNow | None
    acts: tuple[Act, ...]
    ledger_whole: bool
    gates: tuple[Gate, ...]
    segment_metric: str
    segment_bound: float | None
    segments: Mapping[str, Mapping[str, Figure]]
    drift: Drift | None
    psi_warn: float
    psi_alert: float
    worst_feature: str
    traffic: Traffic | None
    last_rollback: Rollback | None
    spend: Mapping[str, tuple[Mapping[str, float], float, Sequence[float]]]
    budgets: tuple[BudgetState, ...]
