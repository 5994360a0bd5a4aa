"""Mean difference of the rewards of champion and challenger on the same requests, by the paired bootstrap."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bedplate.domain.evidence.metrics import Estimate

Floats = NDArray[np.float64]
RESAMPLES = 1000
_CHUNK = 1_000_000


def mean_difference(champion: ArrayLike, challenger: ArrayLike, *, seed: int = 0, alpha: float = 0.05) -> Estimate:
    """Returns the mean of the paired differences, challenger minus champion, with its interval at 1 - alpha.

    The interval is the percentile bootstrap's over pairs. NaN without a pair. Source: Efron and Tibshirani, An
    Introduction to the Bootstrap (1993), chapter 13.
    """
    differences = np.asarray(challenger, dtype=np.float64) - np.asarray(champion, dtype=np.float64)
    n_pairs = len(differences)
    if n_pairs == 0:
        return Estimate.nan(0)
    rng = np.random.default_rng(seed)
    step = max(1, min(RESAMPLES, _CHUNK // n_pairs))
    means: list[Floats] = []
    for start in range(0, RESAMPLES, step):
        rows = rng.integers(0, n_pairs, (min(step, RESAMPLES - start), n_pairs))
        means.append(differences[rows].mean(axis=1))
    ci_low, ci_high = np.quantile(np.concatenate(means), [alpha / 2, 1 - alpha / 2])
    return Estimate(float(differences.mean()), float(ci_low), float(ci_high), n_pairs)
