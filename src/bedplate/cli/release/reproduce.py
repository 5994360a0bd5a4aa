"""`bedplate reproduce`: train a version again from its record, and say whether the same model comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, out, table, where
from bedplate.errors import GateFailed

if TYPE_CHECKING:
    from bedplate.domain.versions.reproduction import Predictions, Reproduction
    from bedplate.workflows.versions.reproduce import ReproductionPlan


@click.command()
@click.argument("version", metavar="MODEL:VERSION")
@click.option("--anyway", is_flag=True, help="Also when the code or the lock file is not what the record says.")
@options.stack
@options.as_json
def command(version: str, anyway: bool, stack: str, as_json: bool) -> None:
    """Train MODEL:VERSION again from its record, and compare the two models on the same held-out rows.

    Data, code archive, hyper-parameters, seed, image and instance are those of the record; hashes of data and code are
    checked first. Exit code 0: every metric and every prediction is the same. Exit code 3: they differ, or this
    project's lock file or the code is not what the record says (--anyway goes on). Nothing is registered.

    \b
    Examples:
      bedplate reproduce flight-delay:3
      bedplate reproduce flight-delay:3 --anyway --json
    """
    from bedplate.cli.views.progress_lines import say_progress, say_silently
    from bedplate.wiring import connect
    from bedplate.workflows.versions import reproduce as work

    name, number = options.model_and_version(version)
    at = connect(options.project_dir(), stack)
    if not as_json:
        where(at.label)
    plan = work.plan(at, name, number)
    found = work.reproduce(at, plan, say_silently if as_json else say_progress, anyway=anyway)
    if as_json:
        emit_json(_json(plan, found))
        if not found.identical:
            raise SystemExit(GateFailed.exit_code)
        return
    _show(plan, found)


def _show(plan: ReproductionPlan, found: Reproduction) -> None:
    rows = [
        (m.name, m.recorded or "-", repr(m.registered), repr(m.reproduced), "same" if m.same else "DIFFERS")
        for m in found.metrics
    ]
    table(plan.ref, ("Metric", "Recorded", "Registered model", "Trained again", ""), rows)
    told = [("scored now", found.predictions), ("as its evaluation kept them", found.evaluated)]
    lines = [(what, f"{p.rows:,}", f"{p.differing:,}", f"{p.max_difference:.3g}") for what, p in told if p is not None]
    columns = ("Predictions against the registered model's", "Rows", "Differ", "Largest difference")
    table(None, columns, lines, right=columns[1:])
    if found.identical:
        out().print(f"[bold green]Identical:[/bold green] {plan.ref} trained again gives the same model.")
        return
    apart = [s.what for s in plan.surroundings if not s.same]
    because = f" (its {' and '.join(apart)} had changed)" if apart else ""
    raise GateFailed(
        f"{plan.ref} trained again is another model: {found.predictions.differing:,} of {found.predictions.rows:,} "
        f"predictions differ{because}",
        next_step=f"bedplate models log {plan.job_name}",
    )


def _json(plan: ReproductionPlan, found: Reproduction) -> dict[str, Any]:
    return {
        "model": plan.model,
        "version": plan.package.version,
        "identical": found.identical,
        "training_job": plan.job_name,
        "metrics": [
            {
                "name": m.name,
                "recorded": m.recorded,
                "registered": _finite(m.registered),
                "reproduced": _finite(m.reproduced),
                "same": m.same,
            }
            for m in found.metrics
        ],
        "predictions": _predictions(found.predictions),
        "evaluated_predictions": _predictions(found.evaluated),
        "surroundings": [
            {"what": s.what, "recorded": s.recorded, "now": s.now, "same": s.same} for s in plan.surroundings
        ],
        "evaluation_uri": f"{plan.prefix_uri}evaluation.json",
    }


def _predictions(told: Predictions | None) -> dict[str, Any] | None:
    if told is None:
        return None
    return {"rows": told.rows, "differing": told.differing, "max_difference": _finite(told.max_difference)}


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
