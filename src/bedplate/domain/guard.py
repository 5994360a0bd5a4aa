"""When a release's answers are too far from the champion's: metric math for one alarm, over the same minutes.

Every release counts its answers in bins. A canary counts in the champion's bins too, so the two can be compared while
both answer the same traffic: against a champion of yesterday, tonight's weather or the hour of the day would look
like a fault of the canary. The figure is the population stability index over at most five bins, with half an answer
added to each so that an empty bin is finite.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence

NAMESPACE = "Bedplate/Serving"
BINS = 5
"""An alarm on metric math takes ten metrics, so five bins for each of two releases.

Source: CloudWatch user guide, "Limits that apply to alarms based on metric math expressions"."""
PERIODS_S = (10, 30, 60, 300)
"""Periods an alarm may have; 10 and 30 s are high resolution."""
_PRIOR = 0.5
Edges = tuple[float, ...]


def edges_of(answers: Sequence[float]) -> Edges | None:
    """Inner edges of at most five equal-frequency bins; None when the answers are all alike, or none is finite.

    >>> edges_of([i / 10 for i in range(10)]), edges_of([0.2] * 50), edges_of([0, 0, 0, 0, 1])
    ((0.1, 0.3, 0.5, 0.7), None, (0.0,))
    """
    known = sorted(float(a) for a in answers if math.isfinite(a))
    if not known or known[0] == known[-1]:
        return None
    cuts = [known[max(0, math.ceil(len(known) * i / BINS) - 1)] for i in range(1, BINS)]
    return tuple(c for c in sorted(set(cuts)) if c < known[-1])


def counted(edges: Edges, answers: Sequence[float]) -> list[int]:
    """Answers in each bin; bin i holds edges[i - 1] < x <= edges[i].

    >>> counted((0.1, 0.5), [0.1, 0.3, 0.7, 0.9])
    [1, 1, 2]
    """
    counts = [0] * (len(edges) + 1)
    for answer in answers:
        counts[bisect_left(edges, answer)] += 1
    return counts


def shift(candidate: Sequence[float], champion: Sequence[float]) -> float:
    """What the alarm's expression computes, from counts of the same bins.

    >>> shift([10, 10], [10, 10]), round(shift([90, 10], [10, 90]), 2) > 0.25
    (0.0, True)
    """
    q, p = _shares(candidate), _shares(champion)
    return sum((a - b) * math.log(a / b) for a, b in zip(q, p, strict=True))


def expressions(bins: int, min_answers: int) -> dict[str, str]:
    """Metric math by id, over the metrics `c1`.. (candidate) and `h1`.. (champion); `shift` is what the alarm watches.

    Without `min_answers` on both sides in the period the figure is 0: too little to judge is not a breach. It is 0 too
    once the candidate answers more than the champion: from then on the period's two halves would be compared, the
    champion's earlier one with the candidate's later one.
    """
    numbers = range(1, bins + 1)
    fraction = {side: f"(FILL({side}%d,0)+{_PRIOR})/({side}n+{_PRIOR * bins})" for side in "ch"}
    terms = {f"t{i}": "({c}-{h})*LOG(({c})/({h}))".format(**{s: f % i for s, f in fraction.items()}) for i in numbers}
    enough = f"cn>={min_answers} AND hn>={min_answers} AND hn>=cn"
    return {
        **{f"{side}n": "+".join(f"FILL({side}{i},0)" for i in numbers) for side in "ch"},
        **terms,
        "shift": f"IF({enough},{'+'.join(terms)},0)",
    }


def period_s(bake_s: float) -> int:
    """The longest period that a bake of `bake_s` seconds can fill.

    >>> period_s(6), period_s(60), period_s(600)
    (10, 60, 300)
    """
    return max((p for p in PERIODS_S if p <= bake_s), default=PERIODS_S[0])


def encode(own: Edges | None, champion: str | None, champions: Edges | None) -> str | None:
    """The value of a container's BEDPLATE_ANSWER_EDGES: edges by the release whose bins they are; "" is its own."""
    sets = {"": own, champion or "": champions} if champion else {"": own}
    told = {name: [float(f"{e:.6g}") for e in edges] for name, edges in sets.items() if edges}
    return json.dumps(told, separators=(",", ":")) if told else None


def decode(text: str | None) -> Mapping[str, Edges]:
    """What `encode` wrote; empty for None. Raises ValueError for anything else.

    >>> decode(encode((0.1, 0.2), "r-v1", (0.3,)))
    {'': (0.1, 0.2), 'r-v1': (0.3,)}
    """
    try:
        return {str(name): tuple(map(float, edges)) for name, edges in json.loads(text or "{}").items()}
    except (AttributeError, TypeError, ValueError) as exc:
        raise ValueError(f"edges of answers by release expected, found {str(text)[:80]!r}") from exc


def _shares(counts: Sequence[float]) -> list[float]:
    total = sum(counts) + _PRIOR * len(counts)
    return [(count + _PRIOR) / total for count in counts]
