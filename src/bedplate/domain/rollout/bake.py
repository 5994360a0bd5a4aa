"""Whether a release that bakes has answered enough to be judged: without traffic, quiet alarms prove nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bedplate.domain.release import spoken

Verdict = Literal["PASS", "FAIL", "NO_DATA"]


@dataclass(frozen=True, slots=True)
class BakeStatus:
    """One look at a bake: `left_s` None while nothing bakes, `answers` those of the candidate since it got traffic."""

    left_s: float | None
    answers: float
    needed: int
    margin_s: float
    """How long before its end a bake is judged: time to count, and to have it undone."""


def judge_bake(bake: BakeStatus) -> Verdict | None:
    """PASS as soon as enough was answered, NO_DATA when the bake is about to end with less, None: wait.

    An alarm in ALARM is the platform's FAIL and not looked at here.

    >>> judge_bake(BakeStatus(9, 50, 50, 2)), judge_bake(BakeStatus(9, 3, 50, 2)), judge_bake(BakeStatus(2, 3, 50, 2))
    ('PASS', None, 'NO_DATA')
    >>> judge_bake(BakeStatus(None, 0, 50, 2)) is None, judge_bake(BakeStatus(0, 0, 0, 2))
    (True, 'PASS')
    """
    if bake.answers >= bake.needed:
        return "PASS"
    if bake.left_s is None or bake.left_s > bake.margin_s:
        return None
    return "NO_DATA"


def margin_s(bake_s: float, *, poll_s: float) -> float:
    """Three looks, or a twentieth of the bake where that is more, but never more than half of it.

    >>> margin_s(600, poll_s=5), margin_s(6, poll_s=0.2), round(margin_s(1, poll_s=0.2), 3)
    (30.0, 0.6000000000000001, 0.5)
    """
    return min(max(3 * poll_s, bake_s / 20), bake_s / 2)


def starved(release: str, answers: float, needed: int, bake_s: float) -> str:
    """Why a bake promoted nothing.

    >>> starved("e-v2-0a1b2c3d", 3, 50, 6)
    'v2 gave 3 answers in a bake of 6 s, and 50 are needed to judge it: no data is not a pass'
    """
    return (
        f"{spoken(release)} gave {answers:.0f} answer{'' if answers == 1 else 's'} in a bake of {bake_s:g} s, and "
        f"{needed} are needed to judge it: no data is not a pass"
    )
