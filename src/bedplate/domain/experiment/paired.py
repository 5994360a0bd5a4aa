"""Champion and challenger on the same requests, once the outcome is known: which of the two was right?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bedplate.domain.evidence.metrics import HIGHER_IS_BETTER, Estimate, compare
from bedplate.domain.formatting import figure

Floats = NDArray[np.float64]
Verdict = Literal["PASS", "FAIL", "NO_DATA"]
EXACT_BELOW = 25
"""Disagreements below which McNemar's test is computed exactly. Source: Agresti, Categorical Data Analysis (2013)."""
RESAMPLES = 1000
_CHUNK = 1_000_000


@dataclass(frozen=True, slots=True)
class McNemar:
    """Decisions where only one of the two was right, and the p-value of that being chance."""

    champion_only: int
    challenger_only: int
    p: float


@dataclass(frozen=True, slots=True)
class Duel:
    """`difference` is challenger less champion of `metric`; `decisions` is None for a regression."""

    metric: str
    n: int
    champion: Estimate
    challenger: Estimate
    difference: Estimate
    decisions: McNemar | None
    verdict: Verdict
    reason: str


def duel(
    task: str,
    metric: str,
    labels: ArrayLike,
    champion: ArrayLike,
    challenger: ArrayLike,
    *,
    tolerance: float = 0.0,
    threshold: float = 0.5,
    min_rows: int = 200,
    seed: int = 0,
) -> Duel:
    """Both on the same rows: DeLong's interval for AUC, the paired bootstrap's for every other metric.

    PASS when the challenger is clearly no worse than the champion less `tolerance` (of 0: clearly better), FAIL when it
    clearly is, NO_DATA with fewer than `min_rows` rows or while the interval holds the bound. Raises KeyError for a
    metric that the task does not have.
    """
    y = np.asarray(labels, dtype=np.float64)
    first, second = np.asarray(champion, dtype=np.float64), np.asarray(challenger, dtype=np.float64)
    found = compare(task, y, second, first, seed=seed)
    apart = found.difference[metric]
    decisions = mcnemar(y, first, second, threshold=threshold) if task == "binary" else None
    sign = 1 if metric in HIGHER_IS_BETTER else -1
    low, high = sorted((sign * apart.low, sign * apart.high))
    value, low_end, high_end = (figure(end, signed=True) for end in (apart.value, apart.low, apart.high))
    told = f"{metric} {value} [{low_end}, {high_end}] on {len(y):,} rows"
    verdict: Verdict = "NO_DATA"
    if len(y) < min_rows:
        told = f"{len(y):,} labelled rows that both answered, {min_rows:,} needed"
    elif low > -tolerance:
        verdict = "PASS"
    elif high < -tolerance:
        verdict = "FAIL"
    return Duel(metric, len(y), found.champion[metric], found.candidate[metric], apart, decisions, verdict, told)


def mcnemar(labels: ArrayLike, champion: ArrayLike, challenger: ArrayLike, *, threshold: float = 0.5) -> McNemar:
    """McNemar's (1947) test of two classifiers' decisions on the same rows, two-sided.

    Exact, by the binomial distribution, below EXACT_BELOW disagreements, else by chi-square with Edwards' (1948)
    correction. 1 where they never disagree.

    >>> mcnemar([1, 1, 0], [0.9, 0.1, 0.2], [0.9, 0.8, 0.2])
    McNemar(champion_only=0, challenger_only=1, p=1.0)
    """
    y = np.asarray(labels, dtype=np.float64) >= 0.5
    first = (np.asarray(champion, dtype=np.float64) >= threshold) == y
    second = (np.asarray(challenger, dtype=np.float64) >= threshold) == y
    b, c = int((first & ~second).sum()), int((~first & second).sum())
    n = b + c
    if n == 0:
        return McNemar(0, 0, 1.0)
    if n < EXACT_BELOW:
        tail = sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n
        return McNemar(b, c, min(1.0, 2 * tail))
    statistic = (abs(b - c) - 1) ** 2 / n
    return McNemar(b, c, math.erfc(math.sqrt(statistic / 2)))


def mean_difference(champion: ArrayLike, challenger: ArrayLike, *, seed: int = 0, alpha: float = 0.05) -> Estimate:
    """Mean of paired differences, challenger less champion, with the percentile bootstrap's interval over the pairs
    (Efron and Tibshirani, 1993, chapter 13). NaN without a pair."""
    apart = np.asarray(challenger, dtype=np.float64) - np.asarray(champion, dtype=np.float64)
    n = len(apart)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    rng = np.random.default_rng(seed)
    step = max(1, min(RESAMPLES, _CHUNK // n))
    means: list[Floats] = []
    for start in range(0, RESAMPLES, step):
        rows = rng.integers(0, n, (min(step, RESAMPLES - start), n))
        means.append(apart[rows].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [alpha / 2, 1 - alpha / 2])
    return Estimate(float(apart.mean()), float(low), float(high), n)
