from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedplate.domain.ledger import (
    GENESIS,
    ClockSkew,
    CorruptRecord,
    Entry,
    Kind,
    Record,
    decode,
    encode,
    place,
    present,
    sha256,
    skew,
    tells_who_was_live,
    verify,
    who_was_live,
)

START = datetime(2013, 7, 1, tzinfo=UTC)


def chain(*entries: Entry) -> list[tuple[int, bytes]]:
    stored: list[tuple[int, bytes]] = []
    prev = GENESIS
    for seq, entry in enumerate(entries, 1):
        raw = encode(place(entry, seq=seq, at=START + timedelta(hours=seq), prev=prev))
        stored.append((seq, raw))
        prev = sha256(raw)
    return stored


def act(kind: Kind = "trained", version: int | None = 1, **data: Any) -> Entry:
    return Entry(kind, "churn", version, "ada@example.com", f"{kind} v{version}", data)


def records(*entries: Entry) -> list[Record]:
    return [decode(raw) for _, raw in chain(*entries)]


def test_an_empty_ledger_verifies() -> None:
    assert verify([]).ok


def test_an_undisturbed_chain_verifies_and_names_its_head() -> None:
    stored = chain(act(), act("evaluated"), act("approved"))
    result = verify(stored)
    assert (result.ok, result.records, result.last_seq, result.head) == (True, 3, 3, sha256(stored[-1][1]))


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_missing_record_is_named(lost: int) -> None:
    stored = [s for s in chain(*[act() for _ in range(4)]) if s[0] != lost]
    broken = verify(stored).broken
    assert broken is not None
    assert (broken.seq, broken.fault) == (lost, "missing")


def test_an_altered_record_is_named() -> None:
    stored = chain(act(), act(usd=1), act())
    stored[1] = (2, stored[1][1].replace(b'"usd":1', b'"usd":9'))
    broken = verify(stored).broken
    assert broken is not None
    assert (broken.seq, broken.fault) == (2, "altered")


def test_the_same_record_with_other_white_space_counts_as_altered() -> None:
    stored = chain(act())
    stored[0] = (1, json.dumps(json.loads(stored[0][1])).encode())
    broken = verify(stored).broken
    assert broken is not None
    assert broken.fault == "altered"


def test_a_record_written_anew_with_a_fitting_hash_breaks_at_the_next_one() -> None:
    stored = chain(act(), act(usd=1), act())
    honest = decode(stored[1][1])
    forged = place(act(usd=9), seq=2, at=honest.at, prev=honest.prev)
    stored[1] = (2, encode(forged))
    broken = verify(stored).broken
    assert broken is not None
    assert (broken.seq, broken.fault) == (3, "wrong-prev")


def test_a_record_under_another_number_is_misplaced() -> None:
    stored = chain(act(), act())
    broken = verify([stored[0], (2, stored[0][1])]).broken
    assert broken is not None
    assert broken.fault == "misplaced"


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"\xff", b'{"seq": 1}'])
def test_bytes_that_are_no_record_are_illegible(raw: bytes) -> None:
    broken = verify([(1, raw)]).broken
    assert broken is not None
    assert broken.fault == "illegible"
    with pytest.raises(CorruptRecord):
        decode(raw)


def test_a_cut_off_end_is_found_only_with_a_known_head() -> None:
    stored = chain(act(), act(), act())
    noted = verify(stored)
    assert verify(stored[:2]).ok
    broken = verify(stored[:2], known_head=(noted.last_seq, noted.head)).broken
    assert broken is not None
    assert (broken.seq, broken.fault) == (3, "missing")


def test_a_chain_written_anew_is_found_with_a_known_head() -> None:
    noted = verify(chain(act(), act()))
    broken = verify(chain(act(), act(usd=2), act()), known_head=(noted.last_seq, noted.head)).broken
    assert broken is not None
    assert (broken.seq, broken.fault) == (2, "unknown-head")


def test_a_grown_chain_still_holds_a_known_head() -> None:
    noted = verify(chain(act(), act()))
    assert verify(chain(act(), act(), act()), known_head=(noted.last_seq, noted.head)).ok


def test_times_never_run_backwards_when_a_clock_does() -> None:
    record = place(act(), seq=2, at=START, prev=GENESIS, not_before=START + timedelta(seconds=5))
    assert record.at == START + timedelta(seconds=5)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, START])
def test_data_that_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        place(act(x=value), seq=1, at=START, prev=GENESIS)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), json_values),
    st.text(st.characters(exclude_categories=("Cs",))),
)
def test_what_was_written_is_read_back_and_verifies(data: dict[str, Any], summary: str) -> None:
    entry = replace(act(), data=data, summary=summary)
    stored = chain(entry)
    record = decode(stored[0][1])
    assert (record.data, record.summary) == (data, summary)
    assert encode(record) == stored[0][1]
    assert verify(stored).ok


