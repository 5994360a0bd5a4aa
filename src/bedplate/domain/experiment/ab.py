"""A/B tests: the difference of two variants' rewards, whether it is chance, and the sample that takes to say.

A test that is looked at again and again finds a difference where there is none far more often than its level says.
So two results are given. The fixed one (two-proportion z, Welch's t) holds for one look at a sample size that was
chosen before. The sequential one, a mixture sequential probability ratio test, holds at every look, however many there
are: the chance that it ever finds a difference where there is none is at most `alpha`. Verdicts rest on the latter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from bedplate.domain.experiment.arm import Arm, Reward
from bedplate.domain.formatting import short

Verdict = Literal["PASS", "FAIL", "NO_DATA"]
MIN_PER_ARM = 30
"""Below it a mean is not near enough to normal for either test."""
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class DifferenceEstimate:
    """One look at a difference, challenger's mean less champion's: its interval at 1 - alpha, and p two-sided."""

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True)
class AbTestResult:
    """A look at an A/B test. `needed` is the sample of each arm at which the sequential test is expected to have found
    an effect of the size that was asked for, `needed_once` the one for a single look."""

    kind: Reward
    champion: Arm
    challenger: Arm
    once: DifferenceEstimate
    anytime: DifferenceEstimate
    needed_once: int
    needed: int
    verdict: Verdict
    reason: str


def trial(
    kind: Reward, champion: Arm, challenger: Arm, *, effect: float, alpha: float = 0.05, power: float = 0.8
) -> AbTestResult:
    """PASS: the challenger is better. FAIL: it is worse, or an effect of the size asked for would have been seen by
    now. NO_DATA: go on. `effect` is the smallest difference worth knowing of, in the reward's unit.

    >>> t = trial("binary", Arm.of_counts(500, 5000), Arm.of_counts(650, 5000), effect=0.02)
    >>> t.verdict, round(t.once.difference, 3), t.needed_once
    ('PASS', 0.03, 3841)
    """
    once = fixed_look(kind, champion, challenger, alpha=alpha)
    anytime = sequential_look(kind, champion, challenger, effect=effect, alpha=alpha)
    spread = _spread(kind, champion, challenger, effect)
    needed_once = sample_once(kind, spread, effect=effect, alpha=alpha, power=power)
    needed = max(MIN_PER_ARM, sample_sequential(spread.variance, effect=effect, alpha=alpha, power=power))
    verdict, reason = _judged(champion, challenger, anytime, needed, effect)
    return AbTestResult(kind, champion, challenger, once, anytime, needed_once, needed, verdict, reason)


def fixed_look(kind: Reward, champion: Arm, challenger: Arm, *, alpha: float = 0.05) -> DifferenceEstimate:
    """The test for one look at a sample size that was chosen before.

    Binary: z-test of two proportions with pooled variance; interval: Newcombe's (1998) hybrid of Wilson's, method 10.
    Continuous: Welch's t-test, Satterthwaite's degrees of freedom. All NaN below two rewards in an arm.
    """
    if min(champion.n, challenger.n) < 2:
        return DifferenceEstimate(math.nan, math.nan, math.nan, math.nan)
    difference = challenger.mean - champion.mean
    if kind == "binary":
        pooled = (champion + challenger).mean
        error = math.sqrt(pooled * (1 - pooled) * (1 / champion.n + 1 / challenger.n))
        p = 2 * (1 - _NORMAL.cdf(abs(difference) / error)) if error else 1.0
        return DifferenceEstimate(difference, *_newcombe(champion, challenger, alpha), p)
    from scipy.special import stdtr, stdtrit

    error = math.sqrt(champion.squared_error + challenger.squared_error)
    if error == 0:
        return DifferenceEstimate(difference, difference, difference, 1.0 if difference == 0 else 0.0)
    parts = [arm.squared_error**2 / (arm.n - 1) for arm in (champion, challenger)]
    freedom = error**4 / sum(parts)
    t = float(stdtrit(freedom, 1 - alpha / 2))
    p = 2 * float(stdtr(freedom, -abs(difference) / error))
    return DifferenceEstimate(difference, difference - t * error, difference + t * error, p)


def sequential_look(
    kind: Reward, champion: Arm, challenger: Arm, *, effect: float, alpha: float = 0.05
) -> DifferenceEstimate:
    """The test that may be looked at any number of times: mixture SPRT with a normal mixture of scale `effect`.

    With V the squared error of the difference d and t = effect, the likelihood ratio against no difference is
    sqrt(V / (V + t^2)) exp(t^2 d^2 / (2 V (V + t^2))); p is its inverse, and the interval holds what p would not
    reject. Source: Johari, Koomen, Pekelis and Walsh, Always Valid Inference (Operations Research, 2022), section 5,
    with the variance estimated. Nothing is found below MIN_PER_ARM: the interval is without bounds.
    """
    difference = challenger.mean - champion.mean
    if min(champion.n, challenger.n) < MIN_PER_ARM:
        return DifferenceEstimate(difference if min(champion.n, challenger.n) else math.nan, -math.inf, math.inf, 1.0)
    v = _squared_error(kind, champion, challenger)
    if v == 0:
        return DifferenceEstimate(difference, difference, difference, 1.0 if difference == 0 else 0.0)
    t = effect**2
    log_ratio = 0.5 * math.log(v / (v + t)) + t * difference**2 / (2 * v * (v + t))
    width = _half_width(v, effect, alpha)
    return DifferenceEstimate(difference, difference - width, difference + width, min(1.0, math.exp(-log_ratio)))


def _half_width(v: float, effect: float, alpha: float) -> float:
    t = effect**2
    return math.sqrt(v * (v + t) / t * (2 * math.log(1 / alpha) + math.log((v + t) / v)))


@dataclass(frozen=True, slots=True)
class RewardVariance:
    """What is known of a reward before a test: the champion's mean and the variance of one reward."""

    mean: float
    variance: float


