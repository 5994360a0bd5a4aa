"""Judges the measurements of a rollout: for each strategy a verdict, new weights, or the decision to wait."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedplate.domain.formatting import format_number
from bedplate.domain.names import CHALLENGER, VARIANT
from bedplate.domain.rollout.state_machine import Verdict
from bedplate.domain.rollout.tick import StrategyVerdict
from bedplate.settings import Experiment, Slo

if TYPE_CHECKING:
    from bedplate.domain.experiment.arm import Arm, Reward

EARLY_DIVISOR = 10
"""Errors and latency are judged, and a bandit's weights changed, from a tenth of the required predictions on."""


@dataclass(frozen=True, slots=True)
class VariantTraffic:
    """CloudWatch metrics of one variant: requests, failed requests, and p99 latency (None without a request)."""

    requests: float
    failed_requests: float
    p99_ms: float | None


def describe_slo_violation(traffic: VariantTraffic, slo: Slo, *, min_requests: int) -> str | None:
    """Returns how a variant violates the service level objective; None when it does not, or got too few requests.

    >>> describe_slo_violation(VariantTraffic(100, 5, 20.0), Slo(), min_requests=50)
    '5 of its 100 requests failed, 5 % (at most 1 %)'
    >>> describe_slo_violation(VariantTraffic(100, 0, 20.0), Slo(), min_requests=50) is None
    True
    """
    if traffic.requests < min_requests:
        return None
    error_pct = 100 * traffic.failed_requests / traffic.requests
    if error_pct > slo.max_error_pct:
        errors = f"{traffic.failed_requests:,.0f} of its {traffic.requests:,.0f} requests failed, {error_pct:.2g} %"
        return f"{errors} (at most {slo.max_error_pct:g} %)"
    if traffic.p99_ms is not None and traffic.p99_ms > slo.latency_p99_ms:
        return f"its p99 latency is {traffic.p99_ms:.1f} ms (at most {slo.latency_p99_ms:g} ms)"
    return None


@dataclass(frozen=True, slots=True)
class PairedPredictions:
    """Predictions of champion and challenger on the same rows, and the model latencies of both on the same requests.

    Latencies are in microseconds; there are fewer of them, or none, if a container does not report them.
    """

    champion: Sequence[float]
    challenger: Sequence[float]
    champion_us: Sequence[float] = ()
    challenger_us: Sequence[float] = ()


