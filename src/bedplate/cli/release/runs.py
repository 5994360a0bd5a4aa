"""`bedplate runs`: list, show and compare training runs, as MLflow stores them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json, format_seconds, print_table, warn
from bedplate.errors import NotFound

if TYPE_CHECKING:
    from bedplate.ports import ExperimentRun
    from bedplate.workflows.stack_context import StackContext
    from bedplate.workflows.training.runs import RunComparison

MAX_PARAMS_SHOWN = 4


@click.group("runs")
def command() -> None:
    """List, show and compare training runs.

    Every training job and every trial of a tuning job is stored in MLflow: on the stack's tracking server if it has one
    (tracking.enabled), otherwise in a file of this project. BEDPLATE_TRACKING sets another tracking URI, or `off`.

    \b
    Example:
      bedplate runs compare flight-delay 1 2 --metric auc
    """


@command.command("list")
@options.model
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Metrics to show (default: the first four).")
@click.option("-n", "count", type=click.IntRange(1), default=20, show_default=True, help="Number of newest runs.")
@options.stack
@options.as_json
def list_(model: str, metrics: tuple[str, ...], count: int, stack: str, as_json: bool) -> None:
    """List the training runs of MODEL, newest first, including failed ones.

    \b
    Example:
      bedplate runs list flight-delay --metric auc --metric train_auc
    """
    from bedplate.workflows.training.runs import list_runs

    connection = _connect(stack)
    runs = list(list_runs(connection, model))[:count]
    if as_json:
        emit_json(runs)
        return
    if not runs:
        warn(f"No run of {model} is stored {_format_location(connection)}.")
        return
    names = metrics or tuple(dict.fromkeys(m for run in runs for m in run.metrics))[:4]
    varying = _varying_params(runs)[:MAX_PARAMS_SHOWN]
    columns = ("Run", "Version", "Status", "Started", "Duration", *varying, *names)
    rows = [
        (
            run.id[:8],
            run.tags.get("version", "-"),
            run.status,
            f"{run.started_at:%Y-%m-%d %H:%M}" if run.started_at else "-",
            format_seconds((run.ended_at - run.started_at).total_seconds()) if run.started_at and run.ended_at else "-",
            *(run.params.get(name, "-") for name in varying),
            *(_format_value(run.metrics.get(name)) for name in names),
        )
        for run in runs
    ]
    print_table(None, columns, rows, right_aligned=("Duration", *varying, *names))
    warn(f"stored {_format_location(connection)}")


@command.command("show")
@options.model
@click.argument("run_ref", metavar="RUN")
@options.stack
@options.as_json
def show(model: str, run_ref: str, stack: str, as_json: bool) -> None:
    """Show the parameters, metrics and tags of one training run of MODEL.

    RUN is a version, the beginning of a run id, or the name of the run's job.

    \b
    Example:
      bedplate runs show flight-delay 3
    """
    from bedplate.workflows.training.runs import find_run

    run = find_run(_connect(stack), model, run_ref)
    if as_json:
        emit_json(run)
        return
    console().print(f"[bold]{run.name}[/bold]  {run.status}  run {run.id}")
    for title, values in (("parameters", run.params), ("metrics", run.metrics), ("tags", run.tags)):
        print_table(title, ("", ""), [(key, _format_value(value)) for key, value in sorted(values.items())])


@command.command("compare")
@options.model
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Compare only this metric; may be repeated.")
@click.option("--all", "show_all", is_flag=True, help="Also show what is the same in all runs.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page with a chart per metric.")
@options.stack
@options.as_json
def compare(
    model: str,
    runs: tuple[str, ...],
    metrics: tuple[str, ...],
    show_all: bool,
    html: Path | None,
    stack: str,
    as_json: bool,
) -> None:
    """Compare training runs of MODEL: the parameters and metrics that differ.

    Without RUN the newest two. The best value of a metric is bold. Metrics without a prefix (auc) are of the held-out
    rows, from `evaluate`; metrics with a prefix (train_auc) were printed by the training script.

    \b
    Examples:
      bedplate runs compare flight-delay 1 2 --metric auc
      bedplate runs compare flight-delay 1 2 3 --html compared.html
    """
    from bedplate.workflows.training.runs import compare_runs

    comparison = compare_runs(_connect(stack), model, runs)
    if metrics:
        missing = [m for m in metrics if m not in {row.name for row in comparison.metrics}]
        if missing:
            names = ", ".join(row.name for row in comparison.metrics) or "none"
            raise NotFound(
                f"No run has a metric {missing[0]!r} (metrics: {names})", next_step=f"bedplate evaluate {model}"
            )
    if html:
        from bedplate.cli.pages.runs import render

        html.write_text(render(model, comparison, metrics), encoding="utf-8")
        warn(f"Written: {html}")
    if as_json:
        emit_json(_comparison_to_dict(comparison, metrics))
    else:
        _print_comparison(comparison, metrics, show_all=show_all)


def _print_comparison(comparison: RunComparison, metrics: tuple[str, ...], *, show_all: bool) -> None:
    from rich.text import Text

    from bedplate.domain.versions.runs import find_best_index

    rows: list[Sequence[object]] = [
        (param.name, *("-" if value is None else value for value in param.values))
        for param in comparison.params
        if param.is_different or show_all
    ]
    for metric in comparison.metrics:
        if (metrics and metric.name not in metrics) or not (metric.is_different or show_all or metrics):
            continue
        values = [v if isinstance(v, float) else None for v in metric.values]
        best_index = find_best_index(metric.name, values) if metric.is_different else None
        cells = [Text(_format_value(v), style="bold green" if i == best_index else "") for i, v in enumerate(values)]
        rows.append((metric.name, *cells))
    if not rows:
        console().print("They are the same in every parameter and every metric.")
        return
    names = [run.name if run.tags.get("version") else run.id[:8] for run in comparison.runs]
    print_table(None, ("", *names), rows, right_aligned=names)


def _comparison_to_dict(comparison: RunComparison, metrics: tuple[str, ...]) -> dict[str, Any]:
    metric_rows = [row for row in comparison.metrics if not metrics or row.name in metrics]
    return {
        "runs": [{"id": run.id, "job": run.job, "version": run.tags.get("version")} for run in comparison.runs],
        "params": [{"name": r.name, "values": r.values, "differs": r.is_different} for r in comparison.params],
        "metrics": [{"name": r.name, "values": r.values, "differs": r.is_different} for r in metric_rows],
    }


def _connect(stack: str) -> StackContext:

    return options.connect(stack)


def _format_location(stack: StackContext) -> str:
    return f"at {stack.experiments.location}" if stack.experiments.location else "(BEDPLATE_TRACKING is off)"


def _varying_params(runs: Sequence[ExperimentRun]) -> list[str]:
    from bedplate.domain.versions.runs import build_rows

    return [row.name for row in build_rows([run.params for run in runs]) if row.is_different]


def _format_value(value: object) -> str:
    return "-" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)
