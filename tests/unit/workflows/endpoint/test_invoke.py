"""Rows on their way to an endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedplate.errors import NotFound, PlatformError, UsageError
from bedplate.workflows.data.rows import read_rows
from bedplate.workflows.endpoint.invoke import InvokeRequest, RowPrediction, invoke
from bedplate.workflows.stack_context import null_reporter
from builders import a_platform
from fakes import FakeStackContext, Heard


@pytest.fixture
def platform(tmp_path: Path) -> FakeStackContext:
    return a_platform(tmp_path)


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": f"r{i}", "age": i} for i in range(count)]


def test_answers_come_back_in_the_order_of_the_rows_with_their_keys(platform: FakeStackContext) -> None:
    heard: list[RowPrediction] = []
    tally = invoke(platform, InvokeRequest("churn", rows(25), batch=10, concurrency=3), heard.append, null_reporter)
    assert [a.keys["id"] for a in heard] == [f"r{i}" for i in range(25)]
    assert (tally.rows, tally.requests, tally.failed) == (25, 3, 0)
    assert dict(tally.releases) == {"bedplate-local-churn-fallback": 25}


def test_a_refused_request_ends_it_in_the_models_own_words(
    platform: FakeStackContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise UsageError("The model refused the request: column 'carrier' is missing")

    monkeypatch.setattr(platform.endpoints, "invoke", refuse)
    with pytest.raises(UsageError, match=r"Rows 1 to 5: .*column 'carrier' is missing"):
        invoke(platform, InvokeRequest("churn", rows(8), batch=5), lambda a: None, null_reporter)


def test_a_failed_request_is_counted_and_the_next_one_is_sent(
    platform: FakeStackContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = platform.endpoints.invoke, []

    def sometimes(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise PlatformError("the model failed (500)")
        return original(*args, **kwargs)

    monkeypatch.setattr(platform.endpoints, "invoke", sometimes)
    heard: list[RowPrediction] = []
    tally = invoke(platform, InvokeRequest("churn", rows(4), batch=2, concurrency=1), heard.append, null_reporter)
    assert (tally.failed, tally.requests, tally.first_failure) == (1, 2, "the model failed (500)")
    assert [a.prediction is None for a in heard] == [True, True, False, False]


def test_rate_and_latency_are_of_the_time_that_passed(platform: FakeStackContext) -> None:
    ticks = iter(float(i) for i in range(100))
    request = InvokeRequest("churn", rows(4), batch=2, concurrency=1)
    tally = invoke(platform, request, lambda a: None, null_reporter, timer=lambda: next(ticks))
    assert tally.latency_ms(0.5) == 1000.0
    assert tally.rows_per_s == pytest.approx(4 / tally.seconds)


def test_progress_is_told(platform: FakeStackContext) -> None:
    heard = Heard()
    invoke(platform, InvokeRequest("churn", rows(6), 6, batch=2, concurrency=1), lambda a: None, heard)
    assert [p["done"] for p in heard.of("progress")] == [2, 4, 6]


def test_rows_of_a_file_come_in_the_order_of_time_without_the_label(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": 1, "at": "2013-07-02", "y": 1}\n\n{"id": 2, "at": "2013-07-01", "y": 0}\n')
    count, found = read_rows(path, drop=("y",), order_by="at")
    assert count == 2
    assert list(found) == [{"id": 2, "at": "2013-07-01"}, {"id": 1, "at": "2013-07-02"}]


def test_parquet_and_json_lines_give_the_same_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    held = [{"id": 2, "at": "b", "y": 0}, {"id": 1, "at": "a", "y": 1}]
    pq.write_table(pa.Table.from_pylist(held), tmp_path / "x.parquet")
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held))
    read = [
        list(read_rows(tmp_path / f"x.{kind}", drop=("y",), order_by="at", limit=1)[1]) for kind in ("parquet", "jsonl")
    ]
    assert read[0] == read[1] == [{"id": 1, "at": "a"}]


def test_a_file_that_is_neither_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\nnot json\n')
    with pytest.raises(UsageError, match="line 2 is not JSON"):
        read_rows(path)
    with pytest.raises(NotFound):
        read_rows(tmp_path / "nowhere")
