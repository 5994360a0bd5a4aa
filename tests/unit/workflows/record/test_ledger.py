from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from bedplate.domain.ledger import GENESIS, Entry, encode, key, place, seq_of, sha256
from bedplate.errors import Conflict, PlatformError
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.record.ledger_cache import LedgerCache
from fakes import FakeClock, FakeObjects


def a_ledger(objects: FakeObjects) -> Ledger:
    return Ledger(objects, "ledger", objects.clock)


def note(ledger: Ledger, text: str = "x") -> int:
    return ledger.record("trained", text, actor="ada@example.com", model="churn", version=1).seq


def test_records_are_numbered_from_one_and_verify() -> None:
    ledger = a_ledger(FakeObjects())
    assert [note(ledger) for _ in range(3)] == [1, 2, 3]
    assert ledger.verify().ok


def test_a_lost_race_is_tried_with_the_next_number() -> None:
    objects = FakeObjects()
    theirs = a_ledger(objects)
    lost: list[str] = []

    def race(uri: str) -> None:
        if not lost:
            lost.append(uri)
            note(theirs, "theirs")

    objects.race = race
    assert note(a_ledger(objects), "ours") == 2
    assert [r.summary for r in theirs.records()] == ["theirs", "ours"]
    assert theirs.verify().ok


def test_many_writers_lose_nothing() -> None:
    objects = FakeObjects()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: note(a_ledger(objects), str(i)), range(60)))
    ledger = a_ledger(objects)
    assert ledger.verify().ok
    assert sorted(int(r.summary) for r in ledger.records()) == list(range(60))


def test_a_write_that_was_sent_twice_is_recorded_once() -> None:
    objects = FakeObjects()
    honest = objects.put_if_absent

    def answer_lost(uri: str, body: bytes) -> bool:
        honest(uri, body)
        return False

    objects.put_if_absent = answer_lost  # type: ignore[method-assign]
    assert note(a_ledger(objects)) == 1
    assert len(objects.held) == 1


def test_endless_races_end_in_a_conflict() -> None:
    objects = FakeObjects()

    def always_first(uri: str) -> None:
        entry = Entry("trained", "churn", 1, "eve@example.com", "first", {})
        objects.held[uri] = encode(place(entry, seq=seq_of(uri) or 0, at=objects.clock.now(), prev="0" * 64))

    objects.race = always_first
    with pytest.raises(Conflict):
        note(a_ledger(objects))


@pytest.mark.parametrize("length", [999, 1000, 1001, 2500, 7777])
def test_the_end_of_a_long_ledger_is_found_with_few_listings(length: int) -> None:
    objects = FakeObjects(held={f"s3://ledger/{key(seq)}": b"" for seq in range(1, length + 1)})
    assert a_ledger(objects).last_seq() == length


def test_the_end_is_found_behind_a_gap() -> None:
    objects = FakeObjects(held={f"s3://ledger/{key(seq)}": b"" for seq in range(1, 5001) if not 1990 < seq < 4100})
    assert a_ledger(objects).last_seq() == 5000


def test_a_clock_that_runs_behind_does_not_turn_the_order_round() -> None:
    objects = FakeObjects()
    note(a_ledger(objects))
    behind = FakeClock(objects.clock.now() - timedelta(hours=1))
    Ledger(objects, "ledger", behind).record("approved", "y", actor="b@example.com")
    first, second = a_ledger(objects).records()
    assert second.at >= first.at


def test_nothing_is_appended_behind_an_illegible_record() -> None:
    objects = FakeObjects(held={"s3://ledger/ledger/0000000001.json": b"{}"})
    with pytest.raises(PlatformError, match="Record 1"):
        note(a_ledger(objects))
    assert len(objects.held) == 1


def test_strange_objects_in_the_bucket_are_not_records() -> None:
    objects = FakeObjects(held={"s3://ledger/ledger/readme.txt": b"hello"})
    assert note(a_ledger(objects)) == 1
    assert a_ledger(objects).verify().ok


def kept(objects: FakeObjects, folder: Path) -> Ledger:
    return Ledger(objects, "ledger", objects.clock, cache=LedgerCache(folder / "ledger.jsonl"))


def test_what_was_read_once_is_not_fetched_again(tmp_path: Path) -> None:
    objects = FakeObjects()
    for number in range(20):
        note(a_ledger(objects), str(number))
    assert len(kept(objects, tmp_path).records()) == 20
    note(a_ledger(objects), "20")
    objects.gets.clear()
    assert [r.summary for r in kept(objects, tmp_path).records()] == [str(n) for n in range(21)]
    assert len(objects.gets) == 2, "the last one kept, to see that it still holds, and the new one"


def a_long_ledger(length: int) -> FakeObjects:
    objects = FakeObjects()
    prev = GENESIS
    for seq in range(1, length + 1):
        raw = encode(place(Entry("alert", None, None, "ada", str(seq)), seq=seq, at=objects.clock.now(), prev=prev))
        objects.held[f"s3://ledger/{key(seq)}"], prev = raw, sha256(raw)
    return objects


def test_a_question_about_the_present_fetches_the_end_of_a_long_ledger_only(tmp_path: Path) -> None:
    objects = a_long_ledger(2600)
    found = kept(objects, tmp_path).latest(lambda tail: tail[0].seq <= 2000)
    assert [r.seq for r in found] == list(range(1101, 2601)), "500 records, and twice as many before them"
    assert len(objects.gets) == 1500
    assert len(kept(objects, tmp_path).latest(lambda _: False)) == 2600


