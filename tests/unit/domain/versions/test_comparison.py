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


def test_the_difference_is_the_second_minus_the_first_and_paired() -> None:
    found = {f.metric: f for f in compare_metrics("binary", scores(POOR), scores(GOOD))}
    paired = compare_models("binary", LABELS, GOOD, POOR).difference["auc"]
    assert found["auc"].difference == paired
    assert found["auc"].second.value > found["auc"].first.value
    assert found["auc"].verdict == found["brier"].verdict == "better"


def test_a_metric_that_should_be_low_is_better_when_it_falls() -> None:
    back = {f.metric: f for f in compare_metrics("binary", scores(GOOD), scores(POOR))}
    assert back["brier"].difference.value > 0
    assert back["brier"].verdict == back["auc"].verdict == "worse"


def test_what_the_rows_cannot_tell_is_neither() -> None:
    shaken = np.clip(GOOD + 1e-3 * RNG.standard_normal(2000), 0, 1)
    assert {f.verdict for f in compare_metrics("binary", scores(GOOD), scores(shaken)) if f.metric == "auc"} == {"cannot tell"}


def test_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="same rows"):
        compare_metrics("binary", scores(GOOD), VersionScores(1 - LABELS, POOR, {}))


def test_segments_are_judged_by_themselves_and_rare_ones_left_out() -> None:
    half = np.where(np.array(PLANS) == "pro", GOOD, POOR)
    found = compare_segments("binary", "auc", scores(POOR), scores(half))["plan"]
    assert {value: f.verdict for value, f in found.items()} == {"basic": "cannot tell", "pro": "better"}
    assert found["pro"].first.n_rows == PLANS.count("pro")


def test_what_they_were_made_of_is_told_row_by_row() -> None:
    one = Provenance(
        {"code_commit": "aa", "data_rows": "10"}, {"depth": "3", "old": "1"}, {"age": "number", "plan": "string"}
    )
    two = Provenance(
        {"code_commit": "bb", "data_rows": "10"}, {"depth": "3", "new": "2"}, {"age": "integer", "x": "number"}
    )
    rows = {(r.topic, r.name): (r.first, r.second) for r in compare_provenance(one, two) if not r.is_same}
    assert rows == {
        ("code", "code_commit"): ("aa", "bb"),
        ("hyperparameter", "old"): ("1", "-"),
        ("hyperparameter", "new"): ("-", "2"),
        ("features", "plan"): ("yes", "no"),
        ("features", "x"): ("no", "yes"),
        ("features", "age"): ("number", "integer"),
    }


def test_a_feature_is_told_with_its_bounds() -> None:
    told = describe_features(a_spec())
    assert set(told) == {"age", "calls", "plan"}
    assert told["plan"] == "type string, categories basic/pro"
