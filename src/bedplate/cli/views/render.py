"""Prints data on standard output and progress on standard error; colour only on a terminal."""

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

from bedplate.cli.views.layout import column_widths, fits
from bedplate.domain.formatting import format_usd as format_usd

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from bedplate.domain.money.cost_estimate import CostWarning

JSON_FORMAT = 1
"""Format of the documents that `--json` prints."""
VERDICT_STYLE = {"PASS": "green", "FAIL": "bold red", "NO_DATA": "yellow", "OK": "green", "ALARM": "bold red"}


@cache
def console() -> Console:
    """Returns the console for data on standard output; in a pipe it is 140 characters wide."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 140, highlight=False, soft_wrap=False)


@cache
def stderr_console() -> Console:
    """Returns the console for progress and warnings on standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def emit_json(value: Any) -> None:
    """Prints one JSON document of Bedplate's own on standard output; each object at its top carries `format`.

    Dataclasses, times, enums and paths are converted, as keys too. NaN and infinity become null.
    """
    plain = _to_json_value(value)
    emit_raw_json([_with_format(item) for item in plain] if isinstance(plain, list) else _with_format(plain))


def emit_raw_json(value: Any) -> None:
    """Prints JSON in a format that Bedplate does not define, such as Pulumi's stack outputs, without `format`."""
    sys.stdout.write(json.dumps(_to_json_value(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def print_table(
    title: str | None,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right_aligned: Sequence[str] = (),
    droppable: Sequence[str] = (),
) -> None:
    """Prints a table; a cell that is a key of VERDICT_STYLE has its colour.

    Leaves out the `droppable` columns when the longest words of all columns do not fit into the width.
    """
    from rich.table import Table
    from rich.text import Text

    cells = [[c if isinstance(c, Text) else Text(str(c), style=VERDICT_STYLE.get(str(c), "")) for c in r] for r in rows]
    visible = list(range(len(columns)))
    cells_by_column = [[columns[i], *(row[i].plain for row in cells)] for i in visible]
    if not fits(cells_by_column, console().width):
        visible = [i for i in visible if columns[i] not in droppable]
    column_width = column_widths([cells_by_column[i] for i in visible], console().width)
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for i, width in zip(visible, column_width, strict=True):
        justify: Literal["left", "right"] = "right" if columns[i] in right_aligned else "left"
        table.add_column(columns[i], justify=justify, overflow="fold", width=width)
    for row in cells:
        table.add_row(*(row[i] for i in visible))
    console().print(table)


def warn(text: str) -> None:
    """Prints one line on standard error."""
    stderr_console().print(text)


def print_cost_warnings(warnings: Iterable[CostWarning]) -> None:
    """Prints the cost warnings of a job, of which a blocking one prevents its start."""
    for warning in warnings:
        word = "[red]refused[/red]" if warning.is_blocking else "[yellow]warning[/yellow]"
        console().print(f"{word}: {warning.reason}")


def print_target(label: str) -> None:
    """Prints the target before a command changes it: LOCAL and its address, or account and region."""
    stderr_console().print(f"[bold]{label}[/bold]")


def progress_bar(*, transient: bool = True) -> Progress:
    """Returns a progress display on standard error; it shows nothing when that is not a terminal."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=stderr_console(),
        transient=transient,
        disable=not stderr_console().is_terminal,
        redirect_stdout=False,  # the Pulumi program in this process replaces sys.stdout and sys.stderr too, and each
        redirect_stderr=False,  # would restore the other's stream instead of the original
    )


def format_seconds(duration_s: float) -> str:
    """Formats a duration for people.

    >>> format_seconds(0.42), format_seconds(12.3), format_seconds(75), format_seconds(7300)
    ('0.4 s', '12 s', '1 min 15 s', '2 h 1 min')
    """
    if duration_s < 10:
        return f"{duration_s:.1f} s"
    if duration_s < 60:
        return f"{duration_s:.0f} s"
    if duration_s < 3600:
        return f"{int(duration_s // 60)} min {int(duration_s % 60)} s"
    return f"{int(duration_s // 3600)} h {int(duration_s % 3600 // 60)} min"


def _with_format(plain: Any) -> Any:
    return {"format": JSON_FORMAT, **plain} if isinstance(plain, dict) else plain


def _to_json_value(value: Any) -> Any:
    """Converts a value to what JSON can hold. Raises TypeError for a value of an unknown type."""
    if value is None or isinstance(value, bool | int):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {_to_json_key(key): _to_json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json_value(item) for item in value]
    if isinstance(value, set | frozenset):
        return [_to_json_value(item) for item in sorted(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _to_json_value(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "model_dump"):
        return _to_json_value(value.model_dump(mode="json"))
    raise TypeError(f"{type(value).__name__} cannot be converted to JSON")


def _to_json_key(key: Any) -> str:
    plain = _to_json_value(key)
    return plain if isinstance(plain, str) else json.dumps(plain)
