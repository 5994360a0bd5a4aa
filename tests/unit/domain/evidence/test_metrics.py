"""Metrics against scikit-learn, and their intervals against what intervals promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bedplate.domain.evidence import metrics


@pytest.fixture(params=["spread", "tied"])
def binary(request):
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 3000).astype(float)
    scores = np.clip(rng.normal(0.35 + 0.25 * labels, 0.2), 0, 1)
    return labels, np.round(scores, 1) if request.param == "tied" else scores


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("auc", "roc_auc_score"),
        ("average_precision", "average_precision_score"),
        ("brier", "brier_score_loss"),
        ("log_loss", "log_loss"),
    ],
)
def test_binary_metrics_equal_those_of_scikit_learn(binary, metric, reference):
    import sklearn.metrics

    labels, scores = binary
    assert metrics.compute_metric(metric, labels, scores) == pytest.approx(
        getattr(sklearn.metrics, reference)(labels, scores)
    )


def test_accuracy_equals_that_of_scikit_learn_at_one_half(binary):
    from sklearn.metrics import accuracy_score

    labels, scores = binary
    assert metrics.compute_metric("accuracy", labels, scores) == pytest.approx(accuracy_score(labels, scores >= 0.5))


def test_calibration_error_is_the_mean_gap_of_ten_bins(binary):
    labels, scores = binary
    bins = np.minimum((scores * 10).astype(int), 9)
    gaps = [abs(labels[bins == b].mean() - scores[bins == b].mean()) * np.mean(bins == b) for b in np.unique(bins)]
    assert metrics.compute_metric("ece", labels, scores) == pytest.approx(sum(gaps))


@pytest.mark.parametrize(
    ("metric", "reference"), [("rmse", "root_mean_squared_error"), ("mae", "mean_absolute_error"), ("r2", "r2_score")]
)
def test_regression_metrics_equal_those_of_scikit_learn(metric, reference):
    import sklearn.metrics

    rng = np.random.default_rng(6)
    labels = rng.normal(1e6, 10, 500)
    scores = labels + rng.normal(0, 4, 500)
    assert metrics.compute_metric(metric, labels, scores) == pytest.approx(
        getattr(sklearn.metrics, reference)(labels, scores)
    )


def test_every_estimate_lies_in_its_interval(binary):
    for name, estimate in metrics.estimate_metrics("binary", *binary).items():
        assert estimate.ci_low <= estimate.value <= estimate.ci_high, name
        assert estimate.n_rows == 3000


def test_delongs_interval_covers_the_true_auc_about_nineteen_times_in_twenty():
    truth, rng, covered = 0.7602, np.random.default_rng(1), 0  # AUC of two normals one standard deviation apart
    for _ in range(300):
        labels = np.repeat([0.0, 1.0], 100)
        low, high = metrics._delong_interval(labels, rng.normal(labels, 1))
        covered += low <= truth <= high
    assert 0.91 <= covered / 300 <= 0.985


def test_bootstrap_interval_has_the_width_of_the_normal_approximation():
    rng = np.random.default_rng(2)
    labels, scores = rng.integers(0, 2, 2000).astype(float), rng.random(2000)
    losses = (scores - labels) ** 2
    estimate = metrics.estimate_metrics("binary", labels, scores)["brier"]
    assert estimate.ci_high - estimate.ci_low == pytest.approx(2 * 1.96 * losses.std() / math.sqrt(2000), rel=0.15)


@pytest.mark.parametrize("digits", [12, 1])
def test_bootstrap_of_average_precision_resamples_rows(binary, digits):
    """Also where many scores are equal."""
    from sklearn.metrics import average_precision_score

    labels, scores = binary[0], np.round(binary[1], digits)
    rng = np.random.default_rng(3)
    rows = rng.integers(0, len(labels), len(labels))
    weights = np.bincount(rows, minlength=len(labels)).astype(float)
    assert metrics._Ranking.build(labels, scores).average_precision(weights) == pytest.approx(
        average_precision_score(labels[rows], scores[rows])
    )


def test_the_estimates_of_a_model_are_the_same_in_a_comparison_and_alone(binary):
    labels, scores = binary
    comparison = metrics.compare_models("binary", labels, scores, scores**2)
    assert comparison.candidate == metrics.estimate_metrics("binary", labels, scores)
    assert comparison.champion == metrics.estimate_metrics("binary", labels, scores**2)


def test_difference_of_a_model_to_itself_is_zero(binary):
    labels, scores = binary
    for estimate in metrics.compare_models("binary", labels, scores, scores).difference.values():
        assert (estimate.value, estimate.ci_low, estimate.ci_high) == (0, 0, 0)


def test_pairing_makes_a_small_constant_difference_significant(binary):
    labels, scores = binary
    better = np.clip(scores + 0.02 * (2 * labels - 1), 0, 1)
    comparison = metrics.compare_models("binary", labels, better, scores)
    estimate, alone = comparison.difference, comparison.candidate
    assert estimate["auc"].ci_low > 0
    assert estimate["brier"].ci_high < 0
    assert estimate["brier"].ci_high - estimate["brier"].ci_low < (alone["brier"].ci_high - alone["brier"].ci_low) / 2


def test_the_seed_determines_the_resamples(binary):
    first, again, other = (metrics.estimate_metrics("binary", *binary, seed=seed)["ece"] for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("labels", [[], [1.0, 1.0]])
def test_one_class_gives_no_auc_but_null_in_json(labels):
    estimate = metrics.estimate_metrics("binary", labels, [0.5] * len(labels))["auc"]
    assert math.isnan(estimate.value)
    assert estimate.to_json() == {"value": None, "ci_low": None, "ci_high": None, "n_rows": len(labels)}


def test_one_positive_row_leaves_the_auc_unknown_between_zero_and_one():
    estimate = metrics.estimate_metrics("binary", [1, 0, 0, 0], [0.9, 0.1, 0.2, 0.3])["auc"]
    assert (estimate.value, estimate.ci_low, estimate.ci_high) == (1.0, 0.0, 1.0)


# --- bootstrap intervals against scipy's, drawn from the same stream -------------------------------------------------


def scipy_interval(statistic, n: int) -> tuple[float, float]:
    """Percentiles of as many resamples of row numbers as ours, by the same generator."""
    from scipy.stats import bootstrap

    interval = bootstrap(
        (np.arange(n),),
        lambda rows: statistic(rows.astype(np.int64)),
        n_resamples=metrics.RESAMPLES,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(5),
    ).confidence_interval
    return float(interval.low), float(interval.high)


BOOTSTRAPPED = [
    *(("binary", name) for name in ("average_precision", "brier", "log_loss", "accuracy", "ece")),
    *(("regression", name) for name in ("rmse", "mae", "r2")),
]


@pytest.mark.parametrize(("task", "name"), BOOTSTRAPPED)
def test_a_bootstrap_interval_equals_scipys(task: str, name: str):
    rng = np.random.default_rng(8)
    labels, scores = (rng.random(300) < 0.4).astype(float), rng.random(300)
    estimate = metrics.estimate_metrics(task, labels, scores, seed=5)[name]
    expected = scipy_interval(lambda rows: metrics.compute_metric(name, labels[rows], scores[rows]), 300)
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("task", "name"), BOOTSTRAPPED)
def test_the_interval_of_a_difference_equals_scipys_for_pairs(task: str, name: str):
    rng = np.random.default_rng(9)
    labels, first = (rng.random(300) < 0.4).astype(float), rng.random(300)
    second = np.clip(first + rng.normal(0, 0.1, 300), 0.01, 0.99)
    estimate = metrics.compare_models(task, labels, first, second, seed=5).difference[name]

    def difference(rows: np.ndarray) -> float:
        return metrics.compute_metric(name, labels[rows], first[rows]) - metrics.compute_metric(
            name, labels[rows], second[rows]
        )

    assert (estimate.ci_low, estimate.ci_high) == pytest.approx(scipy_interval(difference, 300), rel=1e-9, abs=1e-12)
