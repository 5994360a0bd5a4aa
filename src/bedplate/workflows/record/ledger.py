"""Appends records to the ledger and reads them: one hash chain per stack, safe for concurrent writers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from random import Random
from typing import Any

from bedplate.domain.ledger import (
    GENESIS,
    CorruptRecord,
    Entry,
    Kind,
    Record,
    Verification,
    build_record,
    decode,
    encode,
    measure_clock_skew,
    object_key,
    parse_seq,
    sha256,
    verify,
)
from bedplate.errors import Conflict, NotFound, PlatformError
from bedplate.ports import Clock, Objects
from bedplate.workflows.record.ledger_cache import CachedRecord, LedgerCache
from bedplate.workflows.stack_context import StackContext

MAX_RACES = 100
"""Lost races after which a writer gives up; each lost race means that another writer made progress."""
FIRST_WAIT_S, MAX_WAIT_S = 0.01, 0.5
_PAGE = 1000
_PROBES = 16
_INITIAL_RECORDS = 500
"""Number of records that are fetched first, before checking whether they are enough."""


@dataclass(frozen=True, slots=True)
class _StoredObject:
    """A record's object in a bucket listing."""

    seq: int
    etag: str
    size: int
    stored_at: datetime


def _is_current(copy: CachedRecord, stored: _StoredObject) -> bool:
    return bool(stored.etag) and copy.etag == stored.etag and len(copy.raw) == stored.size


