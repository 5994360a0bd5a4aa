"""Latencies of requests to the serving entry point, in milliseconds, and their quantiles with confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.evidence.proportions import quantile_interval


@dataclass(frozen=True, slots=True)
class Timings:
    """Latencies in milliseconds, sorted, of requests of `rows_per_request` rows each."""

    rows_per_request: int
    latencies_ms: tuple[float, ...]

    def quantile(self, share: float) -> Estimate:
        """Returns a quantile with its distribution-free 95 % interval; an end that too few requests reach is infinite.

        >>> Timings(1, (1.0, 2.0)).quantile(0.99)
        Estimate(value=2.0, ci_low=2.0, ci_high=inf, n_rows=2)
        """
        return Estimate(*quantile_interval(self.latencies_ms, share), len(self.latencies_ms))


@dataclass(frozen=True, slots=True)
class Latency:
    """Latencies of single-row and of batch requests, on the evaluation job's instance, after a warm-up."""

    single: Timings
    batch: Timings
