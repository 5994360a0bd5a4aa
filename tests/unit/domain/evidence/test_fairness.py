"""Every fairness metric against Fairlearn."""

from __future__ import annotations

import math

import fairlearn.metrics as reference
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_score

from bedplate.domain.evidence.fairness import Fairness, GroupMetric, fairness
from bedplate.settings import FairnessGate

THRESHOLD = 0.4


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(8)
    groups = rng.choice(["a", "b", "c"], 3000, p=[0.5, 0.3, 0.2])
    labels = (rng.random(3000) < np.where(groups == "a", 0.5, 0.3)).astype(float)
    scores = np.clip(rng.normal(0.35 + 0.2 * labels + 0.05 * (groups == "c"), 0.2), 0, 1)
    return groups.astype(object), labels, scores


def measure_fairness(rows, metric: str, **bound: float) -> Fairness:
    bound = bound or {"max_difference": 0.1}
    return fairness(FairnessGate(column="g", metric=metric, threshold=THRESHOLD, **bound), *rows)


@pytest.mark.parametrize(
    ("metric", "function"),
    [
        ("selection_rate", reference.demographic_parity_difference),
        ("equal_opportunity", reference.equal_opportunity_difference),
        ("equalized_odds", reference.equalized_odds_difference),
    ],
)
def test_differences_equal_those_of_fairlearn(rows, metric, function):
    groups, labels, scores = rows
    expected = function(labels, scores >= THRESHOLD, sensitive_features=groups)
    assert measure_fairness(rows, metric).difference.value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "function"),
    [
        ("false_positive_rate", reference.false_positive_rate),
        ("predictive_parity", precision_score),
        ("accuracy", accuracy_score),
    ],
)
def test_group_values_equal_those_of_fairlearns_metric_frame(rows, metric, function):
    groups, labels, scores = rows
    frame = reference.MetricFrame(
        metrics=function, y_true=labels, y_pred=scores >= THRESHOLD, sensitive_features=groups
    )
    result = measure_fairness(rows, metric)
    assert {name: group.value for name, group in result.groups.items()} == pytest.approx(frame.by_group.to_dict())
    assert result.difference.value == pytest.approx(frame.difference())


def test_the_ratio_equals_fairlearns_demographic_parity_ratio(rows):
    groups, labels, scores = rows
    expected = reference.demographic_parity_ratio(labels, scores >= THRESHOLD, sensitive_features=groups)
    result = measure_fairness(rows, "selection_rate", min_ratio=0.8)
    assert result.is_ratio
    assert result.difference.value == pytest.approx(expected)
    assert result.difference.ci_low < expected < result.difference.ci_high


def test_calibration_compares_mean_residuals(rows):
    groups, labels, scores = rows
    frame = reference.MetricFrame(
        metrics=reference.mean_prediction, y_true=labels, y_pred=scores, sensitive_features=groups
    )
    share = {g: labels[groups == g].mean() for g in "abc"}
    residuals = [value - share[g] for g, value in frame.by_group.items()]
    assert measure_fairness(rows, "calibration").difference.value == pytest.approx(max(residuals) - min(residuals))


def test_the_interval_of_two_means_equals_that_of_statsmodels(rows):
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    groups, labels, scores = rows
    two = groups != "c"
    result = measure_fairness((groups[two], labels[two], scores[two]), "mean_residual", max_difference=3.0)
    parts = [DescrStatsW((scores - labels)[groups == g]) for g in (result.highest_group, result.lowest_group)]
    expected = CompareMeans(*parts).zconfint_diff(usevar="unequal")
    assert (result.difference.ci_low, result.difference.ci_high) == pytest.approx(expected, abs=1e-4)


def test_a_group_with_too_few_rows_is_reported_and_not_compared(rows):
    groups, labels, scores = (part.copy() for part in rows)
    groups[:20] = "tiny"
    scores[:20] = 1.0
    result = measure_fairness((groups, labels, scores), "selection_rate")
    assert result.groups["tiny"] == GroupMetric(1.0, 20)
    assert "tiny" not in (result.highest_group, result.lowest_group)


def test_one_group_alone_gives_no_data(rows):
    groups, labels, scores = rows
    in_group = groups == "a"
    result = measure_fairness((groups[in_group], labels[in_group], scores[in_group]), "equalized_odds")
    assert math.isnan(result.difference.value)
    assert result.metric == "equalized_odds"


def test_fairness_is_equal_after_a_json_round_trip(rows):
    for metric in ("selection_rate", "equalized_odds"):
        result = measure_fairness(rows, metric)
        assert Fairness.from_json(result.to_json()) == result
