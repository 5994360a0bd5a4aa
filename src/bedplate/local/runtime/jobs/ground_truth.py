"""Merges SageMaker's ground truth into captured requests by inference id, as the job before a run does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from bedplate.local.hooks import Services
from bedplate.local.runtime.transfer import split_uri

_HOUR = re.compile(r"(?:^|/)(\d{4}/\d\d/\d\d/\d\d)/[^/]+$")


def known(services: Services, uri: str, *, since: float) -> dict[str, str]:
    """Event id -> the data of its ground truth, of every hour from `since` (epoch seconds) on.

    Below the address lie `yyyy/mm/dd/hh/*`, by the time at which outcomes were collected, JSON Lines of
    `{"groundTruthData": {"data", "encoding"}, "eventMetadata": {"eventId"}, "eventVersion": "0"}`. Of several records
    for one event later ones fill or replace what earlier ones say, line by line. Raises KeyError where there is no such
    bucket.
    """
    bucket, prefix = split_uri(uri)
    first = f"{datetime.fromtimestamp(since, UTC):%Y/%m/%d/%H}"
    found: dict[str, str] = {}
    for key in services.list_objects(bucket, prefix):
        hour = _HOUR.search(key)
        if hour and hour[1] >= first:
            for record in _records(services.get_object(bucket, key)):
                if not isinstance(record.get("groundTruthData"), dict):
                    continue
                event = str(record["eventMetadata"].get("eventId"))
                found[event] = _filled(found.get(event, ""), str(record["groundTruthData"].get("data", "")))
    return found


def merge(services: Services, bucket: str, keys: Iterable[str], truth: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """(Key, merged records) of every captured file with a request whose outcome is known; the other requests drop out.

    An event is met by the inferenceId that its caller gave, and by its eventId without one.
    """
    for key in keys:
        lines = []
        for record in _records(services.get_object(bucket, key)):
            told = record.get("eventMetadata") or {}
            data = truth.get(str(told.get("inferenceId") or told.get("eventId")))
            if data is not None:
                merged = {**record, "groundTruthData": {"data": data, "encoding": "CSV"}}
                lines.append(json.dumps(merged, separators=(",", ":")).encode() + b"\n")
        if lines:
            yield key, b"".join(lines)


def _filled(earlier: str, later: str) -> str:
    """
    >>> _filled("1\\n\\n0", "\\n1\\n")
    '1\\n1\\n0'
    """
    before, after = earlier.split("\n"), later.split("\n")
    if len(before) != len(after):
        return later
    return "\n".join(new if new.strip() else old for old, new in zip(before, after, strict=True))


def _records(body: bytes) -> Iterator[dict[str, Any]]:
    """What cannot be read is passed over."""
    for line in body.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("eventMetadata"), dict):
            yield record
