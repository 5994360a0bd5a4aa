"""`bedplate tune`: search hyperparameters and register the best trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.release.train import parse_pairs, parse_sources
from bedplate.cli.views.render import (
    console,
    emit_json,
    format_usd,
    print_cost_warnings,
    print_table,
    warn,
)
from bedplate.errors import UsageError

if TYPE_CHECKING:
    from bedplate.ports import TuningTrial
    from bedplate.settings import Range
    from bedplate.workflows.training.tune import TunePlan, TuneResult


@click.command()
@options.model
@click.option("--data", metavar="FILE", help="Parquet or CSV file; it is registered first.")
@click.option("--dataset", metavar="VERSION", help="Registered data version: the first digits of its hash, or latest.")
@click.option(
    "--range", "ranges", multiple=True, metavar="KEY=MIN:MAX[:log]", help="Range to search, or values KEY=A,B."
)
@click.option("--objective", metavar="METRIC", help="Metric that the script prints, of rows that it did not train on.")
@click.option(
    "--trials", type=click.IntRange(1, 500), help="Number of trials (default: 8; with Grid all combinations)."
)
@click.option("--parallel", type=click.IntRange(1, 100), help="Trials at the same time (default: 2).")
@click.option(
    "--strategy",
    type=click.Choice(["Random", "Bayesian", "Grid"], case_sensitive=False),
    help="Search strategy (default: Bayesian); Grid takes values only, no ranges.",
)
@click.option("--early-stopping/--no-early-stopping", default=None, help="Stop trials that are worse than the median.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Value of a hyperparameter in every trial.")
@click.option("--seed", type=int, help="Random seed (default: model.yaml).")
@click.option("--spot/--no-spot", default=None, help="Train on spot instances (default: model.yaml).")
@click.option("--max-usd", type=click.FloatRange(0), metavar="USD", help="Maximum cost of all trials together.")
@options.dry_run
@options.wait
@options.stack
@options.as_json
def command(
    model: str,
    data: str | None,
    dataset: str | None,
    ranges: tuple[str, ...],
    objective: str | None,
    trials: int | None,
    parallel: int | None,
    strategy: Any,
    early_stopping: bool | None,
    settings: tuple[str, ...],
    seed: int | None,
    spot: bool | None,
    max_usd: float | None,
    dry_run: bool,
    wait: bool,
    stack: str,
    as_json: bool,
) -> None:
    """Search MODEL's hyperparameters with a SageMaker tuning job, and register the best trial as a new version.

    Options that are not given are taken from training.tuning in model.yaml. Whether higher or lower is better follows
    from the objective's name. `bedplate runs` shows every trial. The maximum cost of all trials is checked before the
    start. The same command resumes a tuning job that was interrupted. The new version then waits for its evaluation.

    \b
    Examples:
      bedplate tune flight-delay --dataset latest
      bedplate tune flight-delay --data flights.parquet --range learning_rate=0.01:0.3:log --trials 8 --parallel 2

    \b
    Exit codes:
      0  the best trial is registered
      8  over budget or above --max-usd
    """
    from bedplate.cli.views.progress_lines import print_progress
    from bedplate.workflows.stack_context import null_reporter
    from bedplate.workflows.training import tune as work

    connection = options.connect_target(stack, as_json=as_json)

    def report(event: str, fields: Mapping[str, Any]) -> None:
        if event == "trial":
            value = f": {fields['value']:.5g}" if fields["value"] is not None else ""
            params = " ".join(f"{key}={value}" for key, value in fields["params"].items())
            warn(f"[cyan]·[/cyan] {_trial_number(fields['job'])} {params} {fields['status']}{value}")
        else:
            print_progress(event, fields)

    reporter = null_reporter if as_json else report
    source = parse_sources((model,), (data,) if data else (), dataset)[model]
    request = work.TuneRequest(
        model=model,
        data=source,
        ranges=_parse_ranges(ranges),
        settings=parse_pairs("--set", settings, example="max_iter=200"),
        objective=objective,
        trials=trials,
        parallel=parallel,
        strategy=strategy,
        early_stopping=early_stopping,
        seed=seed,
        spot=spot,
        max_usd=max_usd,
    )
    plan = work.plan(connection, request, reporter)
    if dry_run:
        _print_plan(plan, as_json=as_json)
        return
    result = work.tune(connection, plan, reporter, wait=wait)
    if as_json:
        emit_json(_result_to_dict(plan, result))
    else:
        _print_result(plan, result)


def _parse_ranges(texts: tuple[str, ...]) -> dict[str, Range]:
    from bedplate.settings import parse_range

    ranges: dict[str, Range] = {}
    for key, value in parse_pairs("--range", texts, example="learning_rate=0.01:0.3:log").items():
        try:
            ranges[key] = parse_range(value)
        except ValueError as exc:
            raise UsageError(f"--range {key}: {exc}") from exc
    return ranges


def _print_plan(plan: TunePlan, *, as_json: bool) -> None:
    if as_json:
        emit_json({**_result_to_dict(plan, None), "warnings": plan.warnings})
        return
    price = "price unknown" if plan.max_usd is None else f"at most {format_usd(plan.max_usd)}"
    direction = "higher" if plan.maximize else "lower"
    console().print(
        f"{plan.trials} trials, {plan.parallel} at a time, {plan.strategy}; {plan.objective}: {direction} is better"
    )
    print_table(None, ("Hyperparameter", "Range"), [(name, str(space)) for name, space in plan.ranges.items()])
    cost = plan.training.cost
    console().print(f"each trial on {cost.instance_count} x {cost.instance_type}; all trials: {price}")
    if plan.job:
        console().print(f"tuning job {plan.name} already exists ({plan.job.status}) and is resumed")
    print_cost_warnings(plan.warnings)


def _print_result(plan: TunePlan, result: TuneResult) -> None:
    if result.best_result is None:
        console().print(f"Tuning job {result.job.name} is running. The same command registers the best trial.")
        return
    ranked = sorted(result.job.trials, key=lambda t: _rank(t, maximize=plan.maximize))
    names = tuple(plan.ranges)
    rows = [
        (
            _trial_number(trial.job),
            *(trial.params.get(name, "-") for name in names),
            "-" if trial.objective_value is None else f"{trial.objective_value:.5g}",
            "best" if trial == result.best else "" if trial.status == "Completed" else trial.status,
        )
        for trial in ranked
    ]
    columns = ("Trial", *names, plan.objective, "")
    print_table(None, columns, rows, right_aligned=(*names, plan.objective))
    package = result.best_result.package
    if package is not None:
        ref = f"{plan.training.spec.name}:{package.version}"
        console().print(f"[bold green]{ref}[/bold green] is the model of the best trial")
        console().print(f"Next:  bedplate evaluate {ref}")


def _rank(trial: TuningTrial, *, maximize: bool) -> tuple[bool, float]:
    value = trial.objective_value
    return value is None, 0.0 if value is None else -value if maximize else value


def _trial_number(job: str) -> str:
    """Returns the trial's number, from the name of its job.

    >>> _trial_number("bedplate-local-0a1b2c3d-1-003-89abcdef")
    '003'
    """
    return job.split("-")[-2] if job.count("-") > 1 else job


def _result_to_dict(plan: TunePlan, result: TuneResult | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "model": plan.training.spec.name,
        "tuning_job": plan.name,
        "objective": plan.objective,
        "maximize": plan.maximize,
        "strategy": plan.strategy,
        "ranges": {name: str(space) for name, space in plan.ranges.items()},
        "trials": plan.trials,
        "parallel": plan.parallel,
        "max_usd": plan.max_usd,
    }
    if result:
        package = result.best_result.package if result.best_result else None
        document |= {
            "status": result.job.status,
            "results": result.job.trials,
            "best": result.best,
            "version": package.version if package else None,
        }
    return document
