"""What the figures of two releases side by side say: wait, PASS, FAIL, or other weights; one judge a strategy."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from bedplate.domain.names import CHALLENGER, VARIANT
from bedplate.domain.rollout.ticking import Judgement
from bedplate.settings import Experiment, Slo

DRAWS = 4000
_STEP = 0.01
"""Weights of a bandit are whole percents, so that noise moves nothing."""


@dataclass(frozen=True, slots=True)
class Served:
    """How one variant did, by CloudWatch: requests, those that failed, p99 of its latency (None without a request)."""

    asked: float
    failed: float
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Sample:
    """Rewards of one variant's labelled answers: how many, their mean, their sample variance. Higher is better."""

    n: int
    mean: float
    variance: float

    @classmethod
    def of(cls, rewards: Sequence[float]) -> Sample:
        """
        >>> Sample.of([1.0, 0.0, 1.0, 1.0])
        Sample(n=4, mean=0.75, variance=0.25)
        >>> Sample.of([])
        Sample(n=0, mean=0.0, variance=0.0)
        """
        n = len(rewards)
        mean = sum(rewards) / n if n else 0.0
        return cls(n, mean, sum((r - mean) ** 2 for r in rewards) / (n - 1) if n > 1 else 0.0)


def unwell(served: Served, slo: Slo, *, enough: int) -> str | None:
    """Why a variant breaks the service level by itself; None while it keeps it, or was hardly asked.

    >>> unwell(Served(100, 5, 20.0), Slo(), enough=50), unwell(Served(100, 0, 20.0), Slo(), enough=50)
    ('5 of its 100 requests failed, 5 % (at most 1 %)', None)
    """
    if served.asked < enough:
        return None
    pct = 100 * served.failed / served.asked
    if pct > slo.max_error_pct:
        told = f"{served.failed:,.0f} of its {served.asked:,.0f} requests failed, {pct:.2g} %"
        return f"{told} (at most {slo.max_error_pct:g} %)"
    if served.p99_ms is not None and served.p99_ms > slo.latency_p99_ms:
        return f"its p99 is {served.p99_ms:.1f} ms (at most {slo.latency_p99_ms:g} ms)"
    return None


