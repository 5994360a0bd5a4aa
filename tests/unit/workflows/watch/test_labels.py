"""Late labels are joined with the captured predictions."""

from __future__ import annotations

import json

import pytest

from bedplate.errors import UsageError
from bedplate.workflows.watch.labels import add_labels
from fakes import FakeStackContext
from release_stack import capture_predictions, ledger_events


def test_labels_are_written_once_and_joined_by_the_keys(stack: FakeStackContext) -> None:
    capture_predictions(stack, "r", [0.1, 0.2, 0.3])  # ids 0, 1, 2
    rows = [{"id": "0", "left": 1}, {"id": "1", "label": 0}, {"id": "9", "left": 0}]
    added = add_labels(stack, "churn", rows)
    assert (added.labels, added.positives, added.join.matched, added.join.predictions) == (3, 1, 2, 3)
    lines = [json.loads(line) for line in stack.objects.contents[added.uri].splitlines()]
    assert {key: lines[0][key] for key in ("id", "label")} == {"id": "0", "label": 1}
    assert lines[0]["observed_at"].endswith("Z")
    assert not add_labels(stack, "churn", rows).is_new
    assert [kind for kind, _ in ledger_events(stack)] == ["labels-added"]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [({"left": 1}, "has no id"), ({"id": "1"}, "has no label"), ({"id": "1", "left": "yes"}, "has no label")],
)
def test_a_row_without_key_or_label_is_an_error_with_its_number(
    stack: FakeStackContext, row: dict[str, object], complaint: str
) -> None:
    with pytest.raises(UsageError, match=f"Row 2 {complaint}"):
        add_labels(stack, "churn", [{"id": "0", "left": 1}, row])
    assert not [uri for uri in stack.objects.contents if not uri.startswith("s3://ledger/")]


def test_captured_requests_get_sagemakers_ground_truth_by_their_inference_id(stack: FakeStackContext) -> None:
    capture_predictions(stack, "r", [0.1, 0.2, 0.3])  # ids 0, 1, 2
    added = add_labels(stack, "churn", [{"id": "0", "left": 1}, {"id": "9", "left": 0}])
    assert added.ground_truth_records == 1
    (captured,) = (json.loads(raw) for uri, raw in stack.objects.contents.items() if uri.startswith("s3://capture/"))
    assert added.ground_truth_uri is not None
    assert "/ground-truth/churn/2" in added.ground_truth_uri
    [line] = [json.loads(line) for line in stack.objects.contents[added.ground_truth_uri].splitlines()]
    assert line == {
        "groundTruthData": {"data": "1\n\n", "encoding": "CSV"},
        "eventMetadata": {"eventId": captured["eventMetadata"]["eventId"]},
        "eventVersion": "0",
    }


def test_labels_without_captured_requests_write_no_ground_truth(stack: FakeStackContext) -> None:
    assert add_labels(stack, "churn", [{"id": "9", "left": 0}]).ground_truth_uri is None