class Ledger:
    """The ledger in one bucket. Appending never overwrites an object; reading validates every record."""

    def __init__(
        self,
        objects: Objects,
        bucket: str,
        clock: Clock,
        *,
        cache: LedgerCache | None = None,
        random: Random | None = None,
    ) -> None:
        self._objects = objects
        self._bucket = bucket
        self._clock = clock
        self._cache = cache
        self._last_seq = 0
        self._random = random or Random()

    @classmethod
    def of(cls, stack: StackContext) -> Ledger:
        """Returns a stack's ledger with a cache in the project's `.bedplate` folder."""
        bucket = stack.outputs.ledger_bucket
        return cls(stack.objects, bucket, stack.clock, cache=LedgerCache.of(stack.project_dir, bucket))

    def record(
        self,
        kind: Kind,
        summary: str,
        *,
        actor: str,
        model: str | None = None,
        version: int | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Record:
        """Appends a record; see `append`."""
        return self.append(Entry(kind, model, version, actor, summary, data or {}))

    def append(self, entry: Entry) -> Record:
        """Appends the entry after the last record, or after the records of writers that were faster.

        Raises Conflict after `MAX_RACES` lost races, PlatformError when the last record cannot be read.
        """
        last = self.last_seq()
        for races in range(MAX_RACES):
            last = self._back_off(races, last)
            record, is_stored = self._try_append(entry, last)
            self._last_seq = record.seq
            if is_stored:
                return record
        raise Conflict(f"This writer lost {MAX_RACES} races for the ledger's end", next_step="the same command again")

    def _try_append(self, entry: Entry, last: int) -> tuple[Record, bool]:
        """Writes the entry after record `last`; returns the record and whether it is stored.

        A write that was sent twice, because its response was lost, finds its own bytes and counts as stored.
        """
        record = self._build_record(entry, last)
        raw = encode(record)
        return record, self._objects.put_if_absent(self._uri(record.seq), raw) or self._get(record.seq) == raw

    def _back_off(self, races: int, last: int) -> int:
        """Waits a random time that grows with the lost races, and returns the last record's number after that.

        Full jitter makes many writers spread out instead of all requesting the same number (Brooker, Exponential
        Backoff And Jitter, 2015). Trying the next number without listing again would not be enough: among many writers
        the end of the ledger moves faster.
        """
        if races > 1:
            self._clock.sleep(self._random.uniform(0, min(MAX_WAIT_S, FIRST_WAIT_S * 2**races)))
        return self.last_seq() if races else last

    def append_unless(self, entry: Entry, *, since: int, conflicts: Callable[[Record], bool]) -> Record:
        """Appends the entry unless a record after number `since`, the last one that was read, `conflicts` with it.

        So a decision is recorded only while it still follows from all records, and of two concurrent decisions only one
        is recorded. Raises Conflict with the conflicting record.
        """
        last = since
        for _ in range(MAX_RACES):
            for stored in self._list_objects(after=last):
                other = self._decode(stored.seq, self._get(stored.seq))
                if conflicts(other):
                    raise Conflict(f"{other.actor} was faster: {other.summary}", next_step="bedplate rollout status")
                last = stored.seq
            record, is_stored = self._try_append(entry, last)
            if is_stored:
                self._last_seq = record.seq
                return record
        raise Conflict(f"Others wrote {MAX_RACES} records to the ledger in a row", next_step="bedplate ledger verify")

    def last_seq(self) -> int:
        """Returns the number of the last record, 0 for an empty ledger.

        Needs one listing when up to a thousand records follow the last known one, and some probes otherwise. A gap in
        the chain has no effect, because the end is always the end of a listing.
        """
        last = self._last_seq
        while True:
            page = list(islice(self._objects.list(self._prefix, start_after=self._uri(last)), _PAGE))
            last = max((seq for info in page if (seq := parse_seq(info.uri)) is not None), default=last)
            if len(page) < _PAGE:
                break
            last = self._probe_ahead(last)
        self._last_seq = last
        return last

    def records(self) -> list[Record]:
        """Returns every record in order. Raises PlatformError for one that cannot be read."""
        cached = self._load_cache()
        listed = self._list_objects(after=len(cached))
        bodies = zip(listed, self._read_bodies(listed), strict=True)
        copies = [*enumerate(cached, 1), *((s.seq, CachedRecord(s.etag, raw)) for s, raw in bodies)]
        if listed:
            self._save_cache(copies)
        return [self._decode(seq, copy.raw) for seq, copy in copies]

    def read_latest(self, is_enough: Callable[[Sequence[Record]], bool]) -> list[Record]:
        """Returns the ledger's last records, as many as are enough; all of them when few are missing from the cache.

        So a question about the present does not fetch years of records to a new machine; the fetched ones are cached.
        Raises PlatformError for a record that cannot be read.
        """
        last = self.last_seq()
        if last - len(self._load_cache()) <= _INITIAL_RECORDS:
            return self.records()
        first, bodies = self._load_tail(last)
        cached = len(bodies)
        try:
            bodies += self._get_range(range(first + cached, last + 1))
            records = self._decode_all(first, bodies)
            stride = max(_INITIAL_RECORDS, len(bodies))
            while first > 1 and not (records and is_enough(records)):
                end, first, stride = first, max(1, first - stride), stride * 2
                earlier = self._get_range(range(first, end))
                bodies, records = earlier + bodies, self._decode_all(first, earlier) + records
        except NotFound:  # a gap: the listing shows the existing records
            return self.records()
        if self._cache and len(bodies) > cached:
            self._cache.tail.save([CachedRecord("", raw) for raw in bodies])
        return records

    def read_objects(self) -> Iterator[tuple[int, bytes]]:
        """Yields (number, bytes) of every record in order, read in parallel and never from the cache."""
        listed = self._list_objects()
        yield from zip((s.seq for s in listed), self._read_bodies(listed), strict=True)

    def verify(
        self,
        expected_head: tuple[int, str] | None = None,
        *,
        full: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Verification:
        """Verifies the whole chain. Objects that were read before are read again only when their ETag has changed.

        After a break that may come from the cache, and with `full`, every object is read again. `progress` is called
        with (objects read, objects to read).
        """
        listed = self._list_objects()
        cached = [] if full or self._cache is None else self._cache.load()
        current = {s.seq for s in listed if s.seq <= len(cached) and _is_current(cached[s.seq - 1], s)}
        unread = [s for s in listed if s.seq not in current]
        bodies = self._read_bodies(unread, progress)
        copies = [
            (s.seq, cached[s.seq - 1] if s.seq in current else CachedRecord(s.etag, next(bodies))) for s in listed
        ]
        result = verify(((seq, copy.raw) for seq, copy in copies), expected_head=expected_head)
        if not result.ok and current:
            return self.verify(expected_head, full=True, progress=progress)
        if result.ok:
            self._save_cache(copies)
        skews = (measure_clock_skew(s.seq, copy.raw, s.stored_at) for s, (_, copy) in zip(listed, copies, strict=True))
        return replace(result, objects_read=len(unread), clock_skews=tuple(s for s in skews if s))

    def _list_objects(self, *, after: int = 0) -> list[_StoredObject]:
        infos = self._objects.list(self._prefix, start_after=self._uri(after))
        return [
            _StoredObject(seq, i.etag, i.size, i.modified_at) for i in infos if (seq := parse_seq(i.uri)) is not None
        ]

    def _read_bodies(
        self, listed: Sequence[_StoredObject], progress: Callable[[int, int], None] | None = None
    ) -> Iterator[bytes]:
        for count, raw in enumerate(self._objects.get_many([self._uri(s.seq) for s in listed]), 1):
            if progress:
                progress(count, len(listed))
            yield raw

    def _save_cache(self, copies: Sequence[tuple[int, CachedRecord]]) -> None:
        if self._cache and [seq for seq, _ in copies] == list(range(1, len(copies) + 1)):
            self._cache.save([copy for _, copy in copies])

    def _load_cache(self) -> list[CachedRecord]:
        """Returns the cached records if the last one is unchanged in the bucket; its hash then covers the others."""
        cached = self._cache.load() if self._cache else []
        try:
            return cached if cached and self._get(len(cached)) == cached[-1].raw else []
        except NotFound:
            return []

    def _load_tail(self, last: int) -> tuple[int, list[bytes]]:
        """Returns the first record's number and the bytes of the tail cache; (`last` + 1, []) when it is outdated."""
        bodies = [copy.raw for copy in self._cache.tail.load()] if self._cache else []
        try:
            if bodies and self._get(decode(bodies[-1]).seq) == bodies[-1]:
                return decode(bodies[0]).seq, bodies
        except (CorruptRecord, NotFound):
            pass
        return last + 1, []

    def _get_range(self, seqs: range) -> list[bytes]:
        return list(self._objects.get_many([self._uri(seq) for seq in seqs]))

    def _build_record(self, entry: Entry, last: int) -> Record:
        now = self._clock.now()
        if last == 0:
            return build_record(entry, seq=1, at=now, prev=GENESIS)
        raw = self._get(last)
        previous = self._decode(last, raw)
        return build_record(entry, seq=last + 1, at=now, prev=sha256(raw), min_time=previous.at)

    def _probe_ahead(self, low: int) -> int:
        """Returns an existing number after `low`, nearer to the end: by doubling strides, then by sixteenths of one."""
        with ThreadPoolExecutor(_PROBES) as pool:
            strides = [_PAGE * 2**i for i in range(_PROBES)]
            high = self._last_existing(pool, [low + stride for stride in strides])
            if high is None:
                return low
            step = (high - low) // _PROBES
            return self._last_existing(pool, [high + step * i for i in range(_PROBES)]) or high

    def _last_existing(self, pool: ThreadPoolExecutor, seqs: Sequence[int]) -> int | None:
        exists = pool.map(lambda seq: self._objects.exists(self._uri(seq)), seqs)
        return max((seq for seq, does_exist in zip(seqs, exists, strict=True) if does_exist), default=None)

    def _decode_all(self, first: int, bodies: Sequence[bytes]) -> list[Record]:
        """Decodes consecutive records, the first of which has the number `first`."""
        return [self._decode(seq, raw) for seq, raw in enumerate(bodies, first)]

    def _decode(self, seq: int, raw: bytes) -> Record:
        try:
            return decode(raw)
        except CorruptRecord as exc:
            raise PlatformError(
                f"Record {seq} of the ledger cannot be read: {exc}", next_step="bedplate ledger verify"
            ) from exc

    def _get(self, seq: int) -> bytes:
        return self._objects.get(self._uri(seq))

    def _uri(self, seq: int) -> str:
        return f"s3://{self._bucket}/{object_key(seq)}"

    @property
    def _prefix(self) -> str:
        return f"s3://{self._bucket}/ledger/"
