"""`bedplate train`: train a model and register the result as a new version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json, format_seconds, format_usd, print_cost_warnings
from bedplate.domain.formatting import format_number
from bedplate.errors import UsageError

if TYPE_CHECKING:
    from bedplate.workflows.training.train import TrainResult
    from bedplate.workflows.training.training_plan import TrainPlan


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option("--data", multiple=True, metavar="[MODEL=]FILE", help="Parquet or CSV file; it is registered first.")
@click.option("--dataset", metavar="VERSION", help="Registered data version: the first digits of its hash, or latest.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE[,VALUE]",
    help="Value of a hyperparameter; with several values, one training for each.",
)  # fmt: skip
@click.option("--notes", default="", metavar="TEXT", help="Release notes: what is new.")
@click.option("--seed", type=int, help="Random seed (default: model.yaml).")
@click.option("--spot/--no-spot", default=None, help="Train on spot instances with checkpoints (default: model.yaml).")
@click.option(
    "--parallel", type=click.IntRange(1, 64), default=2, show_default=True, help="Trainings at the same time."
)
@click.option("--max-usd", type=click.FloatRange(0), metavar="USD", help="Maximum cost of all trainings together.")
@options.dry_run
@options.wait
@options.stack
@options.as_json
def command(
    models: tuple[str, ...],
    data: tuple[str, ...],
    dataset: str | None,
    settings: tuple[str, ...],
    notes: str,
    seed: int | None,
    spot: bool | None,
    parallel: int,
    max_usd: float | None,
    dry_run: bool,
    wait: bool,
    stack: str,
    as_json: bool,
) -> None:
    """Train MODEL and register a new version, which then waits for its evaluation.

    The last part of the data, in order of time, is the holdout: training never reads it, `evaluate` does. Data that has
    no valid signature, or columns that must not be used for training, is rejected. The same data, code and settings
    find an existing training: run the same command again to resume an interrupted one. Several models, or several
    values of a --set, are trained in parallel in every combination; a failure does not stop the others.

    \b
    Examples:
      bedplate train flight-delay --data flights.parquet
      bedplate train flight-delay --data flights.parquet --set max_iter=200 --seed 7 --dry-run
      bedplate train flight-delay --dataset latest --spot
      bedplate train flight-delay --dataset latest --set learning_rate=0.03,0.1 --set max_iter=100,200 --parallel 2
      bedplate train flight-delay churn --dataset latest

    \b
    Exit codes:
      0  every version is registered
      1  the training job failed
      3  the data violates its contract, or its signature is not valid
      8  over budget or above --max-usd
    Of several trainings that fail, the first determines the exit code.
    """
    from bedplate.cli.views.progress_lines import progress_reporter
    from bedplate.workflows.training.train import train
    from bedplate.workflows.training.train_many import expand_grid, plan_all
    from bedplate.workflows.training.training_plan import TrainRequest
    from bedplate.workflows.training.training_plan import plan as plan_training

    sources, combinations = parse_sources(models, data, dataset), expand_grid(_parse_grid(settings))
    connection = options.connect_target(stack, as_json=as_json)
    reporter = progress_reporter(quiet=as_json)
    if len(sources) * len(combinations) > 1 or max_usd is not None:
        from bedplate.cli.views.training_table import run_batch

        plans = plan_all(
            connection, models, sources, combinations, reporter, seed=seed, notes=notes, spot=spot, limit_usd=max_usd
        )
        raise SystemExit(run_batch(connection, plans, parallel=parallel, dry_run=dry_run, wait=wait, as_json=as_json))
    (model,) = models
    request = TrainRequest(model, sources[model], combinations[0], seed, spot, notes)
    plan = plan_training(connection, request, reporter)
    if dry_run:
        _print_plan(plan, as_json=as_json)
        return
    result = train(connection, plan, reporter, wait=wait)
    if as_json:
        emit_json(_result_to_dict(plan, result))
    else:
        _print_result(plan, result)


def parse_sources(models: tuple[str, ...], data: tuple[str, ...], dataset: str | None) -> dict[str, Path | str]:
    """Returns the file or the registered data version that each model is trained on.

    >>> parse_sources(("a", "b"), (), "latest"), parse_sources(("a",), ("x=1.csv",), None)
    ({'a': 'latest', 'b': 'latest'}, {'a': PosixPath('x=1.csv')})

    Raises UsageError when a model has no data, or several files.
    """
    names = tuple(dict.fromkeys(models))
    if bool(data) == (dataset is not None):
        next_step = f"bedplate data list {models[0]}"
        raise UsageError("Expected either --data FILE or --dataset VERSION", next_step=next_step)
    if dataset is not None:
        return dict.fromkeys(names, dataset)
    sources: dict[str, Path | str] = {}
    for option in data:
        name, equals, file = option.partition("=")
        has_name = equals and name in names
        if not has_name and len(names) > 1:
            raise UsageError(f"--data {option}: expected MODEL=FILE for several models: --data {names[0]}={option}")
        model, path = (name, file) if has_name else (names[0], option)
        if model in sources:
            raise UsageError(f"--data {option}: {model} already has a file, {sources[model]}")
        sources[model] = Path(path)
    missing = [model for model in names if model not in sources]
    if missing:
        next_step = f"the same command with --data {missing[0]}=FILE"
        raise UsageError(f"No --data for {missing[0]}", next_step=next_step)
    return sources


def parse_pairs(option: str, texts: tuple[str, ...], *, example: str) -> dict[str, str]:
    """Parses the KEY=VALUE texts of a repeated option; a value keeps its commas. Raises UsageError."""
    values = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"{option} {text}: expected KEY=VALUE, as in {option} {example}")
        values[key] = value
    return values


def _parse_grid(settings: tuple[str, ...]) -> Mapping[str, list[str]]:
    pairs = parse_pairs("--set", settings, example="max_iter=200")
    return {key: list(dict.fromkeys(value.split(","))) for key, value in pairs.items()}


def _print_plan(plan: TrainPlan, *, as_json: bool) -> None:
    if as_json:
        emit_json({**_result_to_dict(plan, None), "steps": plan.steps, "warnings": plan.warnings})
        return
    lineage = plan.lineage
    console().print(
        f"[bold]{plan.spec.name}[/bold]  data {lineage.data_sha256[:12]}  code {lineage.source.code_sha256[:12]}"
    )
    if plan.split.cut:
        console().print(f"training: {plan.split.first} to {plan.split.cut}, holdout: from then to {plan.split.last}")
    price = "price unknown" if plan.cost.max_usd is None else f"at most {format_usd(plan.cost.max_usd)}"
    console().print(f"{plan.cost.instance_count} x {plan.cost.instance_type}, {price}")
    for number, step in enumerate(plan.steps, 1):
        console().print(f"{number}. {step}")
    print_cost_warnings(plan.warnings)


def _print_result(plan: TrainPlan, result: TrainResult) -> None:
    if result.package is None:
        console().print(f"Training job {result.job.name} is running. The same command registers its result.")
        return
    ref = f"{plan.spec.name}:{result.package.version}"
    if plan.package:
        console().print(f"[bold]{ref}[/bold] was already trained from the same data, code and settings.")
    else:
        job = result.job
        duration = f" in {format_seconds(job.billable_s)} of billable time" if job.billable_s else ""
        console().print(f"[bold green]{ref}[/bold green] trained on {plan.split.train_rows:,} rows{duration}")
        if job.spot_savings_pct is not None and job.training_s is not None:
            seconds, savings = format_seconds(job.training_s), f"{job.spot_savings_pct:.0f} %"
            console().print(f"  ran {seconds} on spot instances, saved {savings}")
        for name, value in result.metrics.items():
            console().print(f"  {name} = {format_number(value)}")
    console().print(f"Next:  bedplate evaluate {ref}")


def _result_to_dict(plan: TrainPlan, result: TrainResult | None) -> dict[str, Any]:
    lineage = plan.lineage
    document: dict[str, Any] = {
        "model": plan.spec.name,
        "training_job": plan.job_name,
        "dataset_sha256": lineage.dataset_sha256,
        "data_sha256": lineage.data_sha256,
        "data_uri": lineage.data_uri,
        "holdout_uri": lineage.holdout_uri,
        "train_rows": plan.split.train_rows,
        "holdout_rows": plan.split.holdout_rows,
        "code_sha256": lineage.source.code_sha256,
        "code_commit": lineage.source.commit,
        "code_dirty": lineage.source.dirty,
        "hyperparameters": dict(lineage.hyperparameters),
        "max_usd": plan.cost.max_usd,
        "version": plan.package.version if plan.package else None,
    }
    if result:
        document |= {
            "version": result.package.version if result.package else None,
            "status": result.job.status,
            "billable_s": result.job.billable_s,
            "training_s": result.job.training_s,
            "spot_savings_pct": result.job.spot_savings_pct,
            "metrics": dict(result.metrics),
            "data_warnings": [str(s) for s in plan.dataset.anomalies],
            "unchanged": plan.package is not None,
        }
    return document
