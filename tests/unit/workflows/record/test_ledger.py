"""The ledger in S3: concurrent writers, gaps, the cache, verification and clock skew."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from bedplate.domain.ledger import GENESIS, Entry, build_record, encode, object_key, parse_seq, sha256
from bedplate.errors import Conflict, PlatformError
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.record.ledger_cache import LedgerCache
from fakes import FakeClock, FakeObjects


def build_ledger(objects: FakeObjects) -> Ledger:
    return Ledger(objects, "ledger", objects.clock)


def append(ledger: Ledger, text: str = "x") -> int:
    return ledger.record("trained", text, actor="ada@example.com", model="churn", version=1).seq


def test_records_are_numbered_from_one_and_verify() -> None:
    ledger = build_ledger(FakeObjects())
    assert [append(ledger) for _ in range(3)] == [1, 2, 3]
    assert ledger.verify().ok


def test_lost_race_is_retried_with_the_next_number() -> None:
    objects = FakeObjects()
    other_ledger = build_ledger(objects)
    races: list[str] = []

    def race(uri: str) -> None:
        if not races:
            races.append(uri)
            append(other_ledger, "theirs")

    objects.race = race
    assert append(build_ledger(objects), "ours") == 2
    assert [r.summary for r in other_ledger.records()] == ["theirs", "ours"]
    assert other_ledger.verify().ok


def test_concurrent_writers_lose_no_record() -> None:
    objects = FakeObjects()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: append(build_ledger(objects), str(i)), range(60)))
    ledger = build_ledger(objects)
    assert ledger.verify().ok
    assert sorted(int(r.summary) for r in ledger.records()) == list(range(60))


def test_write_with_a_lost_response_is_recorded_once() -> None:
    objects = FakeObjects()
    put_if_absent = objects.put_if_absent

    def lose_response(uri: str, body: bytes) -> bool:
        put_if_absent(uri, body)
        return False

    objects.put_if_absent = lose_response  # type: ignore[method-assign]
    assert append(build_ledger(objects)) == 1
    assert len(objects.contents) == 1


def test_too_many_lost_races_are_a_conflict() -> None:
    objects = FakeObjects()

    def write_first(uri: str) -> None:
        entry = Entry("trained", "churn", 1, "eve@example.com", "first", {})
        objects.contents[uri] = encode(
            build_record(entry, seq=parse_seq(uri) or 0, at=objects.clock.now(), prev="0" * 64)
        )

    objects.race = write_first
    with pytest.raises(Conflict):
        append(build_ledger(objects))


@pytest.mark.parametrize("length", [999, 1000, 1001, 2500, 7777])
def test_end_of_a_long_ledger_is_found(length: int) -> None:
    objects = FakeObjects(contents={f"s3://ledger/{object_key(seq)}": b"" for seq in range(1, length + 1)})
    assert build_ledger(objects).last_seq() == length


def test_end_is_found_after_a_gap() -> None:
    objects = FakeObjects(
        contents={f"s3://ledger/{object_key(seq)}": b"" for seq in range(1, 5001) if not 1990 < seq < 4100}
    )
    assert build_ledger(objects).last_seq() == 5000


def test_slow_clock_does_not_reverse_the_times() -> None:
    objects = FakeObjects()
    append(build_ledger(objects))
    slow_clock = FakeClock(objects.clock.now() - timedelta(hours=1))
    Ledger(objects, "ledger", slow_clock).record("approved", "y", actor="b@example.com")
    first, second = build_ledger(objects).records()
    assert second.at >= first.at


def test_no_record_is_appended_after_a_corrupt_one() -> None:
    objects = FakeObjects(contents={"s3://ledger/ledger/0000000001.json": b"{}"})
    with pytest.raises(PlatformError, match="Record 1"):
        append(build_ledger(objects))
    assert len(objects.contents) == 1


def test_other_objects_in_the_bucket_are_ignored() -> None:
    objects = FakeObjects(contents={"s3://ledger/ledger/readme.txt": b"hello"})
    assert append(build_ledger(objects)) == 1
    assert build_ledger(objects).verify().ok


def cached_ledger(objects: FakeObjects, folder: Path) -> Ledger:
    return Ledger(objects, "ledger", objects.clock, cache=LedgerCache(folder / "ledger.jsonl"))


def test_cached_records_are_not_fetched_again(tmp_path: Path) -> None:
    objects = FakeObjects()
    for number in range(20):
        append(build_ledger(objects), str(number))
    assert len(cached_ledger(objects, tmp_path).records()) == 20
    append(build_ledger(objects), "20")
    objects.gets.clear()
    assert [r.summary for r in cached_ledger(objects, tmp_path).records()] == [str(n) for n in range(21)]
    assert len(objects.gets) == 2, "the last cached record, to check that it is current, and the new one"


def build_long_ledger(length: int) -> FakeObjects:
    objects = FakeObjects()
    prev = GENESIS
    for seq in range(1, length + 1):
        raw = encode(
            build_record(Entry("alert", None, None, "ada", str(seq)), seq=seq, at=objects.clock.now(), prev=prev)
        )
        objects.contents[f"s3://ledger/{object_key(seq)}"], prev = raw, sha256(raw)
    return objects


def test_latest_records_are_fetched_from_the_end(tmp_path: Path) -> None:
    objects = build_long_ledger(2600)
    records = cached_ledger(objects, tmp_path).read_latest(lambda tail: tail[0].seq <= 2000)
    assert [r.seq for r in records] == list(range(1101, 2601)), "500 records, and twice as many before them"
    assert len(objects.gets) == 1500
    assert len(cached_ledger(objects, tmp_path).read_latest(lambda _: False)) == 2600


def test_tail_cache_grows_at_both_ends(tmp_path: Path) -> None:
    objects = build_long_ledger(2600)
    assert len(cached_ledger(objects, tmp_path).read_latest(lambda tail: tail[0].seq <= 2200)) == 500
    append(build_ledger(objects), "2601")
    objects.gets.clear()
    records = cached_ledger(objects, tmp_path).read_latest(lambda tail: tail[0].seq <= 2200)
    assert ([r.seq for r in records], records[-1].summary) == (list(range(2101, 2602)), "2601")
    assert len(objects.gets) == 2, "the last cached record, to check that it is current, and the new one"
    assert cached_ledger(objects, tmp_path).read_latest(lambda tail: tail[0].seq <= 1700)[0].seq == 1600


def test_tail_cache_of_another_ledger_is_discarded(tmp_path: Path) -> None:
    cached_ledger(build_long_ledger(1200), tmp_path).read_latest(lambda _: True)
    new = build_long_ledger(0)
    for number in range(1201):
        append(build_ledger(new), f"new {number}")
    assert cached_ledger(new, tmp_path).read_latest(lambda _: True)[-1].summary == "new 1200"
    (tmp_path / "ledger.tail").write_bytes(b"garbage")
    assert cached_ledger(new, tmp_path).read_latest(lambda _: True)[-1].summary == "new 1200"


def test_latest_records_of_a_cached_ledger_or_one_with_a_gap_are_all_records(tmp_path: Path) -> None:
    objects = build_long_ledger(1100)
    cached_ledger(objects, tmp_path).records()
    assert len(cached_ledger(objects, tmp_path).read_latest(lambda _: True)) == 1100
    del objects.contents[f"s3://ledger/{object_key(1099)}"]
    assert len(build_ledger(objects).read_latest(lambda _: True)) == 1099


def test_cache_of_an_old_ledger_does_not_mix_with_a_new_one(tmp_path: Path) -> None:
    old, new = FakeObjects(), FakeObjects()
    for number in range(3):
        append(build_ledger(old), f"old {number}")
    cached_ledger(old, tmp_path).records()
    append(build_ledger(new), "new")
    assert [r.summary for r in cached_ledger(new, tmp_path).records()] == ["new"]
    for number in range(3):
        append(build_ledger(new), f"new {number}")
    assert [r.summary for r in cached_ledger(new, tmp_path).records()] == ["new", "new 0", "new 1", "new 2"]


@pytest.mark.parametrize("altered", [b"{}", b'{"at"'])
def test_verification_reads_changed_objects(tmp_path: Path, altered: bytes) -> None:
    objects = FakeObjects()
    for number in range(3):
        append(build_ledger(objects), str(number))
    ledger = cached_ledger(objects, tmp_path)
    assert ledger.verify().ok
    uri = f"s3://ledger/{object_key(2)}"
    objects.contents[uri] = altered.ljust(len(objects.contents[uri]))
    objects.gets.clear()
    result = ledger.verify()
    assert result.first_break is not None
    assert (result.first_break.seq, result.first_break.fault) == (2, "corrupt")


def test_verification_fetches_only_new_objects(tmp_path: Path) -> None:
    objects = FakeObjects()
    for number in range(20):
        append(build_ledger(objects), str(number))
    assert cached_ledger(objects, tmp_path).verify().objects_read == 20
    append(build_ledger(objects), "20")
    objects.gets.clear()
    result = cached_ledger(objects, tmp_path).verify()
    assert (result.ok, result.record_count, result.objects_read, len(objects.gets)) == (True, 21, 1, 1)
    assert cached_ledger(objects, tmp_path).verify(full=True).objects_read == 21


def test_altered_cache_is_not_a_fault_of_the_ledger(tmp_path: Path) -> None:
    objects = FakeObjects()
    for number in range(3):
        append(build_ledger(objects), str(number))
    cached_ledger(objects, tmp_path).verify()
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"summary":"1"', b'"summary":"9"'))
    assert cached_ledger(objects, tmp_path).verify().ok


def test_deleted_record_is_missing_although_it_is_cached(tmp_path: Path) -> None:
    objects = FakeObjects()
    for number in range(3):
        append(build_ledger(objects), str(number))
    cached_ledger(objects, tmp_path).verify()
    del objects.contents[f"s3://ledger/{object_key(2)}"]
    result = cached_ledger(objects, tmp_path).verify()
    assert result.first_break is not None
    assert result.first_break.fault == "missing"


def test_unreadable_cache_is_ignored(tmp_path: Path) -> None:
    objects = FakeObjects()
    append(build_ledger(objects))
    (tmp_path / "ledger.jsonl").write_bytes(b"garbage")
    assert len(cached_ledger(objects, tmp_path).records()) == 1
    assert len(Ledger(objects, "ledger", objects.clock, cache=LedgerCache(tmp_path)).records()) == 1


def test_ledger_with_a_gap_is_not_cached(tmp_path: Path) -> None:
    objects = FakeObjects()
    for number in range(3):
        append(build_ledger(objects), str(number))
    del objects.contents[f"s3://ledger/{object_key(2)}"]
    assert [r.seq for r in cached_ledger(objects, tmp_path).records()] == [1, 3]
    assert not (tmp_path / "ledger.jsonl").exists()


def test_verification_reports_clock_skew_of_a_fast_writer_and_the_records_after_it() -> None:
    objects = FakeObjects()
    objects.clock = FakeClock()
    fast_clock = FakeClock()
    fast_clock.sleep(3600)
    for clock in (objects.clock, fast_clock, objects.clock):
        Ledger(objects, "ledger", clock).record("alert", "x", actor="ada")
    result = Ledger(objects, "ledger", objects.clock).verify()
    assert result.ok
    assert [(s.seq, s.ahead_s) for s in result.clock_skews] == [(2, 3600), (3, 3600)]
