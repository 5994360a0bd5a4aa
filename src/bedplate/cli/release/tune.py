"""`bedplate tune`: look for good hyper-parameters, and register the best trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.release.train import pairs, sources_of
from bedplate.cli.views.render import emit_json, objections, out, remark, table, usd, where
from bedplate.errors import UsageError

if TYPE_CHECKING:
    from bedplate.ports import TuningTrial
    from bedplate.settings import Range
    from bedplate.workflows.training.tune import TunePlan, TuneResult


@click.command()
@options.model
@click.option("--data", metavar="FILE", help="Parquet or CSV file that fits the model's data contract.")
@click.option("--dataset", metavar="VERSION", help="Registered version instead, or latest.")
@click.option(
    "--range", "ranges", multiple=True, metavar="KEY=MIN:MAX[:log]", help="Where to look; KEY=A,B for given values."
)
@click.option("--objective", metavar="METRIC", help="Figure that the script prints, of rows it did not learn from.")
@click.option("--trials", type=click.IntRange(1, 500), help="How many trainings (default: 8; a grid: all points).")
@click.option("--parallel", type=click.IntRange(1, 100), help="How many at once (default: 2).")
@click.option(
    "--strategy",
    type=click.Choice(["Random", "Bayesian", "Grid"], case_sensitive=False),
    help="Bayesian by default; Grid takes given values only.",
)
@click.option("--early-stopping/--no-early-stopping", default=None, help="Stop trials that do worse than the median.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A hyper-parameter of every trial.")
@click.option("--seed", type=int, help="Seed instead of model.yaml's.")
@click.option("--spot/--no-spot", default=None, help="On spot instances.")
@click.option("--max-usd", type=click.FloatRange(0), metavar="USD", help="What all trials may cost together.")
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
    """Train MODEL many times between the given values, and register the best trial, which then waits for its gates.

    SageMaker's tuning job chooses the points. What is not given is taken from training.tuning of model.yaml. Whether
    more or less is better follows from the objective's name. Every trial is kept in `bedplate runs`. The most that all
    trials can cost is checked first (exit code 8). The same command takes up a tuning that was interrupted.

    \b
    Examples:
      bedplate tune flight-delay --dataset latest
      bedplate tune flight-delay --data flights.parquet --range learning_rate=0.01:0.3:log --trials 8 --parallel 2
    """
    from bedplate.cli.views.progress_lines import say_progress, say_silently
    from bedplate.wiring import connect
    from bedplate.workflows.training import tune as work

    at = connect(options.project_dir(), stack)
    if not as_json:
        where(at.label)

    def say(event: str, fields: Mapping[str, Any]) -> None:
        if event == "trial":
            told = f": {fields['value']:.5g}" if fields["value"] is not None else ""
            remark(f"[cyan]·[/cyan] {_short(fields['job'])} {_spoken(fields['params'])} {fields['status']}{told}")
        else:
            say_progress(event, fields)

    listener = say_silently if as_json else say
    source = sources_of((model,), (data,) if data else (), dataset)[model]
    request = work.TuneRequest(
        model=model,
        data=source,
        ranges=_ranges(ranges),
        settings=pairs(settings),
        objective=objective,
        trials=trials,
        parallel=parallel,
        strategy=strategy,
        early_stopping=early_stopping,
        seed=seed,
        spot=spot,
        max_usd=max_usd,
    )
    plan = work.plan(at, request, listener)
    if dry_run:
        _show_plan(plan, as_json=as_json)
        return
    done = work.tune(at, plan, listener, wait=wait)
    if as_json:
        emit_json(_json(plan, done))
    else:
        _show(plan, done)


def _ranges(texts: tuple[str, ...]) -> dict[str, Range]:
    from bedplate.settings import parse_range

    found: dict[str, Range] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--range {text}: KEY=MIN:MAX expected, as in --range learning_rate=0.01:0.3:log")
        try:
            found[key] = parse_range(value)
        except ValueError as exc:
            raise UsageError(f"--range {key}: {exc}") from exc
    return found


def _show_plan(plan: TunePlan, *, as_json: bool) -> None:
    if as_json:
        emit_json({**_json(plan, None), "objections": plan.objections})
        return
    price = "price unknown" if plan.max_usd is None else f"at most {usd(plan.max_usd)}"
    aim = "more" if plan.maximize else "less"
    out().print(f"{plan.trials} trials, {plan.parallel} at a time, {plan.strategy}; {plan.objective}, {aim} is better")
    table(None, ("Hyper-parameter", "Between"), [(name, str(space)) for name, space in plan.ranges.items()])
    cost = plan.training.cost
    out().print(f"each on {cost.instance_count} x {cost.instance_type}; together {price}")
    if plan.job:
        out().print(f"tuning job {plan.name} exists already ({plan.job.status}) and is taken up")
    objections(plan.objections)


def _show(plan: TunePlan, done: TuneResult) -> None:
    if done.registered is None:
        out().print(f"Tuning job {done.job.name} runs. The same command follows it and registers the best trial.")
        return
    ranked = sorted(done.job.trials, key=lambda t: _rank(t, maximize=plan.maximize))
    names = tuple(plan.ranges)
    table(
        None,
        ("Trial", *names, plan.objective, ""),
        [
            (
                _short(trial.job),
                *(trial.params.get(name, "-") for name in names),
                "-" if trial.value is None else f"{trial.value:.5g}",
                "best" if trial == done.best else "" if trial.status == "Completed" else trial.status,
            )
            for trial in ranked
        ],
        right=(*names, plan.objective),
    )
    package = done.registered.package
    if package is not None:
        ref = f"{plan.training.spec.name}:{package.version}"
        out().print(f"[bold green]{ref}[/bold green] is the best trial's model, waits for its gates")
        out().print(f"Next:  bedplate evaluate {ref}")


def _rank(trial: TuningTrial, *, maximize: bool) -> tuple[bool, float]:
    return trial.value is None, 0.0 if trial.value is None else -trial.value if maximize else trial.value


def _short(job: str) -> str:
    """The number of a trial, out of its job's name.

    >>> _short("bedplate-local-0a1b2c3d-1-003-89abcdef")
    '003'
    """
    return job.split("-")[-2] if job.count("-") > 1 else job


def _spoken(params: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in params.items())


def _json(plan: TunePlan, done: TuneResult | None) -> dict[str, Any]:
    told: dict[str, Any] = {
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
    if done:
        package = done.registered.package if done.registered else None
        told |= {
            "status": done.job.status,
            "results": done.job.trials,
            "best": done.best,
            "version": package.version if package else None,
        }
    return told
