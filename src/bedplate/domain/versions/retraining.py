"""Finds what triggers a retraining, which retraining is open, and which retrained version awaits a decision."""

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
    """A reason to retrain a model; `seq` is the ledger record behind it, 0 for signals without a record (age, a
    person)."""

    signal: Signal
    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class OpenRetraining:
    """A retraining that ledger record `seq` opened and that has not ended."""

    seq: int
    signal: str
    reason: str
    dataset: str
    job: str


def list_due_signals(
    records: Sequence[Record],
    model: str,
    version: int | None,
    rules: Retraining,
    *,
    trained_at: datetime | None,
    now: datetime,
) -> tuple[RetrainingSignal, ...]:
    """Returns the signals that model.yaml enables and that no training has followed yet: the alert first, then age.

    `version` is the live version and `trained_at` its training time; both are None while the fallback is live, which
    does not age.
    """
    signals: list[RetrainingSignal] = []
    alert = find_open_alert(records, model, version)
    if alert is not None:
        is_enabled = rules.on_performance_drop if alert.signal == "performance" else rules.on_drift
        signals += [alert] if is_enabled else []
    if rules.max_age_days is not None and trained_at is not None:
        age = (now - trained_at).days
        if age >= rules.max_age_days:
            reason = f"version {version} was trained {age} days ago; the limit is {rules.max_age_days}"
            signals.append(RetrainingSignal("age", 0, reason))
    return tuple(signals)


def find_open_alert(records: Sequence[Record], model: str, version: int | None) -> RetrainingSignal | None:
    """Returns the alert of the version's last monitoring run, unless a training or a retraining followed it.

    Alerts of earlier versions do not count, because their successor has replaced them.
    """
    open_alert: RetrainingSignal | None = None
    for record in records:
        if record.model != model:
            continue
        if record.kind == "monitored":
            alerted = record.data.get("outcome") == "DRIFT" and record.version in (version, None)
            signal: Signal = "performance" if "performance" in record.data.get("signals", ()) else "drift"
            open_alert = RetrainingSignal(signal, record.seq, record.summary) if alerted else None
        elif record.kind in ("trained", "retraining") or (record.kind == "alert" and "retraining_due" in record.data):
            open_alert = None
    return open_alert


def find_open_retraining(records: Sequence[Record], model: str) -> OpenRetraining | None:
    """Returns the retraining that was started and has not ended; a model has at most one."""
    retraining: OpenRetraining | None = None
    for record in records:
        if record.kind != "retraining" or record.model != model:
            continue
        payload = record.data
        if payload.get("phase") == "open":
            retraining = OpenRetraining(
                record.seq, payload["signal"], payload["reason"], payload["dataset"], payload["training_job"]
            )
        elif retraining is not None and payload.get("opened_by") == retraining.seq:
            retraining = None
    return retraining


def find_version_awaiting_decision(records: Sequence[Record], model: str) -> int | None:
    """Returns the version that passed its gates after the last retraining and is neither approved nor rejected; None
    without one."""
    version: int | None = None
    for record in records:
        if record.model != model:
            continue
        if record.kind == "retraining" and record.data.get("phase") == "closed":
            version = record.version if record.data.get("verdict") == "PASS" else None
        elif record.kind in ("approved", "rejected", "forced") and record.version == version:
            version = None
    return version
