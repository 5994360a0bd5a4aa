"""Decides whether a baking release has returned enough predictions: without traffic, quiet alarms prove nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bedplate.domain.release import display_name

Verdict = Literal["PASS", "FAIL", "NO_DATA"]


@dataclass(frozen=True, slots=True)
class BakeStatus:
    """A bake at one time. `left_s` is None while nothing bakes; `predictions` counts the candidate's since the update
    started."""

    left_s: float | None
    predictions: float
    min_predictions: int
    margin_s: float
    """How long before its end a bake is judged, in seconds: time to count predictions and to roll the update back."""


def judge_bake(bake: BakeStatus) -> Verdict | None:
    """Returns PASS once there are enough predictions, NO_DATA when the bake is about to end with fewer, None to wait.

    Alarms are not considered here: SageMaker rolls an update back when one goes into ALARM.

    >>> judge_bake(BakeStatus(9, 50, 50, 2)), judge_bake(BakeStatus(9, 3, 50, 2)), judge_bake(BakeStatus(2, 3, 50, 2))
    ('PASS', None, 'NO_DATA')
    >>> judge_bake(BakeStatus(None, 0, 50, 2)) is None, judge_bake(BakeStatus(0, 0, 0, 2))
    (True, 'PASS')
    """
    if bake.predictions >= bake.min_predictions:
        return "PASS"
    if bake.left_s is None or bake.left_s > bake.margin_s:
        return None
    return "NO_DATA"


def margin_s(bake_s: float, *, poll_s: float) -> float:
    """Returns three poll intervals, or a twentieth of the bake if that is longer, but at most half of the bake.

    >>> margin_s(600, poll_s=5), margin_s(6, poll_s=0.2), round(margin_s(1, poll_s=0.2), 3)
    (30.0, 0.6000000000000001, 0.5)
    """
    return min(max(3 * poll_s, bake_s / 20), bake_s / 2)


def insufficient_traffic_message(release: str, predictions: float, min_predictions: int, bake_s: float) -> str:
    """Explains why a release was not promoted after its bake.

    >>> insufficient_traffic_message("e-v2-0a1b2c3d", 3, 50, 6)
    'v2 returned 3 predictions in a bake of 6 s, but at least 50 are required'
    """
    return (
        f"{display_name(release)} returned {predictions:.0f} prediction{'' if predictions == 1 else 's'} in a bake of "
        f"{bake_s:g} s, but at least {min_predictions} are required"
    )
