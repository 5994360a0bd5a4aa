"""Builds the metric math of the guard alarm, which compares a canary's prediction distribution with the champion's.

Every release counts its predictions in bins. A canary also counts in the champion's bins, so that the alarm compares
both releases on the same traffic in the same period; compared with the champion's earlier predictions, a change of the
input data or of the time of day would look like a fault of the canary. The alarm's metric is the population stability
index (PSI) over at most five bins, with half a prediction added to each bin so that an empty bin stays finite.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence

NAMESPACE = "Bedplate/Serving"
BINS = 5
"""An alarm on metric math takes at most ten metrics: five bins for each of two releases.

Source: CloudWatch user guide, "Limits that apply to alarms based on metric math expressions"."""
PERIODS_S = (10, 30, 60, 300)
"""Allowed alarm periods, in seconds; 10 and 30 s are high resolution."""
_PRIOR = 0.5
Edges = tuple[float, ...]


def quantile_edges(predictions: Sequence[float]) -> Edges | None:
    """Returns the inner edges of at most five equal-frequency bins; None without two different finite predictions.

    >>> quantile_edges([i / 10 for i in range(10)]), quantile_edges([0.2] * 50), quantile_edges([0, 0, 0, 0, 1])
    ((0.1, 0.3, 0.5, 0.7), None, (0.0,))
    """
    values = sorted(float(p) for p in predictions if math.isfinite(p))
    if not values or values[0] == values[-1]:
        return None
    cuts = [values[max(0, math.ceil(len(values) * i / BINS) - 1)] for i in range(1, BINS)]
    return tuple(c for c in sorted(set(cuts)) if c < values[-1])


def count_by_bin(edges: Edges, predictions: Sequence[float]) -> list[int]:
    """Returns the number of predictions in each bin; bin i holds edges[i - 1] < x <= edges[i].

    >>> count_by_bin((0.1, 0.5), [0.1, 0.3, 0.7, 0.9])
    [1, 1, 2]
    """
    counts = [0] * (len(edges) + 1)
    for prediction in predictions:
        counts[bisect_left(edges, prediction)] += 1
    return counts


def prediction_shift(candidate: Sequence[float], champion: Sequence[float]) -> float:
    """Returns the population stability index of two releases' counts in the same bins, as the alarm computes it.

    >>> prediction_shift([10, 10], [10, 10]), round(prediction_shift([90, 10], [10, 90]), 2) > 0.25
    (0.0, True)
    """
    q, p = _smoothed_shares(candidate), _smoothed_shares(champion)
    return sum((a - b) * math.log(a / b) for a, b in zip(q, p, strict=True))


def metric_math(bins: int, min_predictions: int) -> dict[str, str]:
    """Returns metric math expressions by id, over the metrics `c1`.. (candidate) and `h1`.. (champion).

    The alarm monitors `shift`. It is 0 unless both releases returned `min_predictions` in the period, because too
    little data is not a breach. It is also 0 once the candidate returns more predictions than the champion, because
    then the champion's part of the period lies before the candidate's, and the two see different traffic.
    """
    numbers = range(1, bins + 1)
    fraction = {side: f"(FILL({side}%d,0)+{_PRIOR})/({side}n+{_PRIOR * bins})" for side in "ch"}
    terms = {f"t{i}": "({c}-{h})*LOG(({c})/({h}))".format(**{s: f % i for s, f in fraction.items()}) for i in numbers}
    enough = f"cn>={min_predictions} AND hn>={min_predictions} AND hn>=cn"
    return {
        **{f"{side}n": "+".join(f"FILL({side}{i},0)" for i in numbers) for side in "ch"},
        **terms,
        "shift": f"IF({enough},{'+'.join(terms)},0)",
    }


def alarm_period_s(bake_s: float) -> int:
    """Returns the longest alarm period that fits into a bake of `bake_s` seconds, in seconds.

    >>> alarm_period_s(6), alarm_period_s(60), alarm_period_s(600)
    (10, 60, 300)
    """
    return max((p for p in PERIODS_S if p <= bake_s), default=PERIODS_S[0])


def encode_edges(own_edges: Edges | None, champion: str | None, champion_edges: Edges | None) -> str | None:
    """Returns the value of BEDPLATE_PREDICTION_EDGES: JSON of bin edges by release, with "" for the release's own."""
    sets = {"": own_edges, champion or "": champion_edges} if champion else {"": own_edges}
    rounded = {name: [float(f"{e:.6g}") for e in edges] for name, edges in sets.items() if edges}
    return json.dumps(rounded, separators=(",", ":")) if rounded else None


def decode_edges(text: str | None) -> Mapping[str, Edges]:
    """Parses the result of `encode_edges`; empty for None. Raises ValueError for any other text.

    >>> decode_edges(encode_edges((0.1, 0.2), "r-v1", (0.3,)))
    {'': (0.1, 0.2), 'r-v1': (0.3,)}
    """
    try:
        return {str(name): tuple(map(float, edges)) for name, edges in json.loads(text or "{}").items()}
    except (AttributeError, TypeError, ValueError) as exc:
        raise ValueError(f"expected bin edges by release, got {str(text)[:80]!r}") from exc


def _smoothed_shares(counts: Sequence[float]) -> list[float]:
    total = sum(counts) + _PRIOR * len(counts)
    return [(count + _PRIOR) / total for count in counts]
