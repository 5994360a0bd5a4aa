"""The latest captured requests of a model."""

from __future__ import annotations

from datetime import timedelta

from bedplate.workflows.endpoint.capture import read_latest
from builders import capture_record
from fakes import EPOCH, FakeStackContext
from release_builders import ENDPOINT
from release_stack import capture_predictions, put_capture


def test_newest_requests_are_returned_oldest_first_up_to_the_number_of_predictions(stack: FakeStackContext) -> None:
    for minutes, prediction in ((90, 0.9), (60, 0.6), (5, 0.5), (1, 0.1)):
        capture_predictions(stack, f"{ENDPOINT}-v1-0a1b2c3d", [prediction], minutes_ago=minutes)
    assert [r.predictions for r in read_latest(stack, "churn", min_predictions=3)] == [(0.6,), (0.5,), (0.1,)]
    assert len(read_latest(stack, "churn", min_predictions=100)) == 4


def test_requests_are_selected_by_version_and_time(stack: FakeStackContext) -> None:
    capture_predictions(stack, f"{ENDPOINT}-v1-0a1b2c3d", [0.1], minutes_ago=30)
    capture_predictions(stack, f"{ENDPOINT}-v1-ffffffff", [0.2], minutes_ago=20)
    capture_predictions(stack, f"{ENDPOINT}-v2-0a1b2c3d", [0.3], minutes_ago=10)
    assert [r.predictions for r in read_latest(stack, "churn", min_predictions=9, version=1)] == [(0.1,), (0.2,)]
    before = EPOCH - timedelta(minutes=15)
    assert [r.predictions for r in read_latest(stack, "churn", min_predictions=9, until=before)] == [(0.1,), (0.2,)]


def test_probe_requests_are_skipped(stack: FakeStackContext) -> None:
    put_capture(stack, capture_record([{"age": 1.0}], [0.1], inferenceId="bedplate-probe"))
    assert read_latest(stack, "churn", min_predictions=1) == ()


def test_corrupt_file_does_not_hide_other_files(stack: FakeStackContext) -> None:
    capture_predictions(stack, f"{ENDPOINT}-v1-0a1b2c3d", [0.1])
    stack.objects.put(
        f"s3://capture/capture/churn/{ENDPOINT}/live/2013/07/01/11/59-30-000-x.jsonl", b"\xff{\nnot json\n"
    )
    assert [r.predictions for r in read_latest(stack, "churn", min_predictions=9)] == [(0.1,)]