def judge_shadow(
    pairs: PairedPredictions,
    traffic: tuple[VariantTraffic, VariantTraffic],
    settings: Experiment,
    slo: Slo,
    *,
    is_binary: bool,
    max_psi: float,
) -> StrategyVerdict:
    """Judges a shadow's agreement, prediction shift, errors and latency; see `experiment.agreement`.

    `traffic` is (champion's, challenger's). `max_psi` bounds the PSI of the predictions. PASS requires that every
    bounded measurement is known and within its bound.
    """
    from bedplate.domain.experiment import agreement
    from bedplate.domain.gate.verdict import combine_outcomes

    champion, challenger = traffic
    result = agreement.measure_agreement(
        pairs.champion,
        pairs.challenger,
        threshold=settings.threshold,
        is_binary=is_binary,
        champion_us=pairs.champion_us,
        shadow_us=pairs.challenger_us,
    )
    bounds = agreement.AgreementBounds(
        min_pairs=settings.min_predictions,
        min_agreement=settings.min_agreement_pct / 100,
        tolerance=None if is_binary else settings.threshold,
        max_psi=max_psi,
    )
    checks = agreement.check_agreement(result, bounds)
    interval_pct = [100 * result.agreement_ci_low, 100 * result.agreement_ci_high]
    measurements = _finite_values(
        pairs=result.n_pairs,
        agreement_pct=100 * result.agreement_rate,
        agreement_interval_pct=interval_pct if result.n_pairs else None,
        mean_difference=result.mean_abs_difference,
        p95_difference=result.p95_abs_difference,
        shift=result.mean_shift,
        correlation=result.correlation,
        psi=result.psi,
        failed={VARIANT: champion.failed_requests, CHALLENGER: challenger.failed_requests},
        **{f"p{100 * q.quantile:g}_ms": {VARIANT: q.champion_ms, CHALLENGER: q.shadow_ms} for q in result.latency},
        **{f"p{100 * q.quantile:g}_difference_ms": [q.ci_low_ms, q.ci_high_ms] for q in result.latency},
    )
    violation = describe_slo_violation(challenger, slo, min_requests=settings.min_predictions // EARLY_DIVISOR)
    if violation:
        return StrategyVerdict("FAIL", violation, measurements)
    if result.n_pairs < settings.min_predictions:
        message = f"{result.n_pairs:,} of {settings.min_predictions:,} pairs of predictions"
        return StrategyVerdict(None, message, measurements)
    verdict = combine_outcomes(check.verdict for check in checks)
    message = "; ".join(check.message for check in checks if check.verdict == verdict or verdict == "PASS")
    return StrategyVerdict(None if verdict == "NO_DATA" else verdict, message, measurements)


def judge_ab(kind: Reward, champion: Arm, challenger: Arm, settings: Experiment) -> StrategyVerdict:
    """Judges an A/B test by a sequential test, which is valid at every evaluation; see `experiment.ab_test`."""
    from bedplate.domain.experiment.ab_test import run_ab_test

    result = run_ab_test(
        kind, champion, challenger, effect=settings.min_effect, alpha=settings.alpha, power=settings.power
    )
    measurements = _finite_values(
        labelled={VARIANT: champion.n, CHALLENGER: challenger.n},
        mean={VARIANT: champion.mean, CHALLENGER: challenger.mean},
        effect=result.sequential.difference,
        interval=[result.sequential.ci_low, result.sequential.ci_high],
        p_value=result.sequential.p_value,
        p_value_fixed=result.fixed.p_value,
        sample_size=result.sequential_sample_size,
        sample_size_fixed=result.fixed_sample_size,
    )
    if min(champion.n, challenger.n) < settings.min_predictions:
        counts = f"{champion.n:,} and {challenger.n:,} labelled predictions; each release needs"
        sizes = f"{settings.min_predictions:,}, and {result.sequential_sample_size:,} to detect an effect of"
        return StrategyVerdict(None, f"{counts} {sizes} {settings.min_effect:g}", measurements)
    return StrategyVerdict(None if result.verdict == "NO_DATA" else result.verdict, result.reason, measurements)


def judge_pairs(champion: Sequence[float], challenger: Sequence[float], settings: Experiment) -> StrategyVerdict:
    """Judges the rewards of both releases on the same rows by a paired bootstrap; see `experiment.paired_bootstrap`.

    PASS when the interval of their mean difference is above zero, FAIL when it is below; while it contains zero, the
    rollout waits for more labels.
    """
    from bedplate.domain.experiment.paired_bootstrap import mean_difference

    result = mean_difference(champion, challenger, alpha=settings.alpha)
    interval = [result.ci_low, result.ci_high]
    measurements = _finite_values(labelled_pairs=result.n_rows, difference=result.value, interval=interval)
    if result.n_rows < settings.min_predictions:
        message = f"{result.n_rows:,} of {settings.min_predictions:,} labelled pairs"
        return StrategyVerdict(None, message, measurements)
    value, low, high = (format_number(number, signed=True) for number in (result.value, *interval))
    message = f"difference of {settings.metric} {value} ({low} to {high}, {result.n_rows:,} pairs)"
    verdict: Verdict | None = "PASS" if result.ci_low > 0 else "FAIL" if result.ci_high < 0 else None
    return StrategyVerdict(verdict, message, measurements)


def judge_bandit(
    kind: Reward, arms: dict[str, Arm], current_weights: dict[str, float], settings: Experiment
) -> StrategyVerdict:
    """Judges a bandit by Thompson sampling within limits; see `experiment.bandit`.

    The verdict is PASS or FAIL when one arm is the best with the required confidence; until then the new weights are
    returned. The random draws are seeded by the number of rewards, so that equal rewards give equal weights.
    """
    from bedplate.domain.experiment.bandit import BanditLimits, allocate

    floor = settings.floor_pct / 100
    limits = BanditLimits(floor=floor, ceiling=1 - floor, confidence=settings.confidence)
    seed = sum(arm.n for arm in arms.values())
    result = allocate(kind, arms, seed=seed, current=current_weights, limits=limits)
    measurements = _finite_values(
        labelled={name: arm.n for name, arm in arms.items()},
        mean={name: arm.mean for name, arm in arms.items()},
        best_probability=result.best_probability,
    )
    weights = {name: round(share, 2) for name, share in result.weights.items()}
    count, required = min(arm.n for arm in arms.values()), settings.min_predictions
    if count < required:
        message = f"{result.reason}; {count:,} of the {required:,} labelled predictions that each release needs"
        return StrategyVerdict(None, message, measurements, weights if count >= required // EARLY_DIVISOR else None)
    if result.winner:
        return StrategyVerdict("PASS" if result.winner == CHALLENGER else "FAIL", result.reason, measurements)
    return StrategyVerdict(None, result.reason, measurements, weights)


def _finite_values(**values: object) -> dict[str, object]:
    """Returns the values that are known and finite, because JSON, and so the ledger, has no NaN and infinity."""

    def is_finite(value: object) -> bool:
        numbers = value if isinstance(value, list) else [value]
        return value is not None and all(not isinstance(n, float) or math.isfinite(n) for n in numbers)

    return {name: value for name, value in values.items() if is_finite(value)}
