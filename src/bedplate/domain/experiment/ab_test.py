"""Tests the difference between two variants' rewards (A/B test), and computes the sample size that the test needs.

A fixed-sample test that is evaluated repeatedly finds a difference where there is none far more often than its
significance level. Therefore there are two tests. The fixed test (two-proportion z, Welch's t) is valid for one
evaluation at a sample size that was chosen in advance. The sequential test, a mixture sequential probability ratio
test, is valid at every evaluation: the probability that it ever finds a difference where there is none is at most
`alpha`. The verdict uses the sequential test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from bedplate.domain.evidence.proportions import newcombe_interval
from bedplate.domain.experiment.arm import Arm, Reward
from bedplate.domain.formatting import format_short

Verdict = Literal["PASS", "FAIL", "NO_DATA"]
MIN_PER_ARM = 30
"""With fewer rewards, a mean is not close enough to normal for either test."""
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class DifferenceEstimate:
    """The challenger's mean minus the champion's, its interval at 1 - alpha, and the two-sided p-value."""

    difference: float
    ci_low: float
    ci_high: float
    p_value: float


@dataclass(frozen=True, slots=True)
class AbTestResult:
    """The result of an A/B test so far.

    `fixed` and `sequential` are the estimates of the two tests. `sequential_sample_size` is the number of rewards per
    arm at which the sequential test is expected to have detected the effect, `fixed_sample_size` the number for one
    evaluation of the fixed test. `verdict` follows from the sequential test only.
    """

    kind: Reward
    champion: Arm
    challenger: Arm
    fixed: DifferenceEstimate
    sequential: DifferenceEstimate
    fixed_sample_size: int
    sequential_sample_size: int
    verdict: Verdict
    reason: str


def run_ab_test(
    kind: Reward, champion: Arm, challenger: Arm, *, effect: float, alpha: float = 0.05, power: float = 0.8
) -> AbTestResult:
    """Compares the rewards of both arms.

    `effect` is the smallest difference to detect, in the reward's unit; `alpha` is the significance level, and `power`
    the probability of detecting `effect` with the sample sizes of the result.

    The verdict is PASS when the challenger is better, FAIL when it is worse or when an effect of this size would have
    been detected by now, and NO_DATA while more rewards are needed.

    >>> champion, challenger = (Arm.from_rewards([1] * n + [0] * (5000 - n)) for n in (500, 650))
    >>> result = run_ab_test("binary", champion, challenger, effect=0.02)
    >>> result.verdict, round(result.fixed.difference, 3), result.fixed_sample_size
    ('PASS', 0.03, 3841)
    """
    fixed = fixed_test(kind, champion, challenger, alpha=alpha)
    sequential = sequential_test(kind, champion, challenger, effect=effect, alpha=alpha)
    reward_variance = _estimate_reward_variance(kind, champion, challenger, effect)
    n_fixed = fixed_sample_size(kind, reward_variance, effect=effect, alpha=alpha, power=power)
    n_sequential = sequential_sample_size(reward_variance.variance, effect=effect, alpha=alpha, power=power)
    n_sequential = max(MIN_PER_ARM, n_sequential)
    verdict, reason = _decide(champion, challenger, sequential, n_sequential, effect)
    return AbTestResult(kind, champion, challenger, fixed, sequential, n_fixed, n_sequential, verdict, reason)


def fixed_test(kind: Reward, champion: Arm, challenger: Arm, *, alpha: float = 0.05) -> DifferenceEstimate:
    """Tests the difference once, at a sample size that was chosen in advance.

    Binary: z-test of two proportions with pooled variance; interval: Newcombe's (1998) hybrid of Wilson's, method 10.
    Continuous: Welch's t-test, Satterthwaite's degrees of freedom. All values are NaN with fewer than two rewards in
    an arm.
    """
    if min(champion.n, challenger.n) < 2:
        return DifferenceEstimate(math.nan, math.nan, math.nan, math.nan)
    difference = challenger.mean - champion.mean
    if kind == "binary":
        pooled_mean = (champion + challenger).mean
        standard_error = math.sqrt(pooled_mean * (1 - pooled_mean) * (1 / champion.n + 1 / challenger.n))
        p_value = 2 * (1 - _NORMAL.cdf(abs(difference) / standard_error)) if standard_error else 1.0
        counts = (challenger.successes, challenger.n, champion.successes, champion.n)
        return DifferenceEstimate(difference, *newcombe_interval(*counts, alpha=alpha), p_value)
    from scipy.special import stdtr, stdtrit

    standard_error = math.sqrt(champion.mean_variance + challenger.mean_variance)
    if standard_error == 0:
        return DifferenceEstimate(difference, difference, difference, 1.0 if difference == 0 else 0.0)
    variance_parts = [arm.mean_variance**2 / (arm.n - 1) for arm in (champion, challenger)]
    degrees_of_freedom = standard_error**4 / sum(variance_parts)
    t = float(stdtrit(degrees_of_freedom, 1 - alpha / 2))
    p_value = 2 * float(stdtr(degrees_of_freedom, -abs(difference) / standard_error))
    return DifferenceEstimate(difference, difference - t * standard_error, difference + t * standard_error, p_value)


def sequential_test(
    kind: Reward, champion: Arm, challenger: Arm, *, effect: float, alpha: float = 0.05
) -> DifferenceEstimate:
    """Tests the difference by a mixture SPRT, which remains valid however often it is evaluated.

    The mixing distribution of the difference is normal with mean 0 and standard deviation t = `effect`. With V the
    variance of the measured difference d, the likelihood ratio against no difference is
    sqrt(V / (V + t^2)) exp(t^2 d^2 / (2 V (V + t^2))). The p-value is its inverse, at most 1, and the interval contains
    the differences that the test does not reject at `alpha`. With fewer than MIN_PER_ARM rewards the interval is
    infinite.
    Source: Johari, Koomen, Pekelis and Walsh, Always Valid Inference (Operations Research, 2022), section 5, with the
    variance estimated.
    """
    difference = challenger.mean - champion.mean
    if min(champion.n, challenger.n) < MIN_PER_ARM:
        return DifferenceEstimate(difference if min(champion.n, challenger.n) else math.nan, -math.inf, math.inf, 1.0)
    variance = _difference_variance(kind, champion, challenger)
    if variance == 0:
        return DifferenceEstimate(difference, difference, difference, 1.0 if difference == 0 else 0.0)
    t_squared, total = effect**2, variance + effect**2
    log_ratio = 0.5 * math.log(variance / total) + t_squared * difference**2 / (2 * variance * total)
    p_value, half_width = min(1.0, math.exp(-log_ratio)), _half_width(variance, effect, alpha)
    return DifferenceEstimate(difference, difference - half_width, difference + half_width, p_value)


def _half_width(variance: float, effect: float, alpha: float) -> float:
    """Returns half the width of the sequential test's interval, for a difference with this variance."""
    t_squared, total = effect**2, variance + effect**2
    return math.sqrt(variance * total / t_squared * (2 * math.log(1 / alpha) + math.log(total / variance)))


