"""How long answers take: milliseconds of single requests, and quantiles of them that say how sure they are."""

from __future__ import annotations

from dataclasses import dataclass

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.evidence.proportions import quantile


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds of requests of `rows` rows each, sorted."""

    rows: int
    ms: tuple[float, ...]

    def quantile(self, share: float) -> Estimate:
        """The quantile with its distribution-free 95 % interval; an end that so few requests cannot give is infinite.

        >>> Timings(1, (1.0, 2.0)).quantile(0.99)
        Estimate(value=2.0, low=2.0, high=inf, n=2)
        """
        value, low, high = quantile(self.ms, share)
        return Estimate(value, low, high, len(self.ms))


@dataclass(frozen=True, slots=True)
class Latency:
    """What the serving entry point needed on the machine of the evaluation job, after a warm-up."""

    single: Timings
    batch: Timings
