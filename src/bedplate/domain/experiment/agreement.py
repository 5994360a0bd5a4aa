"""How far a shadow agrees with the champion on the same requests, and what its answers cost, before traffic moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bedplate.domain.drift.divergence import PSI_BINS, psi
from bedplate.domain.experiment.ab import wilson
from bedplate.domain.formatting import short

Floats = NDArray[np.float64]
Verdict = Literal["PASS", "FAIL", "NO_DATA"]
QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class LatencyComparison:
    """One quantile of both, in ms, and the shadow's less the champion's with its 95 % interval."""

    quantile: float
    champion_ms: float
    shadow_ms: float
    difference_ms: float
    low_ms: float
    high_ms: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """`same` is the share of equal decisions with Wilson's interval; NaN throughout without a pair."""

    pairs: int
    same: float
    same_low: float
    same_high: float
    mean_apart: float
    """Mean absolute difference of the scores, and the quantile of it that 95 % of the pairs stay below."""
    p95_apart: float
    shift: float
    """Mean of the shadow's scores less mean of the champion's."""
    correlation: float
    """Pearson's; NaN where one side is constant."""
    psi: float
    """Of the shadow's scores against the champion's, in the champion's ten equal-frequency bins."""
    latency: tuple[LatencyComparison, ...]


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """Requests sent to a variant and those of them that failed on the server's side."""

    asked: float
    failed: float

    @property
    def share(self) -> float:
        return self.failed / self.asked if self.asked else math.nan


@dataclass(frozen=True, slots=True)
class AgreementBounds:
    """What a shadow must keep; None does not bound."""

    min_pairs: int = 500
    min_same: float | None = 0.9
    within: float | None = None
    """Of a regression: how far apart answers may lie that count as equal; only told, `agreement` is what counts."""
    max_psi: float | None = 0.25
    max_p99_ms: float | None = None
    max_error_share: float | None = None


@dataclass(frozen=True, slots=True)
class AgreementCheck:
    name: str
    verdict: Verdict
    figure: float
    bound: float
    told: str


def agreement(
    champion: ArrayLike,
    shadow: ArrayLike,
    *,
    threshold: float,
    binary: bool,
    champion_us: ArrayLike = (),
    shadow_us: ArrayLike = (),
    seed: int = 0,
) -> Agreement:
    """Of pairs of scores of the same rows, and paired times in microseconds, request by request.

    Two decisions are equal when both scores are on one side of `threshold`; of a regression, when they differ by at
    most that. Raises ValueError when two that belong together have different lengths.
    """
    a, b = np.asarray(champion, dtype=np.float64), np.asarray(shadow, dtype=np.float64)
    slow, fast = np.asarray(shadow_us, dtype=np.float64), np.asarray(champion_us, dtype=np.float64)
    if len(a) != len(b) or len(slow) != len(fast):
        raise ValueError(f"pairs expected, found {len(a)} and {len(b)} scores, {len(fast)} and {len(slow)} times")
    n = len(a)
    if n == 0:
        nan = math.nan
        return Agreement(0, nan, 0.0, 1.0, nan, nan, nan, nan, nan, _latency(fast, slow, seed))
    same = (a >= threshold) == (b >= threshold) if binary else np.abs(a - b) <= threshold
    low, high = wilson(float(same.sum()), n)
    apart = np.abs(a - b)
    varies = n > 1 and a.std() > 0 and b.std() > 0
    return Agreement(
        pairs=n,
        same=float(same.mean()),
        same_low=low,
        same_high=high,
        mean_apart=float(apart.mean()),
        p95_apart=float(np.quantile(apart, 0.95)),
        shift=float(b.mean() - a.mean()),
        correlation=float(np.corrcoef(a, b)[0, 1]) if varies else math.nan,
        psi=answer_psi(a, b),
        latency=_latency(fast, slow, seed),
    )


