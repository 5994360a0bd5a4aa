"""Merges ground truth into captured requests by inference ID, as SageMaker's merge job does before a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from bedplate.local.hooks import Services
from bedplate.local.runtime.transfer import split_uri

_HOUR = re.compile(r"(?:^|/)(\d{4}/\d\d/\d\d/\d\d)/[^/]+$")


def read_ground_truth(services: Services, uri: str, *, since: float) -> dict[str, str]:
    """Returns the ground truth data of each event ID, from every hour since `since` (epoch seconds).

    The objects `yyyy/mm/dd/hh/*` below the S3 URI, by the hour in which labels were collected, are JSON Lines of
    `{"groundTruthData": {"data", "encoding"}, "eventMetadata": {"eventId"}, "eventVersion": "0"}`. Several records of
    one event are merged line by line, and the last non-empty line wins. Raises KeyError for an unknown bucket.
    """
    bucket, prefix = split_uri(uri)
    first_hour = f"{datetime.fromtimestamp(since, UTC):%Y/%m/%d/%H}"
    data_by_event: dict[str, str] = {}
    for key in services.list_objects(bucket, prefix):
        hour = _HOUR.search(key)
        if hour and hour[1] >= first_hour:
            for record in _parse_records(services.get_object(bucket, key)):
                if not isinstance(record.get("groundTruthData"), dict):
                    continue
                event = str(record["eventMetadata"].get("eventId"))
                data_by_event[event] = _merge_lines(
                    data_by_event.get(event, ""), str(record["groundTruthData"].get("data", ""))
                )
    return data_by_event


def merge_ground_truth(
    services: Services, bucket: str, keys: Iterable[str], ground_truths: dict[str, str]
) -> Iterator[tuple[str, bytes]]:
    """Yields key and merged records of every capture file with labelled requests; drops requests without a label.

    A request is identified by the client's inferenceId, or by its eventId without one.
    """
    for key in keys:
        lines = []
        for record in _parse_records(services.get_object(bucket, key)):
            metadata = record.get("eventMetadata") or {}
            data = ground_truths.get(str(metadata.get("inferenceId") or metadata.get("eventId")))
            if data is not None:
                merged = {**record, "groundTruthData": {"data": data, "encoding": "CSV"}}
                lines.append(json.dumps(merged, separators=(",", ":")).encode() + b"\n")
        if lines:
            yield key, b"".join(lines)


def _merge_lines(earlier: str, later: str) -> str:
    """Replaces the lines of `earlier` by those of `later` that are not empty.

    >>> _merge_lines("1\\n\\n0", "\\n1\\n")
    '1\\n1\\n0'
    """
    earlier_lines, later_lines = earlier.split("\n"), later.split("\n")
    if len(earlier_lines) != len(later_lines):
        return later
    return "\n".join(
        later_line if later_line.strip() else earlier_line
        for earlier_line, later_line in zip(earlier_lines, later_lines, strict=True)
    )


def _parse_records(body: bytes) -> Iterator[dict[str, Any]]:
    """Yields the records of a JSON Lines body; skips lines that cannot be read."""
    for line in body.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("eventMetadata"), dict):
            yield record
