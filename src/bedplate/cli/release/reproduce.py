"""`bedplate reproduce`: retrain a version from its record and compare the two models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json, print_table
from bedplate.errors import GateFailed

if TYPE_CHECKING:
    from bedplate.domain.versions.reproduction import PredictionComparison, ReproductionResult
    from bedplate.workflows.versions.reproduce import ReproductionPlan


@click.command()
@click.argument("version", metavar="MODEL:VERSION")
@click.option("--anyway", is_flag=True, help="Continue although the code or the lock file differs from the record.")
@options.stack
@options.as_json
def command(version: str, anyway: bool, stack: str, as_json: bool) -> None:
    """Retrain MODEL:VERSION from its record, and compare the two models on the same held-out rows.

    Data, code archive, hyperparameters, seed, image and instance type are those of the record; the hashes of data and
    code are verified first. Runs a training job and a scoring job; registers nothing.

    \b
    Examples:
      bedplate reproduce flight-delay:3
      bedplate reproduce flight-delay:3 --anyway --json

    \b
    Exit codes:
      0  every metric and every prediction is the same
      3  they differ, or the code or this project's lock file differs from the record
    """
    from bedplate.cli.views.progress_lines import progress_reporter
    from bedplate.workflows.versions import reproduce as work

    name, number = options.parse_model_version(version)
    connection = options.connect_target(stack, as_json=as_json)
    plan = work.plan_reproduction(connection, name, number)
    reproduction = work.reproduce(connection, plan, progress_reporter(quiet=as_json), allow_changes=anyway)
    if as_json:
        emit_json(_reproduction_to_dict(plan, reproduction))
        if not reproduction.is_identical:
            raise SystemExit(GateFailed.exit_code)
        return
    _print_reproduction(plan, reproduction)


def _print_reproduction(plan: ReproductionPlan, reproduction: ReproductionResult) -> None:
    rows: list[tuple[str, ...]] = [
        (m.name, m.recorded or "-", repr(m.registered), repr(m.reproduced), "same" if m.is_same else "DIFFERS")
        for m in reproduction.metrics
    ]
    print_table(plan.ref, ("Metric", "Recorded", "Registered model", "Retrained model", ""), rows)
    comparisons = {
        "scored now": reproduction.predictions,
        "stored with its evaluation": reproduction.evaluated_predictions,
    }
    columns = ("Compared with the registered model's predictions", "Rows", "Differ", "Largest difference")
    rows = [
        (label, f"{p.rows:,}", f"{p.differing:,}", f"{p.max_difference:.3g}") for label, p in comparisons.items() if p
    ]
    print_table(None, columns, rows, right_aligned=columns[1:])
    if reproduction.is_identical:
        console().print(f"[bold green]Identical:[/bold green] retraining {plan.ref} gives the same model.")
        return
    changed = [s.name for s in plan.dependencies if not s.is_same]
    reason = f" (the {' and the '.join(changed)} changed)" if changed else ""
    predictions = reproduction.predictions
    raise GateFailed(
        f"Retraining {plan.ref} gives another model: {predictions.differing:,} of {predictions.rows:,} predictions "
        f"differ{reason}",
        next_step=f"bedplate models log {plan.job_name}",
    )


def _reproduction_to_dict(plan: ReproductionPlan, reproduction: ReproductionResult) -> dict[str, Any]:
    return {
        "model": plan.model,
        "version": plan.package.version,
        "identical": reproduction.is_identical,
        "training_job": plan.job_name,
        "metrics": [
            {
                "name": m.name,
                "recorded": m.recorded,
                "registered": _finite_or_none(m.registered),
                "reproduced": _finite_or_none(m.reproduced),
                "same": m.is_same,
            }
            for m in reproduction.metrics
        ],
        "predictions": _predictions_to_dict(reproduction.predictions),
        "evaluated_predictions": _predictions_to_dict(reproduction.evaluated_predictions),
        "dependencies": [
            {"name": s.name, "recorded": s.recorded, "now": s.current, "same": s.is_same} for s in plan.dependencies
        ],
        "evaluation_uri": f"{plan.prefix_uri}evaluation.json",
    }


def _predictions_to_dict(predictions: PredictionComparison | None) -> dict[str, Any] | None:
    if predictions is None:
        return None
    return {
        "rows": predictions.rows,
        "differing": predictions.differing,
        "max_difference": _finite_or_none(predictions.max_difference),
    }


def _finite_or_none(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
