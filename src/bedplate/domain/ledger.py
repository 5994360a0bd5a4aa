"""What the ledger's records are, how they are chained, and what can be read from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from bedplate.domain.names import version_of_release

Kind = Literal[
    "registered-data",
    "trained",
    "promoted",
    "evaluated",
    "approved",
    "rejected",
    "forced",
    "deploying",
    "resumed",
    "deployed",
    "rolled-back",
    "rollback",
    "baseline",
    "monitored",
    "alert",
    "labelled",
    "rollout",
    "drill",
    "retraining",
    "retired",
]
MAX_SKEW_S = 60.0
"""A record's time may differ by so much from the time of its object before `verify` says so."""
GENESIS = "0" * 64
"""`prev` of the first record."""
LIVE_KINDS: tuple[Kind, ...] = ("deployed", "rolled-back", "rollback")
"""Written after the endpoint was asked; their `data["live"]` is the release that answered."""
_FIELDS = {"seq", "at", "kind", "model", "version", "actor", "summary", "data", "prev", "hash"}


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened, before it has its place in the chain. `data` holds JSON values only."""

    kind: Kind
    model: str | None
    version: int | None
    actor: str
    summary: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """At its place: `prev` is the SHA-256 of the previous record's bytes, `hash` that of this one without `hash`."""

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


class CorruptRecord(ValueError):
    """The bytes are no record."""


def place(entry: Entry, *, seq: int, at: datetime, prev: str, not_before: datetime | None = None) -> Record:
    """Put an entry into the chain behind the record whose bytes hash to `prev`.

    Times never run backwards along the chain: with `not_before` (the previous record's time) a writer whose clock is
    behind is given that time. Raises ValueError when `data` is not JSON.
    """
    moment = max(at, not_before) if not_before else at
    record = Record(
        seq,
        moment.astimezone(UTC),
        entry.kind,
        entry.model,
        entry.version,
        entry.actor,
        entry.summary,
        json.loads(_canonical(entry.data)),
        prev,
        "",
    )
    return replace(record, hash=sha256(_canonical(_body(record))))


def encode(record: Record) -> bytes:
    """The bytes that are stored: canonical JSON (sorted keys, no white space, UTF-8)."""
    return _canonical(record.to_json())


def decode(raw: bytes) -> Record:
    """Read a stored record. Whether it is the one that was written, `verify` says. Raises Illegible."""
    try:
        v = json.loads(raw)
        if not isinstance(v, dict) or v.keys() != _FIELDS:
            raise CorruptRecord("its fields are not a record's")
        at = datetime.fromisoformat(v["at"])
        return Record(
            int(v["seq"]),
            at,
            v["kind"],
            v["model"],
            v["version"],
            v["actor"],
            v["summary"],
            v["data"],
            v["prev"],
            v["hash"],
        )
    except (ValueError, TypeError) as exc:
        raise exc if isinstance(exc, CorruptRecord) else CorruptRecord(str(exc)) from exc