def test_the_end_that_was_fetched_once_is_kept_and_grows_at_both_ends(tmp_path: Path) -> None:
    objects = a_long_ledger(2600)
    assert len(kept(objects, tmp_path).latest(lambda tail: tail[0].seq <= 2200)) == 500
    note(a_ledger(objects), "2601")
    objects.gets.clear()
    found = kept(objects, tmp_path).latest(lambda tail: tail[0].seq <= 2200)
    assert ([r.seq for r in found], found[-1].summary) == (list(range(2101, 2602)), "2601")
    assert len(objects.gets) == 2, "the last one kept, to see that it still holds, and the new one"
    assert kept(objects, tmp_path).latest(lambda tail: tail[0].seq <= 1700)[0].seq == 1600


def test_the_end_that_was_kept_of_another_ledger_is_forgotten(tmp_path: Path) -> None:
    kept(a_long_ledger(1200), tmp_path).latest(lambda _: True)
    fresh = a_long_ledger(0)
    for number in range(1201):
        note(a_ledger(fresh), f"new {number}")
    assert kept(fresh, tmp_path).latest(lambda _: True)[-1].summary == "new 1200"
    (tmp_path / "ledger.tail").write_bytes(b"garbage")
    assert kept(fresh, tmp_path).latest(lambda _: True)[-1].summary == "new 1200"


def test_the_end_of_a_ledger_with_a_gap_or_with_a_copy_here_is_all_of_it(tmp_path: Path) -> None:
    objects = a_long_ledger(1100)
    kept(objects, tmp_path).records()
    assert len(kept(objects, tmp_path).latest(lambda _: True)) == 1100
    del objects.held[f"s3://ledger/{key(1099)}"]
    assert len(a_ledger(objects).latest(lambda _: True)) == 1099


def test_a_ledger_that_began_anew_does_not_mix_with_the_copy_of_the_old_one(tmp_path: Path) -> None:
    old, new = FakeObjects(), FakeObjects()
    for number in range(3):
        note(a_ledger(old), f"old {number}")
    kept(old, tmp_path).records()
    note(a_ledger(new), "new")
    assert [r.summary for r in kept(new, tmp_path).records()] == ["new"]
    for number in range(3):
        note(a_ledger(new), f"new {number}")
    assert [r.summary for r in kept(new, tmp_path).records()] == ["new", "new 0", "new 1", "new 2"]


@pytest.mark.parametrize("altered", [b"{}", b'{"at"'])
def test_verification_reads_what_the_listing_shows_as_changed(tmp_path: Path, altered: bytes) -> None:
    objects = FakeObjects()
    for number in range(3):
        note(a_ledger(objects), str(number))
    ledger = kept(objects, tmp_path)
    assert ledger.verify().ok
    uri = f"s3://ledger/{key(2)}"
    objects.held[uri] = altered.ljust(len(objects.held[uri]))
    objects.gets.clear()
    result = ledger.verify()
    assert result.broken is not None
    assert (result.broken.seq, result.broken.fault) == (2, "illegible")


def test_verification_fetches_only_what_it_has_not_read_before(tmp_path: Path) -> None:
    objects = FakeObjects()
    for number in range(20):
        note(a_ledger(objects), str(number))
    assert kept(objects, tmp_path).verify().read == 20
    note(a_ledger(objects), "20")
    objects.gets.clear()
    result = kept(objects, tmp_path).verify()
    assert (result.ok, result.records, result.read, len(objects.gets)) == (True, 21, 1, 1)
    assert kept(objects, tmp_path).verify(full=True).read == 21


def test_a_copy_that_was_tampered_with_does_not_accuse_the_ledger(tmp_path: Path) -> None:
    objects = FakeObjects()
    for number in range(3):
        note(a_ledger(objects), str(number))
    kept(objects, tmp_path).verify()
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"summary":"1"', b'"summary":"9"'))
    assert kept(objects, tmp_path).verify().ok


def test_a_record_that_is_gone_is_missed_whatever_the_copy_says(tmp_path: Path) -> None:
    objects = FakeObjects()
    for number in range(3):
        note(a_ledger(objects), str(number))
    kept(objects, tmp_path).verify()
    del objects.held[f"s3://ledger/{key(2)}"]
    result = kept(objects, tmp_path).verify()
    assert result.broken is not None
    assert result.broken.fault == "missing"


def test_a_copy_that_cannot_be_read_is_as_good_as_none(tmp_path: Path) -> None:
    objects = FakeObjects()
    note(a_ledger(objects))
    (tmp_path / "ledger.jsonl").write_bytes(b"garbage")
    assert len(kept(objects, tmp_path).records()) == 1
    assert len(Ledger(objects, "ledger", objects.clock, cache=LedgerCache(tmp_path)).records()) == 1


def test_a_ledger_with_a_gap_is_never_kept(tmp_path: Path) -> None:
    objects = FakeObjects()
    for number in range(3):
        note(a_ledger(objects), str(number))
    del objects.held[f"s3://ledger/{key(2)}"]
    assert [r.seq for r in kept(objects, tmp_path).records()] == [1, 3]
    assert not (tmp_path / "ledger.jsonl").exists()


def test_verification_tells_of_a_writer_whose_clock_is_ahead_and_of_all_that_it_drags_along() -> None:
    objects = FakeObjects()
    objects.clock = FakeClock()
    ahead = FakeClock()
    ahead.sleep(3600)
    for clock in (objects.clock, ahead, objects.clock):
        Ledger(objects, "ledger", clock).record("alert", "x", actor="ada")
    result = Ledger(objects, "ledger", objects.clock).verify()
    assert result.ok
    assert [(s.seq, s.ahead_s) for s in result.skewed] == [(2, 3600), (3, 3600)]
