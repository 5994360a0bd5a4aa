"""Several trainings at once on the terminal: one table that lives while they run, and one line an end elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from bedplate.cli.views.render import emit_json, err, out, remark, seconds, table, usd

if TYPE_CHECKING:
    from rich.table import Table

    from bedplate.ports import Reporter
    from bedplate.workflows.stack_context import StackContext
    from bedplate.workflows.training.train_many import BatchResult, TrainingBatch
    from bedplate.workflows.training.training_plan import TrainPlan

_REASON = 80


class TrainingTable:
    """What each training does now, by its job. Lines when standard error is no terminal, nothing when `quiet`."""

    def __init__(self, several: TrainingBatch, *, quiet: bool) -> None:
        from rich.live import Live

        self._lock = threading.Lock()
        self._quiet = quiet
        self._rows = {p.job_name: [*_named(p, several), "waiting", ""] for p in several.plans}
        live = not quiet and err().is_terminal
        self._live = Live(self._table(), console=err(), transient=True, refresh_per_second=8) if live else None

    def __enter__(self) -> TrainingTable:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def say_for(self, plan: TrainPlan) -> Reporter:
        """A `Say` of one training."""

        def say(event: str, fields: Mapping[str, Any]) -> None:
            if event == "status":
                self._set(plan.job_name, phase=str(fields["phase"]))
            elif event == "log":
                self._set(plan.job_name, note=str(fields["line"]))
            elif event == "warning" and not self._quiet:
                remark(f"[yellow]Warning:[/yellow] {self._rows[plan.job_name][0]}: {fields['text']}")

        return say

    def ended(self, one: BatchResult) -> None:
        """The training is over."""
        if one.done is None:
            note = one.error.message if one.error else ""
            self._set(one.plan.job_name, phase="failed", note=note)
            return
        version = f"version {one.done.package.version}" if one.done.package else "runs"
        self._set(one.plan.job_name, phase=version, note="")

    def _set(self, job: str, *, phase: str | None = None, note: str | None = None) -> None:
        with self._lock:
            row = self._rows[job]
            changed = phase is not None and phase != row[2]
            row[2] = row[2] if phase is None else phase
            row[3] = row[3] if note is None else note[:_REASON]
            if self._live:
                self._live.update(self._table())
            elif changed and not self._quiet:
                remark(f"[cyan]·[/cyan] {row[0]} {row[1]}: {row[2]}{f' ({row[3]})' if phase == 'failed' else ''}")

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        grid = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("Model", "Settings", "Now", "Last line"):
            grid.add_column(column, no_wrap=column != "Settings")
        for row in self._rows.values():
            grid.add_row(*(Text(str(cell)) for cell in row))
        return grid


def run(stack: StackContext, several: TrainingBatch, *, parallel: int, dry_run: bool, wait: bool, as_json: bool) -> int:
    """Train them, show what came of each; the exit code: 0, or that of the first one that failed."""
    from bedplate.workflows.training.train_many import train_all

    if dry_run:
        _show_plan(several, as_json=as_json)
        return 0
    if not as_json:
        for objection in several.objections:
            if not objection.refused:
                remark(f"[yellow]Warning:[/yellow] {objection.reason}")
    with TrainingTable(several, quiet=as_json) as board:
        ended = train_all(stack, several, board.say_for, parallel=parallel, wait=wait, ended=board.ended)
    if as_json:
        emit_json([_json(one) for one in ended])
    else:
        _show(ended, several)
    return next((one.error.exit_code for one in ended if one.error), 0)


def _named(plan: TrainPlan, several: TrainingBatch) -> tuple[str, str]:
    """The model, and the settings in which its trainings differ."""
    mine = [p.lineage.hyperparameters for p in several.plans if p.spec.name == plan.spec.name]
    varied = [k for k in plan.lineage.hyperparameters if len({each[k] for each in mine}) > 1]
    return plan.spec.name, " ".join(f"{key}={plan.lineage.hyperparameters[key]}" for key in varied) or "-"


def _show_plan(several: TrainingBatch, *, as_json: bool) -> None:
    price = "price unknown" if several.max_usd is None else f"at most {usd(several.max_usd)}"
    if as_json:
        plans = [
            {"model": p.spec.name, "training_job": p.job_name, "hyperparameters": p.lineage.hyperparameters,
             "max_usd": p.cost.max_usd, "version": p.package.version if p.package else None}
            for p in several.plans
        ]  # fmt: skip
        emit_json({"plans": plans, "max_usd": several.max_usd, "objections": several.objections})
        return
    table(
        f"{len(several.plans)} trainings, {price}",
        ("Model", "Settings", "What"),
        [(*_named(p, several), p.steps[-2 if len(p.steps) > 1 else 0]) for p in several.plans],
    )
    for objection in several.objections:
        word = "[red]refused[/red]" if objection.refused else "[yellow]warning[/yellow]"
        out().print(f"{word}: {objection.reason}")


def _show(ended: tuple[BatchResult, ...], several: TrainingBatch) -> None:
    metrics = tuple(dict.fromkeys(name for one in ended if one.done for name in one.done.metrics))[:4]
    rows = []
    for one in ended:
        done = one.done
        version = str(done.package.version) if done and done.package else "-"
        took = seconds(done.job.billable_s) if done and done.job.billable_s else "-"
        figures = [f"{done.metrics[m]:.4f}" if done and m in done.metrics else "-" for m in metrics]
        told = "failed" if one.error else "runs" if version == "-" else "registered"
        rows.append((*_named(one.plan, several), version, took, *figures, told))
    table(
        None, ("Model", "Settings", "Version", "Billable", *metrics, ""), rows, right=("Version", "Billable", *metrics)
    )
    failed = [one for one in ended if one.error]
    for one in failed:
        if one.error:
            click.echo(f"{click.style('Error:', fg='red', bold=True)} {one.error.message}", err=True)
            if one.error.next_step:
                click.echo(f"{click.style('Next:', bold=True)}  {one.error.next_step}", err=True)
    models = dict.fromkeys(one.plan.spec.name for one in ended)
    if len(failed) < len(ended):
        out().print("Next:  " + "; ".join(f"bedplate runs list {model}" for model in models))


def _json(one: BatchResult) -> dict[str, Any]:
    done, error = one.done, one.error
    return {
        "model": one.plan.spec.name,
        "training_job": one.plan.job_name,
        "hyperparameters": dict(one.plan.lineage.hyperparameters),
        "version": done.package.version if done and done.package else None,
        "status": done.job.status if done else "Failed",
        "billable_s": done.job.billable_s if done else None,
        "metrics": dict(done.metrics) if done else {},
        "error": {"message": error.message, "next_step": error.next_step, "exit_code": error.exit_code}
        if error
        else None,
    }
