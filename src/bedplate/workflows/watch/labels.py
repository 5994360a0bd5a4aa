"""Adds outcomes that became known later, and says how many of the captured requests they belong to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bedplate.domain.data.capture import CapturedRequest
from bedplate.domain.ledger import iso_ms
from bedplate.errors import UsageError
from bedplate.settings import DataContract
from bedplate.workflows.endpoint.capture import latest
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext

JOINED_ANSWERS = 100_000
"""Captured answers that labels are joined with for the report; the monitor joins all of its window."""


@dataclass(frozen=True, slots=True)
class LabelJoin:
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
class LabelsResult:
    """`truths` are the captured requests that SageMaker's ground truth was written for, below `ground_truth_uri`."""

    uri: str
    labels: int
    new: bool
    """False when exactly these labels had been added before."""
    positives: int | None
    join: LabelJoin
    truths: int = 0
    ground_truth_uri: str | None = None


def add_labels(stack: StackContext, model: str, rows: Iterable[Mapping[str, Any]]) -> LabelsResult:
    """Write labels to the data bucket: one object, named by its content, so that adding them twice changes nothing.

    What belongs to captured requests is written once more as SageMaker's ground truth, by their inference ids, which is
    what schedules of model quality and bias merge.

    A row holds the key columns and the label, under its own name or as `label`. Raises UsageError where it does not.
    """
    spec, names = stack.model(model), stack.names(model)
    now = stack.clock.now()
    found = [_label(number, row, spec.data) for number, row in enumerate(rows, 1)]
    if not found:
        raise UsageError("There is no row in it", next_step="bedplate labels add --help")
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]
    uri = f"s3://{stack.outputs.data_bucket}/{names.labels_prefix}{digest}.jsonl"
    at = iso_ms(now)
    body = b"".join(json.dumps({**row, "observed_at": at}).encode() + b"\n" for row in found)
    new = stack.objects.put_if_absent(uri, body)
    positives = sum(1 for row in found if row["label"] == 1) if spec.task == "binary" else None
    records = latest(stack, model, answers=JOINED_ANSWERS)
    lines = _ground_truth(records, found, spec.data.keys)
    truth_uri = None
    if lines:
        truth_uri = f"s3://{stack.outputs.data_bucket}/{names.ground_truth_prefix}{now:%Y/%m/%d/%H}/{digest}.jsonl"
        stack.objects.put(truth_uri, b"".join(lines), content_type="application/jsonlines")
    met = _join(records, found, spec.data.keys)
    added = LabelsResult(uri, len(found), new, positives, met, len(lines), truth_uri)
    if new:
        Ledger.of(stack).record(
            "labelled",
            f"{added.labels:,} labels, {added.join.matched:,} of {added.join.answers:,} latest answers have one",
            actor=stack.identity.person,
            model=model,
            data={"uri": uri, "labels": added.labels, "matched": added.join.matched, "answers": added.join.answers},
        )
    return added


def _join(records: Iterable[CapturedRequest], labels: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> LabelJoin:
    """Meet labels and captured answers by the key columns."""
    known = {_key(row, keys) for row in labels}
    rows = [row for record in records for row in record.rows]
    asked = [_key(row, keys) for row in rows if all(key in row for key in keys)]
    return LabelJoin(len(known), len(asked), sum(1 for key in asked if key in known))


def _ground_truth(
    records: Iterable[CapturedRequest], labels: Iterable[Mapping[str, Any]], keys: Iterable[str]
) -> list[bytes]:
    """A record for each captured request of which a row's outcome is known: a line a row, empty where it is not.

    SageMaker meets them by the inferenceId that the caller gave, and by its own eventId without one.
    """
    known = {_key(row, keys): row["label"] for row in labels}
    found = []
    for record in records:
        event = record.inference_id or record.event_id
        told = [known.get(_key(row, keys)) if all(key in row for key in keys) else None for row in record.rows]
        if event and any(label is not None for label in told):
            data = "\n".join("" if label is None else str(label) for label in told)
            truth = {
                "groundTruthData": {"data": data, "encoding": "CSV"},
                "eventMetadata": {"eventId": event},
                "eventVersion": "0",
            }
            found.append(json.dumps(truth).encode() + b"\n")
    return found


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