def judge_shadow(
    pairs: Sequence[tuple[float, float]], served: tuple[Served, Served], wanted: Experiment, slo: Slo, *, binary: bool
) -> Judgement:
    """Agreement and latency, from answers (champion, challenger) to the same rows, before any traffic moves.

    Two decisions agree when both answers are on the same side of `threshold`; for a regression, when they differ by at
    most `threshold`.
    """
    champion, challenger = served
    n = len(pairs)
    agree = sum(
        (a >= wanted.threshold) == (b >= wanted.threshold) if binary else abs(a - b) <= wanted.threshold
        for a, b in pairs
    )
    pct = 100 * agree / n if n else 0.0
    gaps = sorted(abs(a - b) for a, b in pairs)
    facts = {
        "pairs": n,
        "agreement_pct": pct if n else None,
        "mean_difference": sum(gaps) / n if n else None,
        "p95_difference": gaps[min(n - 1, math.ceil(0.95 * n) - 1)] if n else None,
        "mean_answer": {VARIANT: sum(a for a, _ in pairs) / n, CHALLENGER: sum(b for _, b in pairs) / n} if n else None,
        "p99_ms": {VARIANT: champion.p99_ms, CHALLENGER: challenger.p99_ms} if challenger.p99_ms is not None else None,
        "failed": {VARIANT: champion.failed, CHALLENGER: challenger.failed},
    }
    wrong = unwell(challenger, slo, enough=wanted.min_answers // 10)
    if wrong:
        return Judgement("FAIL", wrong, facts)
    if n < wanted.min_answers:
        return Judgement(None, f"{n:,} of {wanted.min_answers:,} pairs of answers", facts)
    told = f"{pct:.1f} % of {n:,} decisions agree (at least {wanted.min_agreement_pct:g} %)"
    return Judgement("PASS" if pct >= wanted.min_agreement_pct else "FAIL", told, facts)


def needed_sample(variance: float, wanted: Experiment) -> int:
    """Labelled answers that each arm of an A/B test needs: to see `min_effect` with `power` at two-sided `alpha`.

    n = 2 s^2 (z[1 - alpha/2] + z[power])^2 / effect^2. Source: Kohavi, Tang and Xu, Trustworthy Online Controlled
    Experiments (2020), chapter 17.

    >>> needed_sample(0.25, Experiment(min_effect=0.1))
    393
    """
    z = NormalDist().inv_cdf
    return math.ceil(2 * variance * (z(1 - wanted.alpha / 2) + z(wanted.power)) ** 2 / wanted.min_effect**2)


def judge_ab(champion: Sample, challenger: Sample, wanted: Experiment) -> Judgement:
    """Welch's test of the mean reward, judged once, when both arms have the sample that was needed: looking earlier
    would find a difference where there is none more often than `alpha` says."""
    pooled = max(champion.variance, challenger.variance)
    needed = max(wanted.min_answers, needed_sample(pooled, wanted))
    effect = challenger.mean - champion.mean
    error = math.sqrt(champion.variance / max(champion.n, 1) + challenger.variance / max(challenger.n, 1))
    z = NormalDist().inv_cdf(1 - wanted.alpha / 2)
    p = 2 * (1 - NormalDist().cdf(abs(effect) / error)) if error else (1.0 if effect == 0 else 0.0)
    facts = {
        "labelled": {VARIANT: champion.n, CHALLENGER: challenger.n},
        "needed": needed,
        "mean": {VARIANT: champion.mean, CHALLENGER: challenger.mean},
        "effect": effect,
        "interval": [effect - z * error, effect + z * error],
        "p_value": p,
    }
    if min(champion.n, challenger.n) < needed:
        told = f"{champion.n:,} and {challenger.n:,} labelled answers of {needed:,} that each needs"
        return Judgement(None, told, facts)
    told = f"difference of {wanted.metric} {effect:+.4f} (p = {p:.3g}, {needed:,} labelled answers needed)"
    return Judgement("PASS" if p < wanted.alpha and effect > 0 else "FAIL", told, facts)


def judge_pairs(differences: Sample, wanted: Experiment) -> Judgement:
    """Champion against challenger on the same rows, from differences of their rewards (challenger's minus champion's).

    PASS when the interval lies above zero, FAIL when below; while it holds zero, more labels are waited for.
    """
    z = NormalDist().inv_cdf(1 - wanted.alpha / 2)
    error = math.sqrt(differences.variance / differences.n) if differences.n else math.inf
    low, high = differences.mean - z * error, differences.mean + z * error
    facts = {
        "labelled_pairs": differences.n,
        "difference": differences.mean if differences.n else None,
        "interval": [low, high] if differences.n else None,
    }
    if differences.n < wanted.min_answers:
        return Judgement(None, f"{differences.n:,} of {wanted.min_answers:,} labelled pairs", facts)
    told = f"difference of {wanted.metric} {differences.mean:+.4f} ({low:+.4f} to {high:+.4f}, {differences.n:,} pairs)"
    return Judgement("PASS" if low > 0 else "FAIL" if high < 0 else None, told, facts)


def judge_bandit(champion: Sample, challenger: Sample, wanted: Experiment, *, seed: int) -> Judgement:
    """Thompson sampling: weights are the probabilities of being the better one, within limits, until one is sure.

    Rewards of 0 and 1 have a Beta posterior from a uniform prior, others a normal one. Source: Russo et al., A Tutorial
    on Thompson Sampling (2018).
    """
    draw = random.Random(seed)
    wins = sum(_drawn(challenger, draw) > _drawn(champion, draw) for _ in range(DRAWS))
    best = wins / DRAWS
    floor = wanted.floor_pct / 100
    share = round(min(max(best, floor), 1 - floor) / _STEP) * _STEP
    least = min(champion.n, challenger.n)
    weights = {VARIANT: round(1 - share, 4), CHALLENGER: round(share, 4)}
    facts = {
        "labelled": {VARIANT: champion.n, CHALLENGER: challenger.n},
        "mean": {VARIANT: champion.mean, CHALLENGER: challenger.mean},
        "challenger_is_better": best,
    }
    told = f"the challenger is the better one with {100 * best:.1f} %"
    if least < wanted.min_answers:
        enough = least >= wanted.min_answers // 10
        told = f"{told}; {champion.n:,} and {challenger.n:,} labelled answers of {wanted.min_answers:,}"
        return Judgement(None, told, facts, weights if enough else None)
    if best >= wanted.confidence:
        return Judgement("PASS", told, facts)
    if best <= 1 - wanted.confidence:
        return Judgement("FAIL", told, facts)
    return Judgement(None, told, facts, weights)


def _drawn(sample: Sample, draw: random.Random) -> float:
    if (
        0 <= sample.mean <= 1
        and sample.variance <= sample.mean * (1 - sample.mean) * sample.n / max(sample.n - 1, 1) * (1 + 1e-9)
        and abs(sample.mean * sample.n - round(sample.mean * sample.n)) < 1e-6
    ):
        won = sample.mean * sample.n
        return draw.betavariate(1 + won, 1 + sample.n - won)
    return draw.gauss(sample.mean, math.sqrt(sample.variance / max(sample.n, 1)) if sample.n > 1 else 1.0)
