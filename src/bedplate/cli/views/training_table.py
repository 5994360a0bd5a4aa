"""Shows parallel trainings: one table that is updated on a terminal, one line per change elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bedplate.cli import print_error
from bedplate.cli.views import render

if TYPE_CHECKING:
    from rich.table import Table

    from bedplate.ports import Reporter
    from bedplate.workflows.stack_context import StackContext
    from bedplate.workflows.training.train_many import BatchResult, TrainingBatch
    from bedplate.workflows.training.training_plan import TrainPlan

_MAX_NOTE = 80


class TrainingTable:
    """The phase and the last log line of each training, by job; prints nothing when `quiet`."""

    def __init__(self, batch: TrainingBatch, *, quiet: bool) -> None:
        from rich.live import Live

        self._lock = threading.Lock()
        self._quiet = quiet
        self._rows = {p.job_name: [*_label_cells(p, batch), "waiting", ""] for p in batch.plans}
        live = not quiet and render.stderr_console().is_terminal
        self._live = (
            Live(self._table(), console=render.stderr_console(), transient=True, refresh_per_second=8) if live else None
        )

    def __enter__(self) -> TrainingTable:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def reporter_for(self, plan: TrainPlan) -> Reporter:
        """Returns the Reporter of one training."""

        def report(event: str, fields: Mapping[str, Any]) -> None:
            if event == "status":
                self._set(plan.job_name, phase=str(fields["phase"]))
            elif event == "log":
                self._set(plan.job_name, note=str(fields["line"]))
            elif event == "warning" and not self._quiet:
                render.warn(f"[yellow]Warning:[/yellow] {self._rows[plan.job_name][0]}: {fields['text']}")

        return report

    def show_result(self, result: BatchResult) -> None:
        """Shows the version of a finished training, or the error of a failed one."""
        if result.result is None:
            note = result.error.message if result.error else ""
            self._set(result.plan.job_name, phase="failed", note=note)
            return
        version = f"version {result.result.package.version}" if result.result.package else "runs"
        self._set(result.plan.job_name, phase=version, note="")

    def _set(self, job: str, *, phase: str | None = None, note: str | None = None) -> None:
        with self._lock:
            row = self._rows[job]
            changed = phase is not None and phase != row[2]
            row[2] = row[2] if phase is None else phase
            row[3] = row[3] if note is None else note[:_MAX_NOTE]
            if self._live:
                self._live.update(self._table())
            elif changed and not self._quiet:
                render.warn(f"[cyan]·[/cyan] {row[0]} {row[1]}: {row[2]}{f' ({row[3]})' if phase == 'failed' else ''}")

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        grid = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("Model", "Settings", "Now", "Last line"):
            grid.add_column(column, no_wrap=column != "Settings")
        for row in self._rows.values():
            grid.add_row(*(Text(str(cell)) for cell in row))
        return grid


def run_batch(
    stack: StackContext, batch: TrainingBatch, *, parallel: int, dry_run: bool, wait: bool, as_json: bool
) -> int:
    """Runs the batch, prints the result of each training, and returns the exit code of the first failure, else 0."""
    from bedplate.workflows.training.train_many import train_all

    if dry_run:
        _show_plan(batch, as_json=as_json)
        return 0
    if not as_json:
        for warning in batch.warnings:
            if not warning.is_blocking:
                render.warn(f"[yellow]Warning:[/yellow] {warning.reason}")
    with TrainingTable(batch, quiet=as_json) as table:
        results = train_all(stack, batch, table.reporter_for, parallel=parallel, wait=wait, on_result=table.show_result)
    if as_json:
        render.emit_json([_to_dict(result) for result in results])
    else:
        _show_results(results, batch)
    return next((result.error.exit_code for result in results if result.error), 0)


def _label_cells(plan: TrainPlan, batch: TrainingBatch) -> tuple[str, str]:
    """Returns the model's name, and the hyperparameters in which its trainings differ."""
    settings = [p.lineage.hyperparameters for p in batch.plans if p.spec.name == plan.spec.name]
    varied = {k: v for k, v in plan.lineage.hyperparameters.items() if len({values[k] for values in settings}) > 1}
    return plan.spec.name, " ".join(f"{key}={value}" for key, value in varied.items()) or "-"


def _show_plan(batch: TrainingBatch, *, as_json: bool) -> None:
    price = "price unknown" if batch.max_usd is None else f"at most {render.format_usd(batch.max_usd)}"
    if as_json:
        plans = [
            {"model": p.spec.name, "training_job": p.job_name, "hyperparameters": p.lineage.hyperparameters,
             "max_usd": p.cost.max_usd, "version": p.package.version if p.package else None}
            for p in batch.plans
        ]  # fmt: skip
        render.emit_json({"plans": plans, "max_usd": batch.max_usd, "warnings": batch.warnings})
        return
    render.print_table(
        f"{len(batch.plans)} trainings, {price}",
        ("Model", "Settings", "What"),
        [(*_label_cells(p, batch), p.steps[-2 if len(p.steps) > 1 else 0]) for p in batch.plans],
    )
    render.print_cost_warnings(batch.warnings)


def _show_results(results: tuple[BatchResult, ...], batch: TrainingBatch) -> None:
    metrics = tuple(dict.fromkeys(name for r in results if r.result for name in r.result.metrics))[:4]
    rows = []
    for result in results:
        trained = result.result
        version = str(trained.package.version) if trained and trained.package else "-"
        billable = render.format_seconds(trained.job.billable_s) if trained and trained.job.billable_s else "-"
        values = [f"{trained.metrics[m]:.4f}" if trained and m in trained.metrics else "-" for m in metrics]
        status = "failed" if result.error else "runs" if version == "-" else "registered"
        rows.append((*_label_cells(result.plan, batch), version, billable, *values, status))
    render.print_table(
        None,
        ("Model", "Settings", "Version", "Billable", *metrics, ""),
        rows,
        right_aligned=("Version", "Billable", *metrics),
    )
    errors = [result.error for result in results if result.error]
    for error in errors:
        print_error(error, as_json=False)
    if len(errors) < len(results):
        models = dict.fromkeys(result.plan.spec.name for result in results)
        render.console().print("Next:  " + "; ".join(f"bedplate runs list {model}" for model in models))


def _to_dict(result: BatchResult) -> dict[str, Any]:
    trained, error = result.result, result.error
    return {
        "model": result.plan.spec.name,
        "training_job": result.plan.job_name,
        "hyperparameters": dict(result.plan.lineage.hyperparameters),
        "version": trained.package.version if trained and trained.package else None,
        "status": trained.job.status if trained else "Failed",
        "billable_s": trained.job.billable_s if trained else None,
        "metrics": dict(trained.metrics) if trained else {},
        "error": error and {"message": error.message, "next_step": error.next_step, "exit_code": error.exit_code},
    }
