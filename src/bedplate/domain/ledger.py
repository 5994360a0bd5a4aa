"""Defines the ledger's records, verifies their hash chain, and finds the release that was live at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal

from bedplate.domain.names import parse_release_version

Kind = Literal[
    "data-registered",
    "trained",
    "promoted",
    "evaluated",
    "approved",
    "rejected",
    "forced",
    "deployment-started",
    "resumed",
    "deployed",
    "deployment-rolled-back",
    "rollback",
    "baseline",
    "monitored",
    "alert",
    "labels-added",
    "rollout",
    "drill",
    "retraining",
    "retired",
]
FORMAT = 1
"""Version of the stored format; every record holds it as `format`."""
MAX_SKEW_S = 60.0
"""The largest difference between a record's time and its object's time that `verify` does not report, in seconds."""
GENESIS = "0" * 64
"""`prev` of the first record."""
LIVE_KINDS: tuple[Kind, ...] = ("deployed", "deployment-rolled-back", "rollback")
"""Kinds that are written after the endpoint was invoked; their `data["live"]` is the release that responded."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event before it gets its position in the chain. `data` holds JSON values only."""

    kind: Kind
    model: str | None
    version: int | None
    actor: str
    summary: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """An entry at its position in the chain.

    `prev` is the SHA-256 of the previous record's bytes, `hash` the SHA-256 of this record without `hash`.
    """

    seq: int
    at: datetime
    kind: Kind
    model: str | None
    version: int | None
    actor: str
    summary: str
    data: Mapping[str, Any]
    prev: str
    hash: str

    def to_json(self) -> dict[str, Any]:
        return {**_body(self), "hash": self.hash}


_FIELDS = {"format", *(f.name for f in fields(Record))}


class CorruptRecord(ValueError):
    """Stored bytes are not a record that this version of Bedplate can read."""


def build_record(entry: Entry, *, seq: int, at: datetime, prev: str, min_time: datetime | None = None) -> Record:
    """Builds the record of an entry that follows the record whose bytes hash to `prev`.

    Times never run backwards along the chain: a writer whose clock is behind `min_time` (the previous record's time) is
    given `min_time`. Raises ValueError when `data` is not JSON.
    """
    time = (max(at, min_time) if min_time else at).astimezone(UTC)
    data = json.loads(_canonical(entry.data))
    record = Record(seq, time, entry.kind, entry.model, entry.version, entry.actor, entry.summary, data, prev, hash="")
    return replace(record, hash=sha256(_canonical(_body(record))))


def encode(record: Record) -> bytes:
    """Returns the bytes that are stored: canonical JSON (sorted keys, no white space, UTF-8)."""
    return _canonical(record.to_json())


def decode(raw: bytes) -> Record:
    """Parses a stored record without checking its hashes; see `verify`.

    Raises CorruptRecord for bytes that are not a record, and for a record of another format.
    """
    try:
        values = json.loads(raw)
        if isinstance(values, dict) and values.get("format", FORMAT) != FORMAT:
            newer = f"it was written by a newer Bedplate (format {values['format']})"
            raise CorruptRecord(f"{newer}; this one reads format {FORMAT}. Upgrade Bedplate")
        if not isinstance(values, dict) or values.keys() != _FIELDS:
            raise CorruptRecord(f"its fields are not those of a record of format {FORMAT}")
        del values["format"]
        return Record(**{**values, "seq": int(values["seq"]), "at": datetime.fromisoformat(values["at"])})
    except (ValueError, TypeError) as exc:
        raise exc if isinstance(exc, CorruptRecord) else CorruptRecord(str(exc)) from exc


def sha256(raw: bytes) -> str:
    """Returns the SHA-256 of `raw` in hexadecimal.

    >>> sha256(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(raw).hexdigest()


def object_key(seq: int) -> str:
    """Returns the key of record number `seq` in the ledger bucket.

    >>> object_key(42)
    'ledger/0000000042.json'
    """
    return f"ledger/{seq:010d}.json"


def parse_seq(uri: str) -> int | None:
    """Returns the record number in an object's key or URI; None when it is not a record's.

    >>> parse_seq("s3://bucket/ledger/0000000042.json"), parse_seq("ledger/readme.txt")
    (42, None)
    """
    name = uri.rpartition("ledger/")[2]
    digits = name.removesuffix(".json")
    return int(digits) if name.endswith(".json") and len(digits) == 10 and digits.isdigit() else None


# --- verification ---------------------------------------------------------------------------------------------------

ChainFault = Literal["missing", "altered", "wrong-prev", "misplaced", "corrupt", "unknown-head"]


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """The first record number at which the chain does not hold."""

    seq: int
    fault: ChainFault
    explanation: str


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """A record's own time minus the time at which the bucket stored it, in seconds.

    A positive value means that the writer's clock was ahead, or the clock of an earlier writer, because times never run
    backwards along the chain. A negative value means that the writer's clock was behind, or that the object was stored
    again later.
    """

    seq: int
    ahead_s: float


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a verification: the records before the first break, or all records when there is no break.

    `head` is the hash of the last intact record's bytes. A chain cannot show that its end was cut off: store `last_seq`
    and `head` somewhere else and pass them to the next verification.
    """

    ok: bool
    record_count: int
    last_seq: int
    head: str
    first_break: ChainBreak | None
    objects_read: int | None = None
    """Number of objects that were read; the others have not changed since they were last read. None: all of them."""
    clock_skews: tuple[ClockSkew, ...] = ()
    """Records whose time differs from the time at which their object was stored; this does not break the chain."""


