"""Adds outcomes that became known later, and says how many of the captured requests they belong to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bedplate.domain.ledger import iso_ms
from bedplate.errors import UsageError
from bedplate.settings import DataContract
from bedplate.workflows.captured import latest
from bedplate.workflows.ledger import Ledger
from bedplate.workflows.platform import Platform

JOINED_ANSWERS = 100_000
"""Captured answers that labels are joined with for the report; the monitor joins all of its window."""


@dataclass(frozen=True, slots=True)
class Join:
    """How labels and captured answers meet. `without` are answers whose outcome nobody has told yet."""

    labels: int
    answers: int
    matched: int

    @property
    def without(self) -> int:
        return self.answers - self.matched

    @property
    def matched_pct(self) -> float:
        return 100 * self.matched / self.answers if self.answers else 0.0


@dataclass(frozen=True, slots=True)
class Added:
    uri: str
    labels: int
    new: bool
    """False when exactly these labels had been added before."""
    positives: int | None
    join: Join


def add_labels(platform: Platform, model: str, rows: Iterable[Mapping[str, Any]]) -> Added:
    """Write labels to the data bucket: one object, named by its content, so that adding them twice changes nothing.

    A row holds the key columns and the label, under its own name or as `label`. Raises UsageError where it does not.
    """
    spec, names = platform.model(model), platform.names(model)
    now = platform.clock.now()
    found = [_label(number, row, spec.data) for number, row in enumerate(rows, 1)]
    if not found:
        raise UsageError("There is no row in it", next_step="bedplate labels add --help")
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]
    uri = f"s3://{platform.outputs.data_bucket}/{names.labels_prefix}{digest}.jsonl"
    at = iso_ms(now)
    body = b"".join(json.dumps({**row, "observed_at": at}).encode() + b"\n" for row in found)
    new = platform.objects.put_if_absent(uri, body)
    positives = sum(1 for row in found if row["label"] == 1) if spec.task == "binary" else None
    added = Added(uri, len(found), new, positives, join(platform, model, found))
    if new:
        Ledger.of(platform).record(
            "labelled",
            f"{added.labels:,} labels, {added.join.matched:,} of {added.join.answers:,} latest answers have one",
            actor=platform.identity.person,
            model=model,
            data={"uri": uri, "labels": added.labels, "matched": added.join.matched, "answers": added.join.answers},
        )
    return added


def join(platform: Platform, model: str, labels: Iterable[Mapping[str, Any]]) -> Join:
    """Meet labels and the latest captured answers by the key columns."""
    keys = platform.model(model).data.keys
    known = {_key(row, keys) for row in labels}
    rows = [row for record in latest(platform, model, answers=JOINED_ANSWERS) for row in record.rows]
    asked = [_key(row, keys) for row in rows if all(key in row for key in keys)]
    return Join(len(known), len(asked), sum(1 for key in asked if key in known))


def _label(number: int, row: Mapping[str, Any], contract: DataContract) -> dict[str, Any]:
    missing = [key for key in contract.keys if row.get(key) is None]
    if missing:
        raise UsageError(f"Row {number} has no {', '.join(missing)}: key columns are {', '.join(contract.keys)}")
    told: Any = row.get(contract.label, row.get("label"))
    try:
        value = float(told)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(
            f"Row {number} has no label: a number in {contract.label!r} (or 'label') expected, found {told!r}"
        )
    return {**{key: _plain(row[key]) for key in contract.keys}, "label": int(value) if value.is_integer() else value}


def _key(row: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(str(_plain(row[key])) for key in keys)


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
