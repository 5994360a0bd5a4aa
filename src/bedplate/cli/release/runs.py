"""`bedplate runs`: every training side by side, as MLflow keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, out, remark, seconds, table

if TYPE_CHECKING:
    from bedplate.ports import ExperimentRun
    from bedplate.workflows.stack_context import StackContext
    from bedplate.workflows.training.runs import RunComparison

SHOWN_PARAMS = 4


@click.group("runs", short_help="List, show and compare trainings, as MLflow keeps them.")
def command() -> None:
    """Look at trainings side by side: parameters, figures, data, code and where the artifacts are.

    Every training and every trial of a tuning is kept in MLflow: on the stack's tracking server where it has one
    (tracking.enabled), else in a file of this project. BEDPLATE_TRACKING names another tracking URI, or `off`.

    \b
    Example:
      bedplate runs compare flight-delay 1 2 --metric auc
    """


@command.command("list")
@options.model
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Figures to show (default: all, to four).")
@click.option("-n", "count", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@options.stack
@options.as_json
def list_(model: str, metrics: tuple[str, ...], count: int, stack: str, as_json: bool) -> None:
    """List the trainings of MODEL, newest first, failed ones too.

    \b
    Example:
      bedplate runs list flight-delay --metric auc --metric train_auc
    """
    from bedplate.workflows.training.runs import list_runs

    at = _connected(stack)
    runs = list(list_runs(at, model))[:count]
    if as_json:
        emit_json(runs)
        return
    if not runs:
        remark(f"No run of {model} is kept {_place(at)}.")
        return
    names = metrics or tuple(dict.fromkeys(m for run in runs for m in run.metrics))[:4]
    varied = _varied(runs)[:SHOWN_PARAMS]
    table(
        None,
        ("Run", "Version", "Status", "Started", "Took", *varied, *names),
        [
            (
                run.id[:8],
                run.tags.get("version", "-"),
                run.status,
                f"{run.started_at:%Y-%m-%d %H:%M}" if run.started_at else "-",
                seconds((run.ended_at - run.started_at).total_seconds()) if run.started_at and run.ended_at else "-",
                *(run.params.get(name, "-") for name in varied),
                *(_figure(run.metrics.get(name)) for name in names),
            )
            for run in runs
        ],
        right=("Took", *varied, *names),
    )
    remark(f"kept {_place(at)}")


@command.command("show")
@options.model
@click.argument("run", metavar="RUN")
@options.stack
@options.as_json
def show(model: str, run: str, stack: str, as_json: bool) -> None:
    """Show one training of MODEL: by version, by the beginning of its id, or by its job's name.

    \b
    Example:
      bedplate runs show flight-delay 3
    """
    from bedplate.workflows.training.runs import find

    found = find(_connected(stack), model, run)
    if as_json:
        emit_json(found)
        return
    out().print(f"[bold]{found.name}[/bold]  {found.status}  run {found.id}")
    for title, told in (("parameters", found.params), ("figures", found.metrics), ("tags", found.tags)):
        table(title, ("", ""), [(key, _figure(value)) for key, value in sorted(told.items())])


@command.command("compare")
@options.model
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only these figures; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="Also what is the same in all of them.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page with a chart a figure.")
@options.stack
@options.as_json
def compare(
    model: str,
    runs: tuple[str, ...],
    metrics: tuple[str, ...],
    everything: bool,
    html: Path | None,
    stack: str,
    as_json: bool,
) -> None:
    """Set trainings of MODEL side by side: the parameters and figures in which they differ, the best in bold.

    Without a RUN the newest two. Figures without a prefix (auc) are of the rows held out, from `evaluate`; those with
    one (train_auc) are what the script printed.

    \b
    Examples:
      bedplate runs compare flight-delay 1 2 --metric auc
      bedplate runs compare flight-delay 1 2 3 --html compared.html
    """
    from bedplate.workflows.training.runs import compare as work

    found = work(_connected(stack), model, runs)
    if metrics:
        missing = [m for m in metrics if m not in {row.name for row in found.metrics}]
        if missing:
            from bedplate.errors import NotFound

            known = ", ".join(row.name for row in found.metrics) or "none"
            raise NotFound(
                f"No run has a figure {missing[0]!r} (there are: {known})", next_step=f"bedplate evaluate {model}"
            )
    if html:
        from bedplate.cli.pages.runs import render

        html.write_text(render(model, found, metrics), encoding="utf-8")
        remark(f"Written: {html}")
    if as_json:
        emit_json(_json(found, metrics))
    else:
        _show(found, metrics, everything=everything)


def _show(found: RunComparison, metrics: tuple[str, ...], *, everything: bool) -> None:
    from rich.text import Text

    from bedplate.domain.versions.runs import best

    lines: list[Sequence[object]] = []
    for row in found.params:
        if row.differs or everything:
            lines.append((row.name, *(v if v is not None else "-" for v in row.values)))
    for figure in found.metrics:
        if (metrics and figure.name not in metrics) or not (figure.differs or everything or metrics):
            continue
        values = [v if isinstance(v, float) else None for v in figure.values]
        first = best(figure.name, values) if figure.differs else None
        cells = [Text(_figure(v), style="bold green" if i == first else "") for i, v in enumerate(values)]
        lines.append((figure.name, *cells))
    if not lines:
        out().print("They are the same in every parameter and every figure.")
        return
    names = [run.name if run.tags.get("version") else run.id[:8] for run in found.runs]
    table(None, ("", *names), lines, right=names)


def _json(found: RunComparison, metrics: tuple[str, ...]) -> dict[str, Any]:
    shown = [row for row in found.metrics if not metrics or row.name in metrics]
    return {
        "runs": [{"id": run.id, "job": run.job, "version": run.tags.get("version")} for run in found.runs],
        "params": [{"name": r.name, "values": r.values, "differs": r.differs} for r in found.params],
        "metrics": [{"name": r.name, "values": r.values, "differs": r.differs} for r in shown],
    }


def _connected(stack: str) -> StackContext:
    from bedplate.wiring import connect

    return connect(options.project_dir(), stack)


def _place(stack: StackContext) -> str:
    return f"at {stack.experiments.where}" if stack.experiments.where else "(BEDPLATE_TRACKING is off)"


def _varied(runs: Sequence[ExperimentRun]) -> list[str]:
    from bedplate.domain.versions.runs import rows

    return [row.name for row in rows([run.params for run in runs]) if row.differs]


def _figure(value: object) -> str:
    return "-" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)
