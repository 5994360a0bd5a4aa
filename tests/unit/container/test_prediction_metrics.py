"""A release's predictions are counted and binned in embedded metric lines."""

from __future__ import annotations

import json

import pytest

from bedplate.container.prediction_metrics import PredictionMetrics


def build_metrics(**changes) -> PredictionMetrics:
    return PredictionMetrics(**{"endpoint": "e", "release": "e-v1-0a1b2c3d", "edges": {}, **changes})


def test_lines_count_predictions_since_the_previous_lines():
    metrics = build_metrics()
    metrics.add([0.1, 0.3])
    (first,) = map(json.loads, metrics.lines(0))
    assert (first["Predictions"], round(first["MeanPrediction"], 3)) == (2, 0.2)
    assert metrics.lines(1) == []
    metrics.add([0.5])
    assert json.loads(metrics.lines(2)[0])["Predictions"] == 1


def test_predictions_are_counted_in_own_and_champion_bins():
    metrics = build_metrics(edges={"": (0.2, 0.6), "r-v1": (0.5,)})
    metrics.add([0.1, 0.2, 0.3, 0.9])
    _, own, champions = map(json.loads, metrics.lines(0))
    assert (own["Bins"], own["Bin1"], own["Bin2"], own["Bin3"]) == (own["Release"], 2, 1, 1)
    assert (champions["Bins"], champions["Bin1"], champions["Bin2"]) == ("r-v1", 3, 1)
    directive = champions["_aws"]["CloudWatchMetrics"][0]
    assert directive["Dimensions"] == [["Endpoint", "Release", "Bins"]]
    assert directive["Metrics"][0] == {"Name": "Bin1", "Unit": "Count", "StorageResolution": 1}


def test_bins_are_read_from_the_environment():
    metrics = PredictionMetrics.from_environment({"BEDPLATE_PREDICTION_EDGES": '{"r-v1":[0.5]}'})
    metrics.add([0.1, 0.2])
    assert json.loads(metrics.lines(0)[1])["Bin1"] == 2
    with pytest.raises(ValueError, match="expected bin edges"):
        PredictionMetrics.from_environment({"BEDPLATE_PREDICTION_EDGES": "nothing"})