def sample_once(kind: Reward, spread: RewardVariance, *, effect: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Rewards that each arm needs for one look to find `effect` with `power`, two-sided at `alpha`.

    Binary: Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions (2003), equation 4.14, with the
    direction in which the sample is larger. Continuous: the t-test's power by the noncentral t-distribution.
    """
    z, z_power = _NORMAL.inv_cdf(1 - alpha / 2), _NORMAL.inv_cdf(power)
    if spread.variance == 0:
        return MIN_PER_ARM
    if kind == "binary":
        return max(
            _proportions(spread.mean, spread.mean + way * effect, z, z_power)
            for way in (1, -1)
            if 0 <= spread.mean + way * effect <= 1
        )
    from scipy.special import nctdtr, stdtrit

    n = max(2, math.floor(2 * spread.variance * (z + z_power) ** 2 / effect**2))
    while True:
        freedom, shift = 2 * n - 2, effect / math.sqrt(2 * spread.variance / n)
        t = float(stdtrit(freedom, 1 - alpha / 2))
        if 1 - float(nctdtr(freedom, shift, t)) + float(nctdtr(freedom, shift, -t)) >= power:
            return n
        n += 1


def sample_sequential(variance: float, *, effect: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Rewards that each arm needs until the sequential test finds `effect` with `power` at the latest.

    By then its interval is so narrow that a difference one quantile below `effect` lies outside of it.
    """
    z_power = _NORMAL.inv_cdf(power)

    def finds(n: int) -> bool:
        v = 2 * variance / n
        return effect - z_power * math.sqrt(v) >= _half_width(v, effect, alpha)

    if variance == 0:
        return MIN_PER_ARM
    high = 2
    while not finds(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if finds(middle) else (middle, high)
    return high


def detectable(arm_n: int, variance: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest difference that one look at `arm_n` rewards an arm finds with `power`; infinite without a reward.

    >>> round(detectable(3843, 0.09 + 0.001), 3)
    0.019
    """
    z = _NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(power)
    return z * math.sqrt(2 * variance / arm_n) if arm_n else math.inf


def _judged(
    champion: Arm, challenger: Arm, look: DifferenceEstimate, needed: int, effect: float
) -> tuple[Verdict, str]:
    value, low, high = (short(end, signed=True) for end in (look.difference, look.low, look.high))
    found = f"{value} [{low}, {high}]"
    least = min(champion.n, challenger.n)
    if least < MIN_PER_ARM:
        return "NO_DATA", f"{champion.n:,} and {challenger.n:,} rewards; each needs {MIN_PER_ARM} to be looked at"
    if look.low > 0:
        return "PASS", f"the challenger is better: {found}"
    if look.high < 0:
        return "FAIL", f"the challenger is worse: {found}"
    if least >= needed:
        return "FAIL", f"no difference of {effect:g} after {least:,} rewards each, of {needed:,} needed: {found}"
    return "NO_DATA", f"{champion.n:,} and {challenger.n:,} rewards of {needed:,} that each may need: {found}"


def _squared_error(kind: Reward, champion: Arm, challenger: Arm) -> float:
    """Of the difference. A proportion that is 0 or 1 so far still has a variance: half a success is added to each side
    (Agresti and Coull, 1998, in spirit), else the first few answers would decide."""
    if kind == "continuous":
        return champion.squared_error + challenger.squared_error
    parts = []
    for arm in (champion, challenger):
        p = (arm.successes + 0.5) / (arm.n + 1)
        parts.append(p * (1 - p) / arm.n)
    return sum(parts)


def _spread(kind: Reward, champion: Arm, challenger: Arm, effect: float) -> RewardVariance:
    """From both arms; before there is a reward the most that a proportion can have, or `effect` itself."""
    if min(champion.n, challenger.n) < 2:
        return RewardVariance(0.5, 0.25 if kind == "binary" else effect**2)
    if kind == "binary":
        return RewardVariance(
            champion.mean, (champion.mean * (1 - champion.mean) + challenger.mean * (1 - challenger.mean)) / 2
        )
    return RewardVariance(champion.mean, (champion.variance + challenger.variance) / 2)


def _proportions(p: float, other: float, z: float, z_power: float) -> int:
    middle = (p + other) / 2
    root = z * math.sqrt(2 * middle * (1 - middle)) + z_power * math.sqrt(p * (1 - p) + other * (1 - other))
    return math.ceil((root / (other - p)) ** 2)


def wilson(successes: float, n: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """Wilson's score interval (1927) of a proportion; (0, 1) without a trial.

    >>> [round(bound, 4) for bound in wilson(8, 10)], wilson(0, 0)
    ([0.4902, 0.9433], (0.0, 1.0))
    """
    if n == 0:
        return 0.0, 1.0
    z = _NORMAL.inv_cdf(1 - alpha / 2)
    p = successes / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def _newcombe(champion: Arm, challenger: Arm, alpha: float) -> tuple[float, float]:
    low1, high1 = wilson(challenger.successes, challenger.n, alpha=alpha)
    low2, high2 = wilson(champion.successes, champion.n, alpha=alpha)
    p1, p2 = challenger.mean, champion.mean
    below = math.sqrt((p1 - low1) ** 2 + (high2 - p2) ** 2)
    above = math.sqrt((high1 - p1) ** 2 + (p2 - low2) ** 2)
    return p1 - p2 - below, p1 - p2 + above