@dataclass(frozen=True, slots=True)
class RewardVariance:
    """The champion's mean reward and the variance of one reward, from which sample sizes are computed."""

    mean: float
    variance: float


def fixed_sample_size(
    kind: Reward, reward_variance: RewardVariance, *, effect: float, alpha: float = 0.05, power: float = 0.8
) -> int:
    """Returns the rewards per arm with which the fixed test detects `effect` with `power`, two-sided at `alpha`.

    Binary: Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions (2003), equation 4.14, for the
    direction of the effect that needs more rewards. Continuous: power of the t-test by the noncentral t-distribution.
    """
    z, z_power = _NORMAL.inv_cdf(1 - alpha / 2), _NORMAL.inv_cdf(power)
    if reward_variance.variance == 0:
        return MIN_PER_ARM
    if kind == "binary":
        return max(
            _binary_sample_size(reward_variance.mean, reward_variance.mean + sign * effect, z, z_power)
            for sign in (1, -1)
            if 0 <= reward_variance.mean + sign * effect <= 1
        )
    from scipy.special import nctdtr, stdtrit

    n = max(2, math.floor(2 * reward_variance.variance * (z + z_power) ** 2 / effect**2))
    while True:
        degrees_of_freedom, noncentrality = 2 * n - 2, effect / math.sqrt(2 * reward_variance.variance / n)
        t = float(stdtrit(degrees_of_freedom, 1 - alpha / 2))
        lower_tail, upper_tail = (float(nctdtr(degrees_of_freedom, noncentrality, quantile)) for quantile in (-t, t))
        if 1 - upper_tail + lower_tail >= power:
            return n
        n += 1


