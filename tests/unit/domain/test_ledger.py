"""The hash chain of the ledger, and the live release according to its records."""

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
    build_record,
    decode,
    effective_now,
    encode,
    is_conclusive,
    measure_clock_skew,
    sha256,
    verify,
    who_was_live,
)

START = datetime(2013, 7, 1, tzinfo=UTC)


def build_chain(*entries: Entry) -> list[tuple[int, bytes]]:
    chain: list[tuple[int, bytes]] = []
    prev = GENESIS
    for seq, entry in enumerate(entries, 1):
        raw = encode(build_record(entry, seq=seq, at=START + timedelta(hours=seq), prev=prev))
        chain.append((seq, raw))
        prev = sha256(raw)
    return chain


def build_entry(kind: Kind = "trained", version: int | None = 1, **data: Any) -> Entry:
    return Entry(kind, "churn", version, "ada@example.com", f"{kind} v{version}", data)


def build_records(*entries: Entry) -> list[Record]:
    return [decode(raw) for _, raw in build_chain(*entries)]


def test_empty_ledger_verifies() -> None:
    assert verify([]).ok


def test_intact_chain_verifies_and_has_a_head() -> None:
    chain = build_chain(build_entry(), build_entry("evaluated"), build_entry("approved"))
    result = verify(chain)
    assert (result.ok, result.record_count, result.last_seq, result.head) == (True, 3, 3, sha256(chain[-1][1]))


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_missing_record_is_found(lost: int) -> None:
    chain = [s for s in build_chain(*[build_entry() for _ in range(4)]) if s[0] != lost]
    first_break = verify(chain).first_break
    assert first_break is not None
    assert (first_break.seq, first_break.fault) == (lost, "missing")


def test_altered_record_is_found() -> None:
    chain = build_chain(build_entry(), build_entry(usd=1), build_entry())
    chain[1] = (2, chain[1][1].replace(b'"usd":1', b'"usd":9'))
    first_break = verify(chain).first_break
    assert first_break is not None
    assert (first_break.seq, first_break.fault) == (2, "altered")


def test_record_with_other_white_space_is_altered() -> None:
    chain = build_chain(build_entry())
    chain[0] = (1, json.dumps(json.loads(chain[0][1])).encode())
    first_break = verify(chain).first_break
    assert first_break is not None
    assert first_break.fault == "altered"


def test_rewritten_record_with_a_valid_hash_breaks_the_chain_at_the_next_one() -> None:
    chain = build_chain(build_entry(), build_entry(usd=1), build_entry())
    honest = decode(chain[1][1])
    forged = build_record(build_entry(usd=9), seq=2, at=honest.at, prev=honest.prev)
    chain[1] = (2, encode(forged))
    first_break = verify(chain).first_break
    assert first_break is not None
    assert (first_break.seq, first_break.fault) == (3, "wrong-prev")


def test_record_under_another_number_is_misplaced() -> None:
    chain = build_chain(build_entry(), build_entry())
    first_break = verify([chain[0], (2, chain[0][1])]).first_break
    assert first_break is not None
    assert first_break.fault == "misplaced"


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"\xff", b'{"seq": 1}'])
def test_bytes_that_are_not_a_record_are_corrupt(raw: bytes) -> None:
    first_break = verify([(1, raw)]).first_break
    assert first_break is not None
    assert first_break.fault == "corrupt"
    with pytest.raises(CorruptRecord):
        decode(raw)


def test_every_record_has_a_format_and_another_format_cannot_be_read() -> None:
    ((_, raw),) = build_chain(build_entry())
    assert json.loads(raw)["format"] == 1
    with pytest.raises(CorruptRecord, match="not those of a record"):
        decode(raw.replace(b'"format":1,', b""))
    newer = raw.replace(b'"format":1', b'"format":2')
    message = r"was written by a newer Bedplate \(format 2\); this one reads format 1\. Upgrade Bedplate"
    with pytest.raises(CorruptRecord, match=message):
        decode(newer)
    first_break = verify([(1, newer)]).first_break
    assert first_break is not None
    assert (first_break.fault, "Upgrade Bedplate" in first_break.explanation) == ("corrupt", True)


def test_cut_off_end_is_found_only_with_an_expected_head() -> None:
    chain = build_chain(build_entry(), build_entry(), build_entry())
    earlier = verify(chain)
    assert verify(chain[:2]).ok
    first_break = verify(chain[:2], expected_head=(earlier.last_seq, earlier.head)).first_break
    assert first_break is not None
    assert (first_break.seq, first_break.fault) == (3, "missing")


def test_rewritten_chain_is_found_with_an_expected_head() -> None:
    earlier = verify(build_chain(build_entry(), build_entry()))
    first_break = verify(
        build_chain(build_entry(), build_entry(usd=2), build_entry()), expected_head=(earlier.last_seq, earlier.head)
    ).first_break
    assert first_break is not None
    assert (first_break.seq, first_break.fault) == (2, "unknown-head")


def test_longer_chain_still_contains_the_expected_head() -> None:
    earlier = verify(build_chain(build_entry(), build_entry()))
    assert verify(
        build_chain(build_entry(), build_entry(), build_entry()), expected_head=(earlier.last_seq, earlier.head)
    ).ok


def test_times_never_run_backwards_along_the_chain() -> None:
    record = build_record(build_entry(), seq=2, at=START, prev=GENESIS, min_time=START + timedelta(seconds=5))
    assert record.at == START + timedelta(seconds=5)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, START])
