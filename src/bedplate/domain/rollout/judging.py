"""What the figures of two releases side by side say: wait, PASS, FAIL, or other weights; one judge a strategy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedplate.domain.formatting import figure
from bedplate.domain.names import CHALLENGER, VARIANT
from bedplate.domain.rollout.ticking import StrategyVerdict
from bedplate.settings import Experiment, Slo

if TYPE_CHECKING:
    from bedplate.domain.experiment.arm import Arm, Reward

FEW = 10
"""A tenth of the answers that are asked for is enough to see errors and latency by, and to begin to weigh a bandit."""


@dataclass(frozen=True, slots=True)
class VariantTraffic:
    """How one variant did, by CloudWatch: requests, those that failed, p99 of its latency (None without a request)."""

    asked: float
    failed: float
    p99_ms: float | None


def unwell(served: VariantTraffic, slo: Slo, *, enough: int) -> str | None:
    """Why a variant breaks the service level by itself; None while it keeps it, or was hardly asked.

    >>> unwell(VariantTraffic(100, 5, 20.0), Slo(), enough=50), unwell(VariantTraffic(100, 0, 20.0), Slo(), enough=50)
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


@dataclass(frozen=True, slots=True)
class PairedPredictions:
    """Answers of champion and challenger to the same rows, and the microseconds that both took for the same requests
    (fewer, or none, where a container does not say)."""

    champion: Sequence[float]
    challenger: Sequence[float]
    champion_us: Sequence[float] = ()
    challenger_us: Sequence[float] = ()


