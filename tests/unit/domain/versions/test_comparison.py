"""The comparison of two versions on the same rows."""

from __future__ import annotations

import numpy as np
import pytest

from bedplate.domain.evidence.metrics import compare_models
from bedplate.domain.versions.comparison import (
    Provenance,
    VersionScores,
    compare_metrics,
    compare_provenance,
    compare_segments,
    describe_features,
)
from builders import a_spec

RNG = np.random.default_rng(3)
LABELS = (RNG.random(2000) < 0.4).astype(float)
GOOD = np.clip(0.3 + 0.4 * LABELS + 0.15 * RNG.standard_normal(2000), 0, 1)
POOR = np.clip(0.3 + 0.1 * LABELS + 0.25 * RNG.standard_normal(2000), 0, 1)
PLANS = ["pro" if i % 2 else "basic" for i in range(1990)] + ["rare"] * 10


def scores(predictions: np.ndarray) -> VersionScores:  # type: ignore[type-arg]
    return VersionScores(LABELS, predictions, {"plan": PLANS})


def test_the_difference_is_second_minus_first_and_paired() -> None:
    rows = {f.metric: f for f in compare_metrics("binary", scores(POOR), scores(GOOD))}
    paired = compare_models("binary", LABELS, GOOD, POOR).difference["auc"]
    assert rows["auc"].difference == paired
    assert rows["auc"].second.value > rows["auc"].first.value
    assert rows["auc"].verdict == rows["brier"].verdict == "better"


def test_a_rise_of_a_lower_is_better_metric_is_worse() -> None:
    rows = {f.metric: f for f in compare_metrics("binary", scores(GOOD), scores(POOR))}
    assert rows["brier"].difference.value > 0
    assert rows["brier"].verdict == rows["auc"].verdict == "worse"


def test_a_difference_within_its_interval_is_cannot_tell() -> None:
    almost_equal = np.clip(GOOD + 1e-3 * RNG.standard_normal(2000), 0, 1)
    assert {f.verdict for f in compare_metrics("binary", scores(GOOD), scores(almost_equal)) if f.metric == "auc"} == {
        "cannot tell"
    }


def test_scores_of_other_rows_are_rejected() -> None:
    with pytest.raises(ValueError, match="same rows"):
        compare_metrics("binary", scores(GOOD), VersionScores(1 - LABELS, POOR, {}))


def test_segments_have_their_own_verdicts_and_rare_ones_are_left_out() -> None:
    improved = np.where(np.array(PLANS) == "pro", GOOD, POOR)
    segments = compare_segments("binary", "auc", scores(POOR), scores(improved))["plan"]
    assert {value: f.verdict for value, f in segments.items()} == {"basic": "cannot tell", "pro": "better"}
    assert segments["pro"].first.n_rows == PLANS.count("pro")


def test_provenance_lists_every_difference() -> None:
    first = Provenance(
        {"code_commit": "aa", "data_rows": "10"}, {"depth": "3", "old": "1"}, {"age": "number", "plan": "string"}
    )
    second = Provenance(
        {"code_commit": "bb", "data_rows": "10"}, {"depth": "3", "new": "2"}, {"age": "integer", "x": "number"}
    )
    rows = {(r.topic, r.name): (r.first, r.second) for r in compare_provenance(first, second) if not r.is_same}
    assert rows == {
        ("code", "code_commit"): ("aa", "bb"),
        ("hyperparameter", "old"): ("1", "-"),
        ("hyperparameter", "new"): ("-", "2"),
        ("features", "plan"): ("yes", "no"),
        ("features", "x"): ("no", "yes"),
        ("features", "age"): ("number", "integer"),
    }


def test_a_feature_description_contains_its_bounds() -> None:
    descriptions = describe_features(a_spec())
    assert set(descriptions) == {"age", "calls", "plan"}
    assert descriptions["plan"] == "type string, categories basic/pro"
