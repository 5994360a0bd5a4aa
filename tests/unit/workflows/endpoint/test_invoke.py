"""Sending rows to an endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedplate.errors import NotFound, PlatformError, UsageError
from bedplate.workflows.data.rows import read_rows
from bedplate.workflows.endpoint.invoke import InvokeRequest, RowPrediction, invoke
from bedplate.workflows.stack_context import null_reporter
from builders import a_stack_context
from fakes import FakeStackContext, RecordingReporter


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    return a_stack_context(tmp_path)


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": f"r{i}", "age": i} for i in range(count)]


def test_predictions_are_returned_in_the_order_of_the_rows_with_their_keys(stack: FakeStackContext) -> None:
    predictions: list[RowPrediction] = []
    result = invoke(
        stack, InvokeRequest("churn", rows(25), batch_size=10, concurrency=3), predictions.append, null_reporter
    )
    assert [p.keys["id"] for p in predictions] == [f"r{i}" for i in range(25)]
    assert (result.rows, result.requests, result.failed) == (25, 3, 0)
    assert dict(result.rows_by_release) == {"bedplate-local-churn-fallback": 25}


def test_rejected_request_raises_the_models_message(stack: FakeStackContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(*_: Any, **__: Any) -> Any:
        raise UsageError("The model refused the request: column 'carrier' is missing")

    monkeypatch.setattr(stack.endpoints, "invoke", reject)
    with pytest.raises(UsageError, match=r"rows 1 to 5: .*column 'carrier' is missing"):
        invoke(stack, InvokeRequest("churn", rows(8), batch_size=5), lambda a: None, null_reporter)


def test_failed_request_is_counted_and_the_next_one_is_sent(
    stack: FakeStackContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = stack.endpoints.invoke, []

    def fail_once(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise PlatformError("the model failed (500)")
        return original(*args, **kwargs)

    monkeypatch.setattr(stack.endpoints, "invoke", fail_once)
    predictions: list[RowPrediction] = []
    result = invoke(
        stack, InvokeRequest("churn", rows(4), batch_size=2, concurrency=1), predictions.append, null_reporter
    )
    assert (result.failed, result.requests, result.first_failure) == (1, 2, "the model failed (500)")
    assert [p.prediction is None for p in predictions] == [True, True, False, False]


def test_rate_and_latency_are_measured(stack: FakeStackContext) -> None:
    ticks = iter(float(i) for i in range(100))
    request = InvokeRequest("churn", rows(4), batch_size=2, concurrency=1)
    result = invoke(stack, request, lambda a: None, null_reporter, timer=lambda: next(ticks))
    assert result.latency_ms(0.5) == 1000.0
    assert result.rows_per_s == pytest.approx(4 / result.duration_s)


def test_progress_is_reported(stack: FakeStackContext) -> None:
    events = RecordingReporter()
    invoke(stack, InvokeRequest("churn", rows(6), 6, batch_size=2, concurrency=1), lambda a: None, events)
    assert [p["done"] for p in events.events_of("progress")] == [2, 4, 6]


def test_rows_of_a_file_are_sorted_by_time_without_the_label(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": 1, "at": "2013-07-02", "y": 1}\n\n{"id": 2, "at": "2013-07-01", "y": 0}\n')
    count, matches = read_rows(path, drop=("y",), order_by="at")
    assert count == 2
    assert list(matches) == [{"id": 2, "at": "2013-07-01"}, {"id": 1, "at": "2013-07-02"}]


def test_parquet_and_json_lines_give_the_same_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    records = [{"id": 2, "at": "b", "y": 0}, {"id": 1, "at": "a", "y": 1}]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "x.parquet")
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in records))
    read = [
        list(read_rows(tmp_path / f"x.{kind}", drop=("y",), order_by="at", limit=1)[1]) for kind in ("parquet", "jsonl")
    ]
    assert read[0] == read[1] == [{"id": 1, "at": "a"}]


def test_file_that_is_not_json_lines_is_rejected_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\nnot json\n')
    with pytest.raises(UsageError, match="line 2 is not JSON"):
        read_rows(path)
    with pytest.raises(NotFound):
        read_rows(tmp_path / "nowhere")
