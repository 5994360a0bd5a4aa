"""`bedplate retrain`: retrain a model on its newest registered data."""

from __future__ import annotations

from typing import Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json
from bedplate.errors import GateFailed


@click.command()
@options.model
@click.option("--signal", type=click.Choice(["drift", "performance", "age"]), help="Retrain only on this signal.")
@click.option("--reason", metavar="TEXT", help="Retrain without a signal, for this reason; stored in the ledger.")
@options.wait
@options.stack
@options.as_json
def command(model: str, signal: Any, reason: str | None, wait: bool, stack: str, as_json: bool) -> None:
    """Retrain MODEL on its newest registered data, and evaluate the new version against its gates.

    Runs the same pipeline as `train` and `evaluate`; the new version then waits for approval. The ledger records the
    signal: drift or lower performance (from monitoring), age (retraining.max_age_days), or the given reason. A model
    has at most one open retraining: the same command resumes it, and `reconcile` starts and resumes it by itself.

    \b
    Examples:
      bedplate retrain flight-delay
      bedplate retrain flight-delay --reason "new timetable"

    \b
    Exit codes:
      0  the new version passed its gates
      3  it did not pass its gates
      6  no signal requests a retraining, or there is no newer data
      8  over budget
    """
    from bedplate.cli.views.progress_lines import progress_reporter
    from bedplate.workflows.versions import retrain as work

    connection = options.connect_target(stack, as_json=as_json)
    reporter = progress_reporter(quiet=as_json)
    retraining, result = work.retrain(connection, work.RetrainRequest(model, signal, reason), reporter, wait=wait)
    if as_json:
        emit_json(
            {
                "model": model,
                "started_seq": retraining.seq,
                "signal": retraining.signal,
                "reason": retraining.reason,
                "dataset_sha256": retraining.dataset,
                "training_job": retraining.job,
                "version": result.version if result else None,
                "verdict": result.verdict if result else None,
            }
        )
    elif result is None:
        console().print(
            f"Training job {retraining.job} is running. The same command or `bedplate reconcile` resumes it."
        )
    elif result.verdict == "PASS":
        reason = f"{retraining.signal}: {retraining.reason}"
        console().print(f"[bold green]{model}:{result.version}[/bold green] passed its gates ({reason})")
        console().print(f"Next:  bedplate approve {model}:{result.version}")
    if result is not None and result.verdict != "PASS":
        if as_json:
            raise SystemExit(GateFailed.exit_code)
        raise GateFailed(
            f"{model}:{result.version} did not pass its gates: {result.verdict}",
            next_step=f"bedplate evaluate {model}:{result.version}",
        )
