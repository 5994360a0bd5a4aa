"""What asks for a retraining, which one is open, and whether its result still waits for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bedplate.domain.ledger import Record
from bedplate.settings import Retraining

Signal = Literal["drift", "performance", "age", "person"]


@dataclass(frozen=True, slots=True)
class RetrainingSignal:
    """Why a model is to be trained again; `seq` is the record that says so, 0 where none does (age, a person)."""

    signal: Signal
    seq: int
    why: str


@dataclass(frozen=True, slots=True)
class OpenRetraining:
    """A retraining that was begun by record `seq` and has not ended."""

    seq: int
    signal: str
    why: str
    dataset: str
    job: str


def due(
    records: Sequence[Record],
    model: str,
    version: int | None,
    wanted: Retraining,
    *,
    trained_at: datetime | None,
    now: datetime,
) -> tuple[RetrainingSignal, ...]:
    """Every signal that model.yaml listens to and that nobody answered yet; worse answers first, then drift, then age.

    `version` is the live one and `trained_at` its time; both None while the fallback answers, which no training ages.
    """
    found: list[RetrainingSignal] = []
    alert = unanswered(records, model, version)
    if alert is not None:
        hears = wanted.on_performance_drop if alert.signal == "performance" else wanted.on_drift
        found += [alert] if hears else []
    if wanted.max_age_days is not None and trained_at is not None:
        age = (now - trained_at).days
        if age >= wanted.max_age_days:
            found.append(
                RetrainingSignal(
                    "age", 0, f"version {version} was trained {age} days ago, {wanted.max_age_days} allowed"
                )
            )
    return tuple(found)


def unanswered(records: Sequence[Record], model: str, version: int | None) -> RetrainingSignal | None:
    """The last monitoring of this version when it raised an alert, and neither a training nor a wish came after it.

    An alert that an earlier release met is answered by its successor.
    """
    found: RetrainingSignal | None = None
    for r in records:
        if r.model != model:
            continue
        if r.kind == "monitored":
            alerted = r.data.get("outcome") == "DRIFT" and r.version in (version, None)
            signal: Signal = "performance" if "performance" in r.data.get("signals", ()) else "drift"
            found = RetrainingSignal(signal, r.seq, r.summary) if alerted else None
        elif r.kind in ("trained", "retraining") or (r.kind == "alert" and "retrain" in r.data):
            found = None
    return found


def open_retraining(records: Sequence[Record], model: str) -> OpenRetraining | None:
    """The one that was begun and has not ended; there is at most one of a model."""
    found: OpenRetraining | None = None
    for r in records:
        if r.kind != "retraining" or r.model != model:
            continue
        told = r.data
        if told.get("phase") == "begun":
            found = OpenRetraining(r.seq, told["signal"], told["why"], told["dataset"], told["training_job"])
        elif found is not None and told.get("begun") == found.seq:
            found = None
    return found


def waits_for_a_person(records: Sequence[Record], model: str) -> int | None:
    """The version that the last retraining brought through its gates and nobody decided about; None without one."""
    version: int | None = None
    for r in records:
        if r.model != model:
            continue
        if r.kind == "retraining" and r.data.get("phase") == "ended":
            version = r.version if r.data.get("verdict") == "PASS" else None
        elif r.kind in ("approved", "rejected", "forced") and r.version == version:
            version = None
    return version