def sequential_sample_size(variance: float, *, effect: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Returns the rewards per arm by which the sequential test detects `effect` with probability `power`.

    With this sample size the interval is so narrow that it excludes zero even when the measured difference is smaller
    than `effect` by the normal quantile of `power` times its standard error.
    """
    z_power = _NORMAL.inv_cdf(power)

    def is_detected_with(n: int) -> bool:
        difference_variance = 2 * variance / n
        return effect - z_power * math.sqrt(difference_variance) >= _half_width(difference_variance, effect, alpha)

    if variance == 0:
        return MIN_PER_ARM
    high = 2
    while not is_detected_with(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_detected_with(middle) else (middle, high)
    return high


def _decide(
    champion: Arm, challenger: Arm, estimate: DifferenceEstimate, sample_size: int, effect: float
) -> tuple[Verdict, str]:
    """Returns the verdict by the sequential test's estimate, and its reason; see `run_ab_test`."""
    numbers = (estimate.difference, estimate.ci_low, estimate.ci_high)
    value, low, high = (format_short(number, signed=True) for number in numbers)
    interval = f"{value} [{low}, {high}]"
    n = min(champion.n, challenger.n)
    if n < MIN_PER_ARM:
        return "NO_DATA", f"{champion.n:,} and {challenger.n:,} rewards; each variant needs {MIN_PER_ARM}"
    if estimate.ci_low > 0:
        return "PASS", f"the challenger is better: {interval}"
    if estimate.ci_high < 0:
        return "FAIL", f"the challenger is worse: {interval}"
    if n >= sample_size:
        return "FAIL", f"no difference of {effect:g} after {n:,} rewards each ({sample_size:,} needed): {interval}"
    return "NO_DATA", f"{champion.n:,} and {challenger.n:,} rewards; each may need {sample_size:,}: {interval}"


def _difference_variance(kind: Reward, champion: Arm, challenger: Arm) -> float:
    """Returns the variance of the difference of both means.

    For proportions, half a success and half a failure are added (after Agresti and Coull, 1998). Otherwise a
    proportion of 0 or 1 would have no variance, and the first few rewards would decide.
    """
    if kind == "continuous":
        return champion.mean_variance + challenger.mean_variance
    variances = []
    for arm in (champion, challenger):
        p = (arm.successes + 0.5) / (arm.n + 1)
        variances.append(p * (1 - p) / arm.n)
    return sum(variances)


def _estimate_reward_variance(kind: Reward, champion: Arm, challenger: Arm, effect: float) -> RewardVariance:
    """Returns the champion's mean reward and the mean of both arms' variances.

    With fewer than two rewards in an arm, the variance is the largest one of a proportion (0.25), or `effect` squared
    for continuous rewards.
    """
    if min(champion.n, challenger.n) < 2:
        return RewardVariance(0.5, 0.25 if kind == "binary" else effect**2)
    variances = [champion.variance, challenger.variance]
    if kind == "binary":
        variances = [arm.mean * (1 - arm.mean) for arm in (champion, challenger)]
    return RewardVariance(champion.mean, sum(variances) / 2)


def _binary_sample_size(p1: float, p2: float, z: float, z_power: float) -> int:
    """Returns the rewards per arm to distinguish the proportions `p1` and `p2` (Fleiss, Levin, Paik, equation 4.14)."""
    mean = (p1 + p2) / 2
    scaled_effect = z * math.sqrt(2 * mean * (1 - mean)) + z_power * math.sqrt(p1 * (1 - p1) + p2 * (1 - p2))
    return math.ceil((scaled_effect / (p2 - p1)) ** 2)
