"""Formats a release's prediction counts, means and histograms as CloudWatch embedded metric lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from bedplate.domain.guard import NAMESPACE, Edges, count_by_bin, decode_edges

INTERVAL_S = 1.0
"""Lines are written at most this often, and none while no request arrives."""
_RESOLUTION_S = 1
"""CloudWatch stores the values at this resolution, so that an alarm can evaluate periods of 10 s."""


class PredictionMetrics:
    """Collects predictions; `lines` returns the metric lines for the predictions since its last call.

    `edges` maps a release to the inner edges of its bins. A release counts its predictions in its own bins (key `""`)
    and in the champion's, so that an alarm can compare the two distributions over the same minutes.
    """

    def __init__(self, *, endpoint: str, release: str, edges: Mapping[str, Edges]) -> None:
        self._dimensions = {"Endpoint": endpoint, "Release": release}
        self._edges = {name or release: inner_edges for name, inner_edges in edges.items()}
        self._predictions: list[float] = []

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> PredictionMetrics:
        """Reads the BEDPLATE_* variables. Raises ValueError when BEDPLATE_PREDICTION_EDGES is not valid."""
        return cls(
            endpoint=environment.get("BEDPLATE_ENDPOINT", "unknown"),
            release=environment.get("BEDPLATE_RELEASE", "unknown"),
            edges=decode_edges(environment.get("BEDPLATE_PREDICTION_EDGES")),
        )

    def add(self, predictions: Sequence[float]) -> None:
        self._predictions.extend(predictions)

    def lines(self, timestamp_ms: int) -> list[bytes]:
        """Returns the metric lines without line ends; none without a prediction since the last call.

        `timestamp_ms` is Unix time in milliseconds.
        """
        predictions, self._predictions = self._predictions, []
        if not predictions:
            return []
        values = {"Predictions": len(predictions), "MeanPrediction": sum(predictions) / len(predictions)}
        units = {"Predictions": "Count", "MeanPrediction": "None"}
        lines = [_metric_line(timestamp_ms, self._dimensions, values, units)]
        for release, edges in self._edges.items():
            bins = {f"Bin{i}": count for i, count in enumerate(count_by_bin(edges, predictions), start=1)}
            dimensions = {**self._dimensions, "Bins": release}
            lines.append(_metric_line(timestamp_ms, dimensions, bins, dict.fromkeys(bins, "Count")))
        return lines


def _metric_line(
    timestamp_ms: int, dimensions: Mapping[str, str], values: Mapping[str, float], units: Mapping[str, str]
) -> bytes:
    directive: dict[str, Any] = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": n, "Unit": unit, "StorageResolution": _RESOLUTION_S} for n, unit in units.items()],
    }
    return orjson.dumps({"_aws": {"Timestamp": timestamp_ms, "CloudWatchMetrics": [directive]}, **dimensions, **values})
