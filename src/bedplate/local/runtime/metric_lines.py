"""Metrics in lines of output: CloudWatch embedded metric format, and a training job's metric definitions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class MetricValue(NamedTuple):
    namespace: str
    name: str
    dims: dict[str, str]
    value: float
    unit: str
    timestamp: float


def embedded_metrics(line: str) -> Iterator[MetricValue]:
    """The metrics of a line in embedded metric format; nothing for any other line.

    Source: CloudWatch embedded metric format specification. A list of values gives a point for each; a name without
    a finite number is left out, as CloudWatch does.

    >>> line = '{"_aws": {"Timestamp": 2000, "CloudWatchMetrics": [{"Namespace": "N", "Dimensions": [["E"]],' \\
    ...     ' "Metrics": [{"Name": "Answers", "Unit": "Count"}]}]}, "E": "x", "Answers": 3}'
    >>> list(embedded_metrics(line))
    [MetricValue(namespace='N', name='Answers', dims={'E': 'x'}, value=3.0, unit='Count', timestamp=2.0)]
    >>> list(embedded_metrics("plain text"))
    []
    """
    if not line.startswith("{") or '"_aws"' not in line:
        return
    try:
        event = json.loads(line)
        aws = event["_aws"]
        moment = float(aws["Timestamp"]) / 1000
        directives = aws["CloudWatchMetrics"]
        for directive in directives:
            for names in directive.get("Dimensions") or [[]]:
                dims = {name: str(event[name]) for name in names}
                for metric in directive.get("Metrics", ()):
                    for value in _numbers(event.get(metric["Name"])):
                        yield MetricValue(
                            directive["Namespace"], metric["Name"], dims, value, metric.get("Unit", "None"), moment
                        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return


def definition_metrics(line: str, definitions: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    """Name and value of every metric that a line of a training job's output holds.

    >>> list(definition_metrics("metric: auc=0.71", [{"Name": "auc", "Regex": "auc=([-+0-9.eE]+)"}]))
    [('auc', 0.71)]
    """
    for definition in definitions:
        found = re.search(definition["Regex"], line)
        if found and found.groups():
            try:
                yield definition["Name"], float(found[1])
            except ValueError:
                continue


def _numbers(value: Any) -> Iterator[float]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, (int, float)) and not isinstance(item, bool) and math.isfinite(item):
            yield float(item)
