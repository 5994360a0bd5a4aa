"""Extracts metrics from log lines: CloudWatch embedded metric format and a training job's metric definitions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class MetricValue(NamedTuple):
    """A value of a CloudWatch metric. `timestamp` is in epoch seconds."""

    namespace: str
    name: str
    dims: Mapping[str, str]
    value: float
    unit: str
    timestamp: float


def parse_embedded_metrics(line: str) -> Iterator[MetricValue]:
    """Yields the metric values of a line in embedded metric format, and nothing for any other line.

    Source: CloudWatch embedded metric format specification. A list gives one metric value per item. Names without a
    finite number are left out, as in CloudWatch.

    >>> line = '{"_aws": {"Timestamp": 2000, "CloudWatchMetrics": [{"Namespace": "N", "Dimensions": [["E"]],' \\
    ...     ' "Metrics": [{"Name": "Predictions", "Unit": "Count"}]}]}, "E": "x", "Predictions": 3}'
    >>> list(parse_embedded_metrics(line))
    [MetricValue(namespace='N', name='Predictions', dims={'E': 'x'}, value=3.0, unit='Count', timestamp=2.0)]
    >>> list(parse_embedded_metrics("plain text"))
    []
    """
    if not line.startswith("{") or '"_aws"' not in line:
        return
    try:
        event = json.loads(line)
        aws = event["_aws"]
        timestamp = float(aws["Timestamp"]) / 1000
        for directive in aws["CloudWatchMetrics"]:
            for names in directive.get("Dimensions") or [[]]:
                dims = {name: str(event[name]) for name in names}
                for metric in directive.get("Metrics", ()):
                    name, unit = metric["Name"], metric.get("Unit", "None")
                    for value in _finite_numbers(event.get(name)):
                        yield MetricValue(directive["Namespace"], name, dims, value, unit, timestamp)
    except (ValueError, KeyError, TypeError, AttributeError):
        return


def match_metrics(line: str, definitions: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    """Yields name and value of each of a training job's metric definitions that matches the line.

    >>> list(match_metrics("metric: auc=0.71", [{"Name": "auc", "Regex": "auc=([-+0-9.eE]+)"}]))
    [('auc', 0.71)]
    """
    for definition in definitions:
        match = re.search(definition["Regex"], line)
        if match and match.groups():
            try:
                yield definition["Name"], float(match[1])
            except ValueError:
                continue


def _finite_numbers(value: Any) -> Iterator[float]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, (int, float)) and not isinstance(item, bool) and math.isfinite(item):
            yield float(item)