def test_nobody_was_live_before_the_first_deployment() -> None:
    history = records(act(), act("approved"), act("deployed", live="bedplate-local-churn-v1-aaaaaaaa"))
    assert who_was_live(history, "churn", START + timedelta(hours=2.9)) is None
    assert who_was_live([], "churn", START) is None


def test_the_release_that_answered_was_live_not_the_one_that_was_tried() -> None:
    one, two = "bedplate-local-churn-v1-aaaaaaaa", "bedplate-local-churn-v2-bbbbbbbb"
    history = records(
        act(),
        act("approved"),
        act("deployed", live=one),
        act("deploying", 2, target=two),
        act("rolled-back", 2, live=one),
        act("deployed", 2, live=two),
        act("rollback", 1, live=one),
    )

    def live(hours: float) -> tuple[str, int]:
        answer = who_was_live(history, "churn", START + timedelta(hours=hours))
        assert answer is not None
        return answer.release, answer.version

    assert live(3) == (one, 1)
    assert live(5.5) == (one, 1)
    assert live(6) == (two, 2)
    assert live(1000) == (one, 1)
    answer = who_was_live(history, "churn", START + timedelta(hours=5.5))
    assert answer is not None
    assert answer.since == START + timedelta(hours=3)
    assert answer.until == START + timedelta(hours=6)
    assert [r.kind for r in answer.evidence] == ["trained", "approved"]


_ACTS = st.lists(
    st.tuples(st.sampled_from(["evaluated", "approved", "deploying", "deployed", "rolled-back"]), st.integers(0, 5)),
    max_size=30,
)


@given(_ACTS, st.integers(0, 40))
def test_the_end_of_a_ledger_answers_like_the_whole_of_it_or_says_that_it_cannot(
    acts: list[tuple[Kind, int]], hours: int
) -> None:
    told: list[Entry] = []
    for kind, version in acts:
        if version and not any(e.version == version for e in told):
            told.append(act("trained", version))
        told.append(act(kind, version, live=f"bedplate-local-churn-v{version}-0a1b2c3d"))
    history, at = records(*told), START + timedelta(hours=hours)
    whole = who_was_live(history, "churn", at)
    for first in range(len(history)):
        if tells_who_was_live(history[first:], "churn", at):
            assert who_was_live(history[first:], "churn", at) == whole


def test_the_end_of_a_ledger_is_enough_from_the_training_of_what_is_live() -> None:
    one, two = "bedplate-local-churn-v1-aaaaaaaa", "bedplate-local-churn-v2-bbbbbbbb"
    history = records(act(), act("deployed", live=one), act("trained", 2), act("deployed", 2, live=two))
    at = START + timedelta(days=1)
    assert [first for first in range(4) if tells_who_was_live(history[first:], "churn", at)] == [0, 1]


def test_another_models_deployment_says_nothing_about_this_one() -> None:
    other = replace(act("deployed", live="x"), model="fraud")
    assert who_was_live(records(other), "churn", START + timedelta(days=1)) is None


def test_the_fallback_counts_as_version_0() -> None:
    answer = who_was_live(
        records(act("rollback", 0, live="churn-fallback-1234567")), "churn", START + timedelta(days=1)
    )
    assert answer is not None
    assert answer.version == 0


def test_the_last_act_is_heard_though_its_writers_clock_was_ahead() -> None:
    ahead = START + timedelta(hours=1)
    entry = Entry("deployed", "churn", 1, "ada", "live", {"live": "bedplate-local-churn-v1-0a1b2c3d"})
    records = [place(entry, seq=1, at=ahead, prev=GENESIS)]
    assert who_was_live(records, "churn", START) is None
    found = who_was_live(records, "churn", present(records, START))
    assert found is not None
    assert found.version == 1
    assert present([], START) == START
    assert present(records, ahead + timedelta(hours=1)) == ahead + timedelta(hours=1)


def test_of_two_acts_with_one_time_the_later_number_counts() -> None:
    told = []
    for seq, version in ((1, 1), (2, 2)):
        entry = Entry(
            "deployed", "churn", version, "ada", "live", {"live": f"bedplate-local-churn-v{version}-0a1b2c3d"}
        )
        told.append(place(entry, seq=seq, at=START, prev=GENESIS))
    found = who_was_live(told, "churn", START)
    assert found is not None
    assert found.version == 2


@pytest.mark.parametrize(("said_s", "ahead_s"), [(0, None), (59, None), (3600, 3600.0), (-3600, -3600.0)])
def test_a_time_that_is_not_when_the_record_was_stored_is_told(said_s: float, ahead_s: float | None) -> None:
    actor = 'a"at":"2013-01-01T00:00:00.000Z"'  # no key, whatever an actor is called
    entry = Entry("alert", None, None, actor, 'x"at":"y"', {})
    raw = encode(place(entry, seq=7, at=START + timedelta(seconds=said_s), prev=GENESIS))
    assert skew(7, raw, START) == (None if ahead_s is None else ClockSkew(7, ahead_s))


def test_what_is_no_record_has_no_time() -> None:
    assert skew(1, b"{}", START) is None
    assert skew(1, b'{"at":"soon"}', START) is None