def answer_psi(champion: ArrayLike, shadow: ArrayLike, *, bins: int = PSI_BINS) -> float:
    """PSI over equal-frequency bins of the champion's scores; equal edges are taken together.

    >>> answer_psi(range(100), range(100)), answer_psi(range(100), [0] * 100) > 0.25
    (0.0, True)
    """
    a, b = np.asarray(champion, dtype=np.float64), np.asarray(shadow, dtype=np.float64)
    edges = np.unique(np.quantile(a, np.arange(1, bins) / bins))
    counted = [np.bincount(np.searchsorted(edges, side, "right"), minlength=len(edges) + 1) for side in (a, b)]
    return psi(counted[0], counted[1])


def findings(found: Agreement, errors: ErrorCount, bounds: AgreementBounds) -> tuple[AgreementCheck, ...]:
    """One verdict for each thing that is bounded. NO_DATA below `min_pairs`, and where the interval of the share of
    equal decisions holds its bound: more requests will tell."""
    told = []
    few = found.pairs < bounds.min_pairs
    if bounds.min_same is not None:
        clear: Verdict = "PASS" if found.same_low >= bounds.min_same else "FAIL"
        unclear = found.same_low < bounds.min_same <= found.same_high
        what = "decisions are equal" if bounds.within is None else f"answers lie within {short(bounds.within)}"
        text = f"{found.same:.1%} of {found.pairs:,} {what} [{found.same_low:.1%}, {found.same_high:.1%}]"
        verdict: Verdict = "NO_DATA" if few or unclear else clear
        told.append(AgreementCheck("agreement", verdict, found.same, bounds.min_same, text))
    if bounds.max_psi is not None:
        text = f"PSI of the answers is {found.psi:.3f}"
        told.append(_at_most("prediction shift", found.psi, bounds.max_psi, text, few))
    tail = next((t for t in found.latency if t.quantile == QUANTILES[-1]), None)
    if bounds.max_p99_ms is not None:
        p99 = tail.shadow_ms if tail else math.nan
        told.append(_at_most("latency", p99, bounds.max_p99_ms, f"p99 is {p99:.1f} ms", few))
    if bounds.max_error_share is not None:
        text = f"{errors.failed:,.0f} of {errors.asked:,.0f} requests failed"
        told.append(_at_most("errors", errors.share, bounds.max_error_share, text, errors.asked < bounds.min_pairs))
    return tuple(told)


def overall(found: Sequence[AgreementCheck]) -> Verdict:
    """FAIL when anything fails, else NO_DATA when anything is not known, else PASS; nothing bounded proves nothing."""
    verdicts = {f.verdict for f in found}
    return "FAIL" if "FAIL" in verdicts else "PASS" if verdicts == {"PASS"} else "NO_DATA"


def _at_most(name: str, figure: float, bound: float, told: str, few: bool) -> AgreementCheck:
    if few or math.isnan(figure):
        return AgreementCheck(name, "NO_DATA", figure, bound, told)
    return AgreementCheck(name, "PASS" if figure <= bound else "FAIL", figure, bound, told)


def _latency(champion_us: Floats, shadow_us: Floats, seed: int) -> tuple[LatencyComparison, ...]:
    """Intervals by the bootstrap over pairs, so that a request that is slow for both widens none."""
    n = len(champion_us)
    if n == 0:
        return ()
    rng = np.random.default_rng(seed)
    some = rng.choice(n, min(n, 5000), replace=False)
    draws = [some[rng.integers(0, len(some), len(some))] for _ in range(200)]
    found = []
    for q in QUANTILES:
        a, b = (float(np.quantile(side, q)) / 1000 for side in (champion_us, shadow_us))
        apart = [float(np.quantile(shadow_us[rows], q) - np.quantile(champion_us[rows], q)) / 1000 for rows in draws]
        low, high = np.quantile(apart, [0.025, 0.975])
        found.append(LatencyComparison(q, a, b, b - a, float(low), float(high)))
    return tuple(found)
