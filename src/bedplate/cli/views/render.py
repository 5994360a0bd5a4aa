"""How things look: data on standard output, progress on standard error, colour only on a terminal."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bedplate.cli.views.layout import fits, widths
from bedplate.domain.formatting import usd as usd

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from bedplate.domain.money.cost_estimate import CostWarning

VERDICT_STYLE = {"PASS": "green", "FAIL": "bold red", "NO_DATA": "yellow", "OK": "green", "ALARM": "bold red"}


@cache
def out() -> Console:
    """The console of data: tables are never wrapped to fit a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 140, highlight=False, soft_wrap=False)


@cache
def err() -> Console:
    """The console of progress and remarks."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def emit_json(value: Any) -> None:
    """One JSON document on standard output; dataclasses, times, enums and paths are understood, also as keys.

    JSON has no word for NaN and infinity: they are null.
    """
    sys.stdout.write(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def table(
    title: str | None,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """Print a table; `right` names the columns of figures. A cell that is a key of VERDICT_STYLE is coloured.

    Where whole words do not fit, the columns named by `spare` are left out.
    """
    from rich.table import Table
    from rich.text import Text

    cells = [[c if isinstance(c, Text) else Text(str(c), style=VERDICT_STYLE.get(str(c), "")) for c in r] for r in rows]
    kept = list(range(len(columns)))
    by_column = [[columns[i], *(row[i].plain for row in cells)] for i in kept]
    if not fits(by_column, out().width):
        kept = [i for i in kept if columns[i] not in spare]
    given = widths([by_column[i] for i in kept], out().width)
    grid = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for at, i in enumerate(kept):
        side: Literal["left", "right"] = "right" if columns[i] in right else "left"
        grid.add_column(columns[i], justify=side, overflow="fold", width=given[at])
    for row in cells:
        grid.add_row(*(row[i] for i in kept))
    out().print(grid)


def remark(text: str) -> None:
    """A line about what is going on, on standard error."""
    err().print(text)


def objections(found: Iterable[CostWarning]) -> None:
    """What speaks against a job, among the lines of its plan."""
    for objection in found:
        word = "[red]refused[/red]" if objection.refused else "[yellow]warning[/yellow]"
        out().print(f"{word}: {objection.reason}")


def where(label: str) -> None:
    """Say where a command is at work before it changes anything: LOCAL and its address, or account and region."""
    err().print(f"[bold]{label}[/bold]")


def progress(*, transient: bool = True) -> Progress:
    """A progress display on standard error, silent when that is not a terminal."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=err(),
        transient=transient,
        disable=not err().is_terminal,
        redirect_stdout=False,  # the platform program runs in this process with a standard output of its own:
        redirect_stderr=False,  # whoever puts streams back last must not put back somebody else's
    )


def seconds(duration_s: float) -> str:
    """A duration as people say it.

    >>> seconds(0.42), seconds(12.3), seconds(75), seconds(7300)
    ('0.4 s', '12 s', '1 min 15 s', '2 h 1 min')
    """
    if duration_s < 10:
        return f"{duration_s:.1f} s"
    if duration_s < 60:
        return f"{duration_s:.0f} s"
    if duration_s < 3600:
        return f"{int(duration_s // 60)} min {int(duration_s % 60)} s"
    return f"{int(duration_s // 3600)} h {int(duration_s % 3600 // 60)} min"


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {_key(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    if isinstance(value, set | frozenset):
        return [_plain(held) for held in sorted(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump(mode="json"))
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _key(key: Any) -> str:
    plain = _plain(key)
    return plain if isinstance(plain, str) else json.dumps(plain)
