"""Adds labels that became known after the prediction, and joins them with captured requests."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bedplate.domain.data.capture import CapturedRequest
from bedplate.domain.ledger import format_iso_ms
from bedplate.errors import UsageError
from bedplate.settings import DataContract
from bedplate.workflows.endpoint.capture import read_latest
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext

MAX_JOINED_PREDICTIONS = 100_000
"""The number of captured predictions joined for the report; the monitor joins its whole window."""


@dataclass(frozen=True, slots=True)
class LabelJoin:
    """The join of labels with captured predictions."""

    labels: int
    predictions: int
    matched: int

    @property
    def matched_pct(self) -> float:
        return 100 * self.matched / self.predictions if self.predictions else 0.0


@dataclass(frozen=True, slots=True)
class LabelsResult:
    """The stored labels. `ground_truth_records` counts the captured requests with SageMaker ground truth records, which
    are below `ground_truth_uri`."""

    uri: str
    labels: int
    is_new: bool
    """False when the same labels were added before."""
    positives: int | None
    join: LabelJoin
    ground_truth_records: int = 0
    ground_truth_uri: str | None = None


def add_labels(stack: StackContext, model: str, rows: Iterable[Mapping[str, Any]]) -> LabelsResult:
    """Writes labels to the data bucket as one object named by its content, so that adding them twice changes nothing.

    Labels of captured requests are also written as SageMaker ground truth records by inference id, which schedules of
    model quality and bias merge.

    A row contains the key columns and the label, under its own name or as `label`; otherwise raises UsageError.
    """
    spec, names = stack.model(model), stack.names(model)
    now = stack.clock.now()
    labels = [_parse_label(number, row, spec.data) for number, row in enumerate(rows, 1)]
    if not labels:
        raise UsageError("The file has no rows", next_step="bedplate labels add --help")
    digest = hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]
    uri = f"s3://{stack.outputs.data_bucket}/{names.labels_prefix}{digest}.jsonl"
    observed_at = format_iso_ms(now)
    body = b"".join(json.dumps({**row, "observed_at": observed_at}).encode() + b"\n" for row in labels)
    is_new = stack.objects.put_if_absent(uri, body)
    positives = sum(1 for row in labels if row["label"] == 1) if spec.task == "binary" else None
    records = read_latest(stack, model, min_predictions=MAX_JOINED_PREDICTIONS)
    lines = _ground_truth_lines(records, labels, spec.data.keys)
    truth_uri = None
    if lines:
        truth_uri = f"s3://{stack.outputs.data_bucket}/{names.ground_truth_prefix}{now:%Y/%m/%d/%H}/{digest}.jsonl"
        stack.objects.put(truth_uri, b"".join(lines), content_type="application/jsonlines")
    join = _join_labels(records, labels, spec.data.keys)
    result = LabelsResult(uri, len(labels), is_new, positives, join, len(lines), truth_uri)
    if is_new:
        Ledger.of(stack).record(
            "labels-added",
            f"{result.labels:,} labels; {join.matched:,} of the {join.predictions:,} latest predictions have one",
            actor=stack.identity.actor,
            model=model,
            data={
                "uri": uri,
                "labels": result.labels,
                "matched": join.matched,
                "predictions": join.predictions,
            },
        )
    return result


def _join_labels(
    records: Iterable[CapturedRequest], labels: Iterable[Mapping[str, Any]], keys: Iterable[str]
) -> LabelJoin:
    """Joins labels and captured predictions by the key columns."""
    label_keys = {_key(row, keys) for row in labels}
    rows = [row for record in records for row in record.rows]
    row_keys = [_key(row, keys) for row in rows if all(key in row for key in keys)]
    return LabelJoin(len(label_keys), len(row_keys), sum(1 for key in row_keys if key in label_keys))


def _ground_truth_lines(
    records: Iterable[CapturedRequest], labels: Iterable[Mapping[str, Any]], keys: Iterable[str]
) -> list[bytes]:
    """Returns a ground truth record for each captured request with a labelled row: one line per row, empty without
    label.

    SageMaker joins them by the caller's inferenceId, or by its own eventId if there is none.
    """
    label_of = {_key(row, keys): row["label"] for row in labels}
    lines = []
    for record in records:
        event = record.inference_id or record.event_id
        row_labels = [label_of.get(_key(row, keys)) if all(key in row for key in keys) else None for row in record.rows]
        if event and any(label is not None for label in row_labels):
            data = "\n".join("" if label is None else str(label) for label in row_labels)
            ground_truth = {
                "groundTruthData": {"data": data, "encoding": "CSV"},
                "eventMetadata": {"eventId": event},
                "eventVersion": "0",
            }
            lines.append(json.dumps(ground_truth).encode() + b"\n")
    return lines


def _parse_label(number: int, row: Mapping[str, Any], contract: DataContract) -> dict[str, Any]:
    missing = [key for key in contract.keys if row.get(key) is None]
    if missing:
        raise UsageError(f"Row {number} has no {', '.join(missing)}: key columns are {', '.join(contract.keys)}")
    raw: Any = row.get(contract.label, row.get("label"))
    try:
        value = float(raw)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(
            f"Row {number} has no label: expected a number in {contract.label!r} (or 'label'), found {raw!r}"
        )
    return {
        **{key: _to_json_value(row[key]) for key in contract.keys},
        "label": int(value) if value.is_integer() else value,
    }


def _key(row: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(str(_to_json_value(row[key])) for key in keys)


def _to_json_value(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