def judge_shadow(
    pairs: PairedPredictions,
    served: tuple[VariantTraffic, VariantTraffic],
    wanted: Experiment,
    slo: Slo,
    *,
    binary: bool,
    max_psi: float,
) -> StrategyVerdict:
    """Agreement, shift of the answers and latency, before any traffic moves: PASS when nothing that is bounded fails
    and nothing is unknown. See `experiment.agreement`."""
    from bedplate.domain.experiment.agreement import AgreementBounds, ErrorCount, agreement, findings, overall

    champion, challenger = served
    found = agreement(
        pairs.champion,
        pairs.challenger,
        threshold=wanted.threshold,
        binary=binary,
        champion_us=pairs.champion_us,
        shadow_us=pairs.challenger_us,
    )
    told = findings(
        found,
        ErrorCount(challenger.asked, challenger.failed),
        AgreementBounds(
            min_pairs=wanted.min_answers,
            min_same=wanted.min_agreement_pct / 100,
            within=None if binary else wanted.threshold,
            max_psi=max_psi,
        ),
    )
    tails = {f"p{100 * t.quantile:g}_ms": {VARIANT: t.champion_ms, CHALLENGER: t.shadow_ms} for t in found.latency}
    apart = {f"p{100 * t.quantile:g}_later_ms": [t.low_ms, t.high_ms] for t in found.latency}
    facts = _known(
        pairs=found.pairs,
        agreement_pct=100 * found.same,
        agreement_interval_pct=[100 * found.same_low, 100 * found.same_high] if found.pairs else None,
        mean_difference=found.mean_apart,
        p95_difference=found.p95_apart,
        shift=found.shift,
        correlation=found.correlation,
        psi=found.psi,
        failed={VARIANT: champion.failed, CHALLENGER: challenger.failed},
        **tails,
        **apart,
    )
    wrong = unwell(challenger, slo, enough=wanted.min_answers // FEW)
    if wrong:
        return StrategyVerdict("FAIL", wrong, facts)
    if found.pairs < wanted.min_answers:
        return StrategyVerdict(None, f"{found.pairs:,} of {wanted.min_answers:,} pairs of answers", facts)
    verdict = overall(told)
    said = "; ".join(f.told for f in told if f.verdict == verdict or verdict == "PASS")
    return StrategyVerdict(None if verdict == "NO_DATA" else verdict, said, facts)


def judge_ab(kind: Reward, champion: Arm, challenger: Arm, wanted: Experiment) -> StrategyVerdict:
    """An A/B test that may be looked at as often as one likes. See `experiment.ab`."""
    from bedplate.domain.experiment.ab import trial

    found = trial(kind, champion, challenger, effect=wanted.min_effect, alpha=wanted.alpha, power=wanted.power)
    facts = _known(
        labelled={VARIANT: champion.n, CHALLENGER: challenger.n},
        mean={VARIANT: champion.mean, CHALLENGER: challenger.mean},
        effect=found.anytime.difference,
        interval=[found.anytime.low, found.anytime.high],
        p_value=found.anytime.p,
        p_value_of_one_look=found.once.p,
        needed=found.needed,
        needed_for_one_look=found.needed_once,
    )
    least = min(champion.n, challenger.n)
    if least < wanted.min_answers:
        told = (
            f"{champion.n:,} and {challenger.n:,} labelled answers of the {wanted.min_answers:,} that each needs first"
        )
        return StrategyVerdict(None, f"{told}; {found.needed:,} to see an effect of {wanted.min_effect:g}", facts)
    return StrategyVerdict(None if found.verdict == "NO_DATA" else found.verdict, found.reason, facts)


def judge_pairs(champion: Sequence[float], challenger: Sequence[float], wanted: Experiment) -> StrategyVerdict:
    """Rewards of both on the same rows: PASS when the paired bootstrap's interval of their mean difference lies above
    zero, FAIL when below; while it holds zero, more labels are waited for. See `experiment.paired`."""
    from bedplate.domain.experiment.paired import mean_difference

    found = mean_difference(champion, challenger, alpha=wanted.alpha)
    facts = _known(labelled_pairs=found.n, difference=found.value, interval=[found.low, found.high])
    if found.n < wanted.min_answers:
        return StrategyVerdict(None, f"{found.n:,} of {wanted.min_answers:,} labelled pairs", facts)
    value, low, high = (figure(end, signed=True) for end in (found.value, found.low, found.high))
    told = f"difference of {wanted.metric} {value} ({low} to {high}, {found.n:,} pairs)"
    return StrategyVerdict("PASS" if found.low > 0 else "FAIL" if found.high < 0 else None, told, facts)


def judge_bandit(kind: Reward, arms: dict[str, Arm], before: dict[str, float], wanted: Experiment) -> StrategyVerdict:
    """Thompson sampling within limits; ends when one is the best with the confidence asked for. See
    `experiment.bandit`. The draws are seeded by what was measured, so the same figures give the same weights."""
    from bedplate.domain.experiment.bandit import BanditLimits, allocate

    floor = wanted.floor_pct / 100
    limits = BanditLimits(floor=floor, ceiling=1 - floor, confidence=wanted.confidence)
    found = allocate(kind, arms, seed=sum(arm.n for arm in arms.values()), before=before, limits=limits)
    facts = _known(
        labelled={name: arm.n for name, arm in arms.items()},
        mean={name: arm.mean for name, arm in arms.items()},
        is_best=found.best,
    )
    weights = {name: round(share, 2) for name, share in found.weights.items()}
    least = min(arm.n for arm in arms.values())
    if least < wanted.min_answers:
        told = f"{found.reason}; {least:,} of the {wanted.min_answers:,} labelled answers that each needs"
        return StrategyVerdict(None, told, facts, weights if least >= wanted.min_answers // FEW else None)
    if found.winner:
        return StrategyVerdict("PASS" if found.winner == CHALLENGER else "FAIL", found.reason, facts)
    return StrategyVerdict(None, found.reason, facts, weights)


def _known(**figures: object) -> dict[str, object]:
    """Figures that are known, and finite: the ledger holds JSON."""

    def finite(value: object) -> object:
        if isinstance(value, list):
            return value if all(math.isfinite(v) for v in value) else None
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {name: kept for name, value in figures.items() if (kept := finite(value)) is not None}
