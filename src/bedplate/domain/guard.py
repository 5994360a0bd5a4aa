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
MAX_BINS = 5
"""The number of bins: an alarm on metric math takes at most ten metrics, five bins for each of two releases.

Source: CloudWatch user guide, "Limits that apply to alarms based on metric math expressions"."""
PERIODS_S = (10, 30, 60, 300)
"""Allowed alarm periods, in seconds; 10 and 30 s are high resolution."""
_PRIOR_COUNT = 0.5
"""Predictions added to every bin, so that the logarithm of an empty bin's share is finite."""
Edges = tuple[float, ...]
"""Inner edges of bins, ascending; n edges make n + 1 bins, the first and the last of which are unbounded."""


def quantile_edges(predictions: Sequence[float]) -> Edges | None:
    """Returns the inner edges of at most five equal-frequency bins; None without two different finite predictions.

    >>> quantile_edges([i / 10 for i in range(10)]), quantile_edges([0.2] * 50), quantile_edges([0, 0, 0, 0, 1])
    ((0.1, 0.3, 0.5, 0.7), None, (0.0,))
    """
    values = sorted(float(prediction) for prediction in predictions if math.isfinite(prediction))
    if not values or values[0] == values[-1]:
        return None
    quantiles = [values[max(0, math.ceil(len(values) * i / MAX_BINS) - 1)] for i in range(1, MAX_BINS)]
    return tuple(edge for edge in sorted(set(quantiles)) if edge < values[-1])


def count_by_bin(edges: Edges, predictions: Sequence[float]) -> list[int]:
    """Returns the number of predictions in each bin; bin i holds edges[i - 1] < x <= edges[i].

    >>> count_by_bin((0.1, 0.5), [0.1, 0.3, 0.7, 0.9])
    [1, 1, 2]
    """
    counts = [0] * (len(edges) + 1)
    for prediction in predictions:
        counts[bisect_left(edges, prediction)] += 1
    return counts


def prediction_shift(candidate_counts: Sequence[float], champion_counts: Sequence[float]) -> float:
    """Returns the population stability index (PSI) of two releases' counts in the same bins, as the alarm computes it.

    Source: the sum over the bins of (q - p) * ln(q / p), with the smoothed shares q (candidate) and p (champion).

    >>> prediction_shift([10, 10], [10, 10]), round(prediction_shift([90, 10], [10, 90]), 2) > 0.25
    (0.0, True)
    """
    q, p = _smoothed_shares(candidate_counts), _smoothed_shares(champion_counts)
    return sum((qi - pi) * math.log(qi / pi) for qi, pi in zip(q, p, strict=True))


def metric_math(n_bins: int, min_predictions: int) -> dict[str, str]:
    """Returns metric math expressions by id, over the metrics `c1`.. (candidate) and `h1`.. (champion), one per bin.

    `cn` and `hn` are the totals over the bins, `t1`.. the bins' terms of the PSI, and `shift`, which the alarm
    monitors, is their sum. FILL counts a bin without a datapoint as 0; otherwise the whole expression has no value.
    `shift` is 0 unless both releases returned `min_predictions` in the period, because too little data is not a breach.
    It is also 0 when the candidate returned more predictions than the champion: then the traffic moved within the
    period, most of the champion's predictions are older than the candidate's, and the two saw different traffic.
    """
    bin_numbers = range(1, n_bins + 1)
    share = {id: f"(FILL({id}%d,0)+{_PRIOR_COUNT})/({id}n+{_PRIOR_COUNT * n_bins})" for id in "ch"}
    terms = {f"t{i}": "({c}-{h})*LOG(({c})/({h}))".format(c=share["c"] % i, h=share["h"] % i) for i in bin_numbers}
    condition = f"cn>={min_predictions} AND hn>={min_predictions} AND hn>=cn"
    return {
        **{f"{id}n": "+".join(f"FILL({id}{i},0)" for i in bin_numbers) for id in "ch"},
        **terms,
        "shift": f"IF({condition},{'+'.join(terms)},0)",
    }


def alarm_period_s(bake_s: float) -> int:
    """Returns the longest alarm period that fits into a bake of `bake_s` seconds, in seconds; at least 10.

    >>> alarm_period_s(6), alarm_period_s(60), alarm_period_s(600)
    (10, 60, 300)
    """
    return max((period_s for period_s in PERIODS_S if period_s <= bake_s), default=PERIODS_S[0])


def encode_edges(own_edges: Edges | None, champion: str | None, champion_edges: Edges | None) -> str | None:
    """Returns the value of BEDPLATE_PREDICTION_EDGES: JSON of bin edges by release, with "" for the release's own.

    None without edges. Six significant digits keep the text below 1024 characters, SageMaker's limit for a variable.
    """
    edges_by_release = {"": own_edges, champion or "": champion_edges} if champion else {"": own_edges}
    rounded = {release: [float(f"{e:.6g}") for e in edges] for release, edges in edges_by_release.items() if edges}
    return json.dumps(rounded, separators=(",", ":")) if rounded else None


def decode_edges(text: str | None) -> Mapping[str, Edges]:
    """Returns the bin edges by release in the result of `encode_edges`; empty for None.

    Raises ValueError for any other text.

    >>> decode_edges(encode_edges((0.1, 0.2), "r-v1", (0.3,)))
    {'': (0.1, 0.2), 'r-v1': (0.3,)}
    """
    try:
        return {str(release): tuple(map(float, edges)) for release, edges in json.loads(text or "{}").items()}
    except (AttributeError, TypeError, ValueError) as exc:
        raise ValueError(f"expected bin edges by release, got {str(text)[:80]!r}") from exc


def _smoothed_shares(counts: Sequence[float]) -> list[float]:
    """Returns each bin's share of the predictions, 0 to 1, after adding `_PRIOR_COUNT` to every bin."""
    total = sum(counts) + _PRIOR_COUNT * len(counts)
    return [(count + _PRIOR_COUNT) / total for count in counts]