def verify(objects: Iterable[tuple[int, bytes]], *, expected_head: tuple[int, str] | None = None) -> Verification:
    """Checks that no record is missing, altered or out of place.

    `objects` are pairs of the number in the key and the stored bytes, in key order. `expected_head` is (last_seq, head)
    of an earlier verification, which must still be part of the chain.
    """
    last, head, count = 0, GENESIS, 0
    has_head = expected_head is None or expected_head == (0, GENESIS)
    for seq, raw in objects:
        first_break = _find_break(seq, raw, last, head)
        if first_break:
            return Verification(False, count, last, head, first_break)
        last, head, count = seq, sha256(raw), count + 1
        if expected_head and seq == expected_head[0]:
            if head != expected_head[1]:
                text = f"record {seq} does not have the expected hash: the chain was rewritten"
                return Verification(False, count, last, head, ChainBreak(seq, "unknown-head", text))
            has_head = True
    if expected_head and not has_head:
        text = f"the ledger ends at record {last}, but record {expected_head[0]} existed: the end was cut off"
        return Verification(False, count, last, head, ChainBreak(last + 1, "missing", text))
    return Verification(True, count, last, head, None)


def _find_break(seq: int, raw: bytes, last: int, head: str) -> ChainBreak | None:
    if seq != last + 1:
        gap = f"record {last + 1} is missing" if seq == last + 2 else f"records {last + 1} to {seq - 1} are missing"
        return ChainBreak(last + 1, "missing", f"{gap} (the next existing record is {seq})")
    try:
        record = decode(raw)
    except CorruptRecord as exc:
        return ChainBreak(seq, "corrupt", f"record {seq} cannot be read: {exc}")
    if record.seq != seq:
        return ChainBreak(seq, "misplaced", f"the object of record {seq} holds record {record.seq}")
    if record.hash != sha256(_canonical(_body(record))) or raw != encode(record):
        text = f"record {seq} ({record.kind}, {record.summary}) was altered: its hash does not match its content"
        return ChainBreak(seq, "altered", text)
    if record.prev != head:
        previous = f"record {last}" if last else "the beginning of the chain"
        return ChainBreak(seq, "wrong-prev", f"record {seq} does not follow {previous}: one of the two was replaced")
    return None


# --- the live release -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiveRelease:
    """The release that was live at a time, and the records that led to it."""

    model: str
    at: datetime
    release: str
    version: int
    """0 is the fallback release that `up` creates."""
    since: datetime
    until: datetime | None
    """When the next release replaced it; None when it is still live."""
    record: Record
    evidence: tuple[Record, ...]
    """Training, evaluation, approval or forced approval of this version, up to `at`."""


def who_was_live(records: Sequence[Record], model: str, at: datetime) -> LiveRelease | None:
    """Returns the last release that the ledger records as live at or before `at`; None before the first one.

    `records` are the ledger's records in order of their numbers. Before the first `deployed` record the model's
    endpoint serves release 0, the fallback, which `up` creates without a record.
    """
    live_records = [r for r in records if r.model == model and r.kind in LIVE_KINDS and r.data.get("live")]
    before = [r for r in live_records if r.at <= at]
    if not before:
        return None
    record = first = before[-1]
    release = str(record.data["live"])
    for earlier in reversed(before):
        if earlier.data["live"] != release:
            break
        first = earlier
    version = parse_release_version(release) or 0
    kinds = ("trained", "evaluated", "approved", "rejected", "forced", "deployment-started")
    evidence = tuple(r for r in records if r.model == model and r.version == version and r.at <= at and r.kind in kinds)
    until = next((r.at for r in live_records[len(before) :] if r.data["live"] != release), None)
    return LiveRelease(model, at, release, version, first.at, until, record, evidence)


def is_conclusive(tail: Sequence[Record], model: str, at: datetime) -> bool:
    """Returns whether `who_was_live` returns the same from these last records of the ledger as from all of them.

    The tail must reach back to the release before the live one, and to the training of the live version, which is the
    first record of a version.
    """
    live = who_was_live(tail, model, at)
    if live is None:
        return False
    own = [r for r in tail if r.model == model]
    has_previous = any(r.kind in LIVE_KINDS and r.at <= live.since and r.data.get("live") != live.release for r in own)
    first = next((r for r in own if r.version == live.version), live.record)
    return has_previous and first.kind == "trained"


# --- bytes and times ------------------------------------------------------------------------------------------------


def measure_clock_skew(seq: int, raw: bytes, stored_at: datetime) -> ClockSkew | None:
    """Returns a record's clock skew; None when it is at most `MAX_SKEW_S`, and for bytes that are not a record.

    Parses only the time, because there may be many records.
    """
    start = raw.find(b'"at":"') + 6  # the first key after `actor`, in whose value quotes are escaped
    try:
        at = datetime.fromisoformat(raw[start : raw.index(b'"', start)].decode())
    except ValueError:
        return None
    ahead_s = (at - stored_at).total_seconds()
    return ClockSkew(seq, ahead_s) if abs(ahead_s) > MAX_SKEW_S else None


def effective_now(records: Sequence[Record], now: datetime) -> datetime:
    """Returns `now`, or the last record's time if that is later because its writer's clock was ahead."""
    return max(now, records[-1].at) if records else now


def format_iso_ms(time: datetime) -> str:
    """Formats a time as ISO 8601 in UTC with milliseconds.

    >>> format_iso_ms(datetime(2013, 7, 1, 12, 0, 0, 123456, tzinfo=UTC))
    '2013-07-01T12:00:00.123Z'
    """
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _body(record: Record) -> dict[str, Any]:
    """Returns a record's stored fields except `hash`."""
    values = {name: getattr(record, name) for name in _FIELDS - {"format", "hash"}}
    return {**values, "format": FORMAT, "at": format_iso_ms(record.at)}


def _canonical(value: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except TypeError as exc:
        raise ValueError(f"a record's data must be JSON: {exc}") from exc
    return text.encode()
