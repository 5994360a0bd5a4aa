"""JSON documents and tables of the command line."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bedplate.cli.views import render

GATES = ("Verdict", "Of", "Value, 95 % interval", "Key in model.yaml")
ROWS = [
    ("PASS", "equalized_odds by origin", "0.1104 [0.0859, 0.1348]", "gates.explanation.min_rank_correlation"),
    ("FAIL", "auc", "0.5", "gates.thresholds[0]"),
]


@dataclass(frozen=True)
class Record:
    at: datetime
    value: float


def render_gates(monkeypatch: pytest.MonkeyPatch, width: int, **options: Any) -> str:
    text = io.StringIO()
    monkeypatch.setattr(render, "console", lambda: Console(file=text, width=width))
    render.print_table(None, GATES, ROWS, **options)
    return text.getvalue()


def test_json_converts_times_as_keys_and_nan_to_null(capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    render.emit_json({at: [Record(at, float("nan"))], 3: (Path("a"), {"b", "a"}), "day": date(2026, 1, 2)})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "format": 1,
        "2026-01-02T00:00:00+00:00": [{"at": "2026-01-02T00:00:00+00:00", "value": None}],
        "3": ["a", ["a", "b"]],
        "day": "2026-01-02",
    }


def test_each_object_of_a_json_list_carries_the_format_and_foreign_json_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    render.emit_json([{"a": 1}, 2])
    assert json.loads(capsys.readouterr().out) == [{"format": 1, "a": 1}, 2]
    render.emit_raw_json({"a": 1})
    assert json.loads(capsys.readouterr().out) == {"a": 1}


@pytest.mark.parametrize("width", [80, 100, 140])
def test_a_table_wraps_between_words_and_fits_the_width(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    text = render_gates(monkeypatch, width)
    words = {word for row in (GATES, *ROWS) for cell in row for word in cell.split()}
    assert set(text.split()) == words
    assert max(map(len, text.splitlines())) <= width


def test_a_droppable_column_is_left_out_before_words_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    text = render_gates(monkeypatch, 60, droppable=("Key in model.yaml",))
    assert "gates." not in text
    assert "equalized_odds" in text
    assert "gates." in render_gates(monkeypatch, 140, droppable=("Key in model.yaml",))


def test_only_the_longest_words_are_broken_when_words_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    text = render_gates(monkeypatch, 72)
    assert "equalized_odds" in text
    assert "gates.explanation.min_rank_correlation" not in text
    assert max(map(len, text.splitlines())) <= 72