def sha256(raw: bytes) -> str:
    """Hexadecimal SHA-256.

    >>> sha256(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(raw).hexdigest()


def key(seq: int) -> str:
    """Where a record is stored, below the ledger bucket.

    >>> key(42)
    'ledger/0000000042.json'
    """
    return f"ledger/{seq:010d}.json"


def seq_of(object_key: str) -> int | None:
    """The number in a record's key or URI; None for anything else.

    >>> seq_of("s3://bucket/ledger/0000000042.json"), seq_of("ledger/readme.txt")
    (42, None)
    """
    name = object_key.rpartition("ledger/")[2]
    digits = name.removesuffix(".json")
    return int(digits) if name.endswith(".json") and len(digits) == 10 and digits.isdigit() else None


# --- verification ---------------------------------------------------------------------------------------------------

Fault = Literal["missing", "altered", "wrong-prev", "misplaced", "illegible", "unknown-head"]


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """The first place where the chain does not hold."""

    seq: int
    fault: Fault
    explanation: str


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """A record's own time minus the time at which the bucket stored it, in seconds.

    Above nought the writer's clock was ahead, or that of one before it, for times never run backwards along the chain.
    Below it was behind, or the object was stored again later.
    """

    seq: int
    ahead_s: float


@dataclass(frozen=True, slots=True)
class Verification:
    """`records` were looked at up to the break, or all of them; `head` is the hash of the last good record's bytes.

    A chain cannot say by itself that its end was cut off: keep `last_seq` and `head` elsewhere, and give them to the
    next verification.
    """

    ok: bool
    records: int
    last_seq: int
    head: str
    broken: ChainBreak | None
    read: int | None = None
    """Objects that were read for this; the others are unchanged since they were read last. None: all of them."""
    skewed: tuple[ClockSkew, ...] = ()
    """Records whose time is not when their object was stored: said, and no fault of the chain."""


def verify(stored: Iterable[tuple[int, bytes]], *, known_head: tuple[int, str] | None = None) -> Verification:
    """Check that nothing is missing, altered or out of place; `stored` is (number in the key, bytes), in key order.

    `known_head` is (last_seq, head) of an earlier verification, which must still be part of the chain.
    """
    last, head, count = 0, GENESIS, 0
    known_seen = known_head is None or known_head == (0, GENESIS)
    for seq, raw in stored:
        broken = _fault(seq, raw, last, head)
        if broken:
            return Verification(False, count, last, head, broken)
        last, head, count = seq, sha256(raw), count + 1
        if known_head and seq == known_head[0]:
            if head != known_head[1]:
                text = f"record {seq} is not the one that was there when its hash was noted: the chain was written anew"
                return Verification(False, count, last, head, ChainBreak(seq, "unknown-head", text))
            known_seen = True
    if known_head and not known_seen:
        text = f"the ledger ends at record {last}, but record {known_head[0]} existed: the end was cut off"
        return Verification(False, count, last, head, ChainBreak(last + 1, "missing", text))
    return Verification(True, count, last, head, None)


def _fault(seq: int, raw: bytes, last: int, head: str) -> ChainBreak | None:
    if seq != last + 1:
        gap = f"record {last + 1} is missing" if seq == last + 2 else f"records {last + 1} to {seq - 1} are missing"
        return ChainBreak(last + 1, "missing", f"{gap} (the next one there is {seq})")
    try:
        record = decode(raw)
    except CorruptRecord as exc:
        return ChainBreak(seq, "illegible", f"record {seq} cannot be read: {exc}")
    if record.seq != seq:
        return ChainBreak(seq, "misplaced", f"the object of record {seq} holds record {record.seq}")
    if record.hash != sha256(_canonical(_body(record))) or raw != encode(record):
        return ChainBreak(
            seq, "altered", f"record {seq} ({record.kind}, {record.summary}) was altered: its hash does not fit"
        )
    if record.prev != head:
        who = f"record {last}" if last else "the beginning of the chain"
        return ChainBreak(seq, "wrong-prev", f"record {seq} does not follow {who}: one of the two was replaced")
    return None


# --- who was live ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiveRelease:
    """The release that answered at a time, and the acts that it rests on."""

    model: str
    at: datetime
    release: str
    version: int
    """0 is the fallback that `up` made."""
    since: datetime
    until: datetime | None
    """When the next one took over; None when it is still live."""
    record: Record
    evidence: tuple[Record, ...]
    """Training, verdicts, approval or force of this version, up to then."""


def who_was_live(records: Sequence[Record], model: str, at: datetime) -> LiveRelease | None:
    """The last release that the endpoint was heard to answer with, at or before `at`; None before the first one.

    `records` are those of the ledger in order of their numbers. Before the first `deployed` it is release 0, the
    fallback, that answers: `up` made it, and the ledger does not speak of it.
    """
    told = [r for r in records if r.model == model and r.kind in LIVE_KINDS and r.data.get("live")]
    before = [r for r in told if r.at <= at]
    if not before:
        return None
    record = before[-1]
    release = str(record.data["live"])
    began = record
    for earlier in reversed(before):
        if earlier.data["live"] != release:
            break
        began = earlier
    version = version_of_release(release) or 0
    evidence = tuple(
        r
        for r in records
        if r.model == model
        and r.version == version
        and r.at <= at
        and r.kind in ("trained", "evaluated", "approved", "rejected", "forced", "deploying")
    )
    until = next((r.at for r in told[len(before) :] if r.data["live"] != release), None)
    return LiveRelease(model, at, release, version, began.at, until, record, evidence)


def tells_who_was_live(tail: Sequence[Record], model: str, at: datetime) -> bool:
    """Whether `who_was_live` answers from these last records of the ledger as it would from all of them.

    They must reach back to the release before the one that was live, and to the training of its version, which is the
    first that the ledger hears of it.
    """
    live = who_was_live(tail, model, at)
    if live is None:
        return False
    mine = [r for r in tail if r.model == model]
    before = any(r.kind in LIVE_KINDS and r.at <= live.since and r.data.get("live") != live.release for r in mine)
    first = next((r for r in mine if r.version == live.version), live.record)
    return before and first.kind == "trained"


# --- bytes ----------------------------------------------------------------------------------------------------------


def skew(seq: int, raw: bytes, stored_at: datetime) -> ClockSkew | None:
    """None within `MAX_SKEW_S`, and for bytes that are no record. Reads the time only: there may be many records."""
    start = raw.find(b'"at":"') + 6  # the first key but `actor`, in whose value quotes are escaped
    try:
        said = datetime.fromisoformat(raw[start : raw.index(b'"', start)].decode())
    except ValueError:
        return None
    ahead_s = (said - stored_at).total_seconds()
    return ClockSkew(seq, ahead_s) if abs(ahead_s) > MAX_SKEW_S else None


def present(records: Sequence[Record], now: datetime) -> datetime:
    """Now, or the last record's time when a writer's clock was ahead of ours: what is written is no future."""
    return max(now, records[-1].at) if records else now


def iso_ms(moment: datetime) -> str:
    """UTC, ISO 8601, milliseconds.

    >>> iso_ms(datetime(2013, 7, 1, 12, 0, 0, 123456, tzinfo=UTC))
    '2013-07-01T12:00:00.123Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _body(record: Record) -> dict[str, Any]:
    return {
        "seq": record.seq,
        "at": iso_ms(record.at),
        "kind": record.kind,
        "model": record.model,
        "version": record.version,
        "actor": record.actor,
        "summary": record.summary,
        "data": record.data,
        "prev": record.prev,
    }


def _canonical(value: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except TypeError as exc:
        raise ValueError(f"a record's data must be JSON: {exc}") from exc
    return text.encode()
