"""Writes to the ledger and reads from it: one chain per stack, safe for writers that do not know of each other."""

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
    decode,
    encode,
    key,
    place,
    seq_of,
    sha256,
    skew,
    verify,
)
from bedplate.errors import Conflict, NotFound, PlatformError
from bedplate.ports import Clock, Objects
from bedplate.workflows.record.ledger_cache import CachedRecord, LedgerCache
from bedplate.workflows.stack_context import StackContext

MAX_RACES = 100
"""Writers that got ahead of us before we give up; each lost race means that somebody else made progress."""
FIRST_WAIT_S, MAX_WAIT_S = 0.01, 0.5
_PAGE = 1000
_PROBES = 16
_FEW = 500
"""Records that are fetched without asking whether so many are needed."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """A record's object as a listing has it."""

    seq: int
    etag: str
    size: int
    stored_at: datetime


def _same(copy: CachedRecord, stored: _Stored) -> bool:
    return bool(stored.etag) and copy.etag == stored.etag and len(copy.raw) == stored.size


class Ledger:
    """The ledger in one bucket. Appending never overwrites; reading never trusts that a record is well-formed."""

    def __init__(
        self,
        objects: Objects,
        bucket: str,
        clock: Clock,
        *,
        cache: LedgerCache | None = None,
        chance: Random | None = None,
    ) -> None:
        self._objects = objects
        self._bucket = bucket
        self._clock = clock
        self._cache = cache
        self._known = 0
        self._chance = chance or Random()

    @classmethod
    def of(cls, stack: StackContext) -> Ledger:
        """A stack's ledger, with a copy of its records kept in the project's `.bedplate`."""
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
        """Append what happened. See `append`."""
        return self.append(Entry(kind, model, version, actor, summary, data or {}))

    def append(self, entry: Entry) -> Record:
        """Write the entry behind the last record; when somebody else is faster, behind theirs.

        A write whose answer was lost and that was sent again finds its own bytes in place, and that is success.
        Raises Conflict after `MAX_RACES` lost races, PlatformError when the last record is illegible.
        """
        last = self.last_seq()
        for lost in range(MAX_RACES):
            last = self._yield_way(lost, last)
            record = self._place(entry, last)
            raw = encode(record)
            if self._objects.put_if_absent(self._uri(record.seq), raw) or self._raw(record.seq) == raw:
                self._known = record.seq
                return record
            self._known = record.seq
        raise Conflict(f"This writer lost {MAX_RACES} races for the ledger's end", next_step="the same command again")

    def _yield_way(self, lost: int, last: int) -> int:
        """After the first lost race wait a little, by chance and longer each time: full jitter, so that many writers
        spread out instead of all asking for the same number (Brooker, Exponential Backoff And Jitter, 2015).

        Returns the last record's number by then. The next number after the lost one would not do: among many writers
        the end runs away from who walks behind it.
        """
        if lost > 1:
            self._clock.sleep(self._chance.uniform(0, min(MAX_WAIT_S, FIRST_WAIT_S * 2**lost)))
        return self.last_seq() if lost else last

    def append_unless(self, entry: Entry, *, since: int, forbids: Callable[[Record], bool]) -> Record:
        """Append, unless somebody wrote a record that `forbids` it behind number `since`, the last one that was read.

        What was decided from the records up to `since` is written only while it still follows from all of them: two
        who decide at once write one record. Raises Conflict with the record that came first.
        """
        last = since
        for _ in range(MAX_RACES):
            for stored in self._listed(after=last):
                came = self._decoded(stored.seq, self._raw(stored.seq))
                if forbids(came):
                    raise Conflict(f"{came.actor} was faster: {came.summary}", next_step="bedplate rollout status")
                last = stored.seq
            record = self._place(entry, last)
            raw = encode(record)
            if self._objects.put_if_absent(self._uri(record.seq), raw) or self._raw(record.seq) == raw:
                self._known = record.seq
                return record
        raise Conflict(f"Others wrote {MAX_RACES} records to the ledger in a row", next_step="bedplate ledger verify")

    def last_seq(self) -> int:
        """Number of the last record, 0 for an empty ledger.

        One listing for a ledger of up to a thousand records behind the last one known, and some probes for a longer
        one. A gap in the chain does not mislead it: the end is always the end of a listing.
        """
        last = self._known
        while True:
            page = list(islice(self._objects.list(self._prefix, after=self._uri(last)), _PAGE))
            last = max((seq for info in page if (seq := seq_of(info.uri)) is not None), default=last)
            if len(page) < _PAGE:
                break
            last = self._leap(last)
        self._known = last
        return last

    def records(self) -> list[Record]:
        """Every record in order. Raises PlatformError for one that is illegible."""
        kept = self._kept()
        listed = self._listed(after=len(kept))
        found = [*enumerate(kept, 1)]
        found += [(s.seq, CachedRecord(s.etag, raw)) for s, raw in zip(listed, self._read(listed), strict=True)]
        if listed:
            self._keep(found)
        return [self._decoded(seq, copy.raw) for seq, copy in found]

    def latest(self, enough: Callable[[Sequence[Record]], bool]) -> list[Record]:
        """The ledger's last records, as many as are `enough`; all of them where few are missing from the copy here.

        A question about the present need not fetch years of records to a machine that never saw them; what it does
        fetch is kept for the next one. Raises PlatformError for a record that is illegible.
        """
        last, kept = self.last_seq(), len(self._kept())
        if last - kept <= _FEW:
            return self.records()
        first, bodies = self._tail(last)
        held = len(bodies)
        try:
            bodies += self._bodies(range(first + held, last + 1))
            found = self._decoded_from(first, bodies)
            stride = max(_FEW, len(bodies))
            while first > 1 and not (found and enough(found)):
                behind, first, stride = first, max(1, first - stride), stride * 2
                earlier = self._bodies(range(first, behind))
                bodies, found = earlier + bodies, self._decoded_from(first, earlier) + found
        except NotFound:  # a gap: what there is, is in the listing
            return self.records()
        if self._cache and len(bodies) > held:
            self._cache.tail.save([CachedRecord("", raw) for raw in bodies])
        return found

    def stored(self) -> Iterator[tuple[int, bytes]]:
        """(number, bytes) of every record, in order, read in parallel and never from a copy."""
        listed = self._listed()
        yield from zip((s.seq for s in listed), self._read(listed), strict=True)

    def verify(
        self,
        known_head: tuple[int, str] | None = None,
        *,
        full: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Verification:
        """Check the whole chain. Objects that were read before and whose ETag is the same are not read again.

        A fault that is found in a copy is looked for once more in the bucket, for it may be the copy's. With `full`
        every object is read anew. `progress` is told (objects read, objects to read).
        """
        listed = self._listed()
        copies = [] if full or self._cache is None else self._cache.load()
        known = [s.seq <= len(copies) and _same(copies[s.seq - 1], s) for s in listed]
        unread = [s for s, held in zip(listed, known, strict=True) if not held]
        fresh = iter(self._read(unread, progress))
        found = [
            (s.seq, copies[s.seq - 1] if held else CachedRecord(s.etag, next(fresh)))
            for s, held in zip(listed, known, strict=True)
        ]
        result = verify(((seq, copy.raw) for seq, copy in found), known_head=known_head)
        if not result.ok and any(known):
            return self.verify(known_head, full=True, progress=progress)
        if result.ok:
            self._keep(found)
        times = (skew(s.seq, copy.raw, s.stored_at) for s, (_, copy) in zip(listed, found, strict=True))
        return replace(result, read=len(unread), skewed=tuple(t for t in times if t))

    def _listed(self, *, after: int = 0) -> list[_Stored]:
        behind = self._objects.list(self._prefix, after=self._uri(after))
        return [_Stored(seq, i.etag, i.size, i.modified_at) for i in behind if (seq := seq_of(i.uri)) is not None]

    def _read(self, listed: Sequence[_Stored], progress: Callable[[int, int], None] | None = None) -> Iterator[bytes]:
        for done, raw in enumerate(self._objects.get_many([self._uri(s.seq) for s in listed]), 1):
            if progress:
                progress(done, len(listed))
            yield raw

    def _keep(self, found: Sequence[tuple[int, CachedRecord]]) -> None:
        if self._cache and [seq for seq, _ in found] == list(range(1, len(found) + 1)):
            self._cache.save([copy for _, copy in found])

    def _kept(self) -> list[CachedRecord]:
        """The copies kept here, when the last of them is still what is stored: the chain vouches for the others."""
        kept = self._cache.load() if self._cache else []
        try:
            return kept if kept and self._raw(len(kept)) == kept[-1].raw else []
        except NotFound:
            return []

    def _tail(self, last: int) -> tuple[int, list[bytes]]:
        """Number of the first record and the bytes of all that `latest` kept, when they still end as the ledger's do;
        (`last` + 1, none) otherwise."""
        kept = [copy.raw for copy in self._cache.tail.load()] if self._cache else []
        try:
            if kept and self._raw(decode(kept[-1]).seq) == kept[-1]:
                return decode(kept[0]).seq, kept
        except (CorruptRecord, NotFound):
            pass
        return last + 1, []

    def _bodies(self, seqs: range) -> list[bytes]:
        return list(self._objects.get_many([self._uri(seq) for seq in seqs]))

    def _place(self, entry: Entry, last: int) -> Record:
        now = self._clock.now()
        if last == 0:
            return place(entry, seq=1, at=now, prev=GENESIS)
        raw = self._raw(last)
        previous = self._decoded(last, raw)
        return place(entry, seq=last + 1, at=now, prev=sha256(raw), not_before=previous.at)

    def _leap(self, low: int) -> int:
        """A number behind `low` that exists, nearer the end: by doubling strides, then by sixteenths of one."""
        with ThreadPoolExecutor(_PROBES) as pool:
            strides = [_PAGE * 2**i for i in range(_PROBES)]
            reached = self._furthest(pool, [low + stride for stride in strides])
            if reached is None:
                return low
            stride = (reached - low) // _PROBES
            return self._furthest(pool, [reached + stride * i for i in range(_PROBES)]) or reached

    def _furthest(self, pool: ThreadPoolExecutor, seqs: Sequence[int]) -> int | None:
        found = pool.map(lambda seq: self._objects.exists(self._uri(seq)), seqs)
        return max((seq for seq, there in zip(seqs, found, strict=True) if there), default=None)

    def _decoded_from(self, first: int, bodies: Sequence[bytes]) -> list[Record]:
        """The records of these bytes, numbered from `first` on."""
        return [self._decoded(seq, raw) for seq, raw in enumerate(bodies, first)]

    def _decoded(self, seq: int, raw: bytes) -> Record:
        try:
            return decode(raw)
        except CorruptRecord as exc:
            raise PlatformError(
                f"Record {seq} of the ledger cannot be read: {exc}", next_step="bedplate ledger verify"
            ) from exc

    def _raw(self, seq: int) -> bytes:
        return self._objects.get(self._uri(seq))

    def _uri(self, seq: int) -> str:
        return f"s3://{self._bucket}/{key(seq)}"

    @property
    def _prefix(self) -> str:
        return f"s3://{self._bucket}/ledger/"
