"""Late labels and how they meet the captured answers."""

from __future__ import annotations

import json

import pytest

from bedplate.errors import UsageError
from bedplate.workflows.watch.labels import add_labels
from fakes import FakeStackContext
from unit.workflows.release.test_deploy import capture, platform, told

__all__ = ["platform"]


def test_labels_are_written_once_and_joined_by_the_keys(platform: FakeStackContext) -> None:
    capture(platform, "r", [0.1, 0.2, 0.3])  # ids 0, 1, 2
    rows = [{"id": "0", "left": 1}, {"id": "1", "label": 0}, {"id": "9", "left": 0}]
    added = add_labels(platform, "churn", rows)
    assert (added.labels, added.positives, added.join.matched, added.join.answers) == (3, 1, 2, 3)
    lines = [json.loads(line) for line in platform.objects.held[added.uri].splitlines()]
    assert {key: lines[0][key] for key in ("id", "label")} == {"id": "0", "label": 1}
    assert lines[0]["observed_at"].endswith("Z")
    assert not add_labels(platform, "churn", rows).new
    assert [kind for kind, _ in told(platform)] == ["labelled"]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [({"left": 1}, "has no id"), ({"id": "1"}, "has no label"), ({"id": "1", "left": "yes"}, "has no label")],
)
def test_a_row_without_key_or_label_is_refused_by_number(
    platform: FakeStackContext, row: dict[str, object], complaint: str
) -> None:
    with pytest.raises(UsageError, match=f"Row 2 {complaint}"):
        add_labels(platform, "churn", [{"id": "0", "left": 1}, row])
    assert not [uri for uri in platform.objects.held if not uri.startswith("s3://ledger/")]


def test_captured_requests_get_sagemakers_ground_truth_by_their_inference_id(platform: FakeStackContext) -> None:
    capture(platform, "r", [0.1, 0.2, 0.3])  # ids 0, 1, 2
    added = add_labels(platform, "churn", [{"id": "0", "left": 1}, {"id": "9", "left": 0}])
    assert added.truths == 1
    (captured,) = (json.loads(raw) for uri, raw in platform.objects.held.items() if uri.startswith("s3://capture/"))
    assert added.ground_truth_uri is not None
    assert "/ground-truth/churn/2" in added.ground_truth_uri
    [line] = [json.loads(line) for line in platform.objects.held[added.ground_truth_uri].splitlines()]
    assert line == {
        "groundTruthData": {"data": "1\n\n", "encoding": "CSV"},
        "eventMetadata": {"eventId": captured["eventMetadata"]["eventId"]},
        "eventVersion": "0",
    }


def test_labels_of_nothing_captured_are_no_ground_truth(platform: FakeStackContext) -> None:
    assert add_labels(platform, "churn", [{"id": "9", "left": 0}]).ground_truth_uri is None
