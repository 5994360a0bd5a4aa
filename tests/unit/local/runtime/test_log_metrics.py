"""Metrics are extracted from log lines."""

from __future__ import annotations

import json

from bedplate.local.runtime.log_metrics import match_metrics, parse_embedded_metrics


def test_list_in_embedded_metrics_gives_one_value_per_item() -> None:
    directive = {"Namespace": "N", "Dimensions": [["E"], ["E", "F"]], "Metrics": [{"Name": "M"}, {"Name": "Gone"}]}
    line = json.dumps({"_aws": {"Timestamp": 1000, "CloudWatchMetrics": [directive]}, "E": "e", "F": "f", "M": [1, 2]})
    assert [(p.dims, p.value) for p in parse_embedded_metrics(line)] == [
        ({"E": "e"}, 1.0), ({"E": "e"}, 2.0), ({"E": "e", "F": "f"}, 1.0), ({"E": "e", "F": "f"}, 2.0),
    ]  # fmt: skip
    assert not list(parse_embedded_metrics('{"_aws": {}}'))


def test_metric_that_is_not_a_number_is_left_out() -> None:
    assert not list(match_metrics("auc=e+-", [{"Name": "auc", "Regex": "auc=([-+0-9.eE]+)"}]))
