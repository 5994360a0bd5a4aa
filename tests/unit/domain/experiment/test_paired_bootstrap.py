"""The bootstrap interval of a mean difference of pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bedplate.domain.experiment.paired_bootstrap import mean_difference


def test_the_interval_of_the_mean_difference_equals_that_of_scipys_bootstrap() -> None:
    from scipy import stats

    rng = np.random.default_rng(1)
    a = rng.gamma(2, 1, 300)
    b = a + rng.normal(0.2, 0.5, 300)
    estimate = mean_difference(a, b)
    expected = stats.bootstrap((b - a,), np.mean, method="percentile", n_resamples=1000, rng=0).confidence_interval
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((expected.low, expected.high), abs=0.01)
    assert estimate.value == pytest.approx(float((b - a).mean()))
    assert math.isnan(mean_difference([], []).value)