def test_data_that_is_not_json_is_rejected(value: object) -> None:
    with pytest.raises(ValueError):
        build_record(build_entry(x=value), seq=1, at=START, prev=GENESIS)


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
def test_encoded_record_decodes_to_itself_and_verifies(data: dict[str, Any], summary: str) -> None:
    entry = replace(build_entry(), data=data, summary=summary)
    chain = build_chain(entry)
    record = decode(chain[0][1])
    assert (record.data, record.summary) == (data, summary)
    assert encode(record) == chain[0][1]
    assert verify(chain).ok


def test_no_release_is_recorded_live_before_the_first_deployment() -> None:
    history = build_records(
        build_entry(), build_entry("approved"), build_entry("deployed", live="bedplate-local-churn-v1-aaaaaaaa")
    )
    assert who_was_live(history, "churn", START + timedelta(hours=2.9)) is None
    assert who_was_live([], "churn", START) is None


def test_rolled_back_deployment_was_not_live() -> None:
    v1, v2 = "bedplate-local-churn-v1-aaaaaaaa", "bedplate-local-churn-v2-bbbbbbbb"
    history = build_records(
        build_entry(),
        build_entry("approved"),
        build_entry("deployed", live=v1),
        build_entry("deployment-started", 2, target=v2),
        build_entry("deployment-rolled-back", 2, live=v1),
        build_entry("deployed", 2, live=v2),
        build_entry("rollback", 1, live=v1),
    )

    def live(hours: float) -> tuple[str, int]:
        live_release = who_was_live(history, "churn", START + timedelta(hours=hours))
        assert live_release is not None
        return live_release.release, live_release.version

    assert live(3) == (v1, 1)
    assert live(5.5) == (v1, 1)
    assert live(6) == (v2, 2)
    assert live(1000) == (v1, 1)
    live_release = who_was_live(history, "churn", START + timedelta(hours=5.5))
    assert live_release is not None
    assert live_release.since == START + timedelta(hours=3)
    assert live_release.until == START + timedelta(hours=6)
    assert [r.kind for r in live_release.evidence] == ["trained", "approved"]


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["evaluated", "approved", "deployment-started", "deployed", "deployment-rolled-back"]),
        st.integers(0, 5),
    ),
    max_size=30,
)


@given(_EVENTS, st.integers(0, 40))
def test_conclusive_tail_gives_the_same_release_as_the_whole_ledger(events: list[tuple[Kind, int]], hours: int) -> None:
    entries: list[Entry] = []
    for kind, version in events:
        if version and not any(e.version == version for e in entries):
            entries.append(build_entry("trained", version))
        entries.append(build_entry(kind, version, live=f"bedplate-local-churn-v{version}-0a1b2c3d"))
    history, at = build_records(*entries), START + timedelta(hours=hours)
    whole = who_was_live(history, "churn", at)
    for first in range(len(history)):
        if is_conclusive(history[first:], "churn", at):
            assert who_was_live(history[first:], "churn", at) == whole


def test_tail_is_conclusive_from_the_training_of_the_live_version_on() -> None:
    v1, v2 = "bedplate-local-churn-v1-aaaaaaaa", "bedplate-local-churn-v2-bbbbbbbb"
    history = build_records(
        build_entry(), build_entry("deployed", live=v1), build_entry("trained", 2), build_entry("deployed", 2, live=v2)
    )
    at = START + timedelta(days=1)
    assert [first for first in range(4) if is_conclusive(history[first:], "churn", at)] == [0, 1]


def test_deployment_of_another_model_has_no_effect() -> None:
    other = replace(build_entry("deployed", live="x"), model="fraud")
    assert who_was_live(build_records(other), "churn", START + timedelta(days=1)) is None


def test_fallback_is_version_0() -> None:
    live_release = who_was_live(
        build_records(build_entry("rollback", 0, live="churn-fallback-1234567")), "churn", START + timedelta(days=1)
    )
    assert live_release is not None
    assert live_release.version == 0


def test_last_record_counts_although_its_writers_clock_was_ahead() -> None:
    ahead = START + timedelta(hours=1)
    entry = Entry("deployed", "churn", 1, "ada", "live", {"live": "bedplate-local-churn-v1-0a1b2c3d"})
    records = [build_record(entry, seq=1, at=ahead, prev=GENESIS)]
    assert who_was_live(records, "churn", START) is None
    live = who_was_live(records, "churn", effective_now(records, START))
    assert live is not None
    assert live.version == 1
    assert effective_now([], START) == START
    assert effective_now(records, ahead + timedelta(hours=1)) == ahead + timedelta(hours=1)


def test_later_number_counts_when_two_records_have_the_same_time() -> None:
    records = []
    for seq, version in ((1, 1), (2, 2)):
        entry = Entry(
            "deployed", "churn", version, "ada", "live", {"live": f"bedplate-local-churn-v{version}-0a1b2c3d"}
        )
        records.append(build_record(entry, seq=seq, at=START, prev=GENESIS))
    live = who_was_live(records, "churn", START)
    assert live is not None
    assert live.version == 2


@pytest.mark.parametrize(("offset_s", "ahead_s"), [(0, None), (59, None), (3600, 3600.0), (-3600, -3600.0)])
def test_clock_skew_above_the_limit_is_measured(offset_s: float, ahead_s: float | None) -> None:
    actor = 'a"at":"2013-01-01T00:00:00.000Z"'  # not a key, although the actor's name looks like one
    entry = Entry("alert", None, None, actor, 'x"at":"y"', {})
    raw = encode(build_record(entry, seq=7, at=START + timedelta(seconds=offset_s), prev=GENESIS))
    assert measure_clock_skew(7, raw, START) == (None if ahead_s is None else ClockSkew(7, ahead_s))


def test_bytes_that_are_not_a_record_have_no_clock_skew() -> None:
    assert measure_clock_skew(1, b"{}", START) is None
    assert measure_clock_skew(1, b'{"at":"soon"}', START) is None
