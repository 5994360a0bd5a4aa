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

GATES = ("Verdict", "Of", "Figure, 95 % interval", "Set by")
ROWS = [
    ("PASS", "equalized_odds by origin", "0.1104 [0.0859, 0.1348]", "gates.explanation.min_rank_correlation"),
    ("FAIL", "auc", "0.5", "gates.thresholds[0]"),
]


@dataclass(frozen=True)
class Held:
    at: datetime
    figure: float


def printed(monkeypatch: pytest.MonkeyPatch, width: int, **how: Any) -> str:
    text = io.StringIO()
    monkeypatch.setattr(render, "out", lambda: Console(file=text, width=width))
    render.table(None, GATES, ROWS, **how)
    return text.getvalue()


def test_json_knows_times_as_keys_and_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    render.emit_json({at: [Held(at, float("nan"))], 3: (Path("a"), {"b", "a"}), "day": date(2026, 1, 2)})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "2026-01-02T00:00:00+00:00": [{"at": "2026-01-02T00:00:00+00:00", "figure": None}],
        "3": ["a", ["a", "b"]],
        "day": "2026-01-02",
    }


@pytest.mark.parametrize("width", [80, 100, 140])
def test_a_table_breaks_lines_between_words_and_keeps_to_the_width(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    text = printed(monkeypatch, width)
    words = {word for row in (GATES, *ROWS) for cell in row for word in cell.split()}
    assert set(text.split()) == words
    assert max(map(len, text.splitlines())) <= width


def test_a_column_that_can_be_spared_goes_before_words_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(monkeypatch, 60, spare=("Set by",))
    assert "gates." not in text
    assert "equalized_odds" in text
    assert "gates." in printed(monkeypatch, 140, spare=("Set by",))


def test_where_words_do_not_fit_only_the_longest_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(monkeypatch, 72)
    assert "equalized_odds" in text
    assert "gates.explanation.min_rank_correlation" not in text
    assert max(map(len, text.splitlines())) <= 72
