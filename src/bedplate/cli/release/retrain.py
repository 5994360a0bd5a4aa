"""`bedplate retrain`: train a model again because something asks for it."""

from __future__ import annotations

from typing import Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, out, where
from bedplate.errors import GateFailed


@click.command()
@options.model
@click.option(
    "--signal", type=click.Choice(["drift", "performance", "age"]), help="Only when this asks for it (default: any)."
)
@click.option("--reason", help="A person asks: also when nothing else does. It is kept.")
@options.wait
@options.stack
@options.as_json
def command(model: str, signal: Any, reason: str | None, wait: bool, stack: str, as_json: bool) -> None:
    """Train MODEL again on its newest registered data, and put the result through its gates.

    The same pipeline as `train` and `evaluate`; what comes out waits for a person like every version. The ledger says
    what asked for it: drift or worse answers (the monitoring's record), age (retraining.max_age_days), or a reason.
    There is at most one open retraining of a model: the same command takes it up. `reconcile` begins it by itself.

    \b
    Examples:
      bedplate retrain flight-delay
      bedplate retrain flight-delay --reason "new timetable"

    Exit codes: 0 the gates passed; 3 they did not; 6 nothing asks for it, or there is no newer data; 8 over budget.
    """
    from bedplate.cli.views.progress_lines import say_progress, say_silently
    from bedplate.wiring import connect
    from bedplate.workflows.versions import retrain as work

    at = connect(options.project_dir(), stack)
    if not as_json:
        where(at.label)
    say = say_silently if as_json else say_progress
    held, done = work.retrain(at, work.RetrainRequest(model, signal, reason), say, wait=wait)
    if as_json:
        emit_json(
            {
                "model": model,
                "begun": held.seq,
                "signal": held.signal,
                "why": held.why,
                "dataset_sha256": held.dataset,
                "training_job": held.job,
                "version": done.version if done else None,
                "verdict": done.verdict if done else None,
            }
        )
    elif done is None:
        out().print(f"Training job {held.job} runs. The same command, or `bedplate reconcile`, goes on with it.")
    elif done.verdict == "PASS":
        out().print(f"[bold green]{model}:{done.version}[/bold green] passed its gates ({held.signal}: {held.why})")
        out().print(f"Next:  bedplate approve {model}:{done.version}")
    if done is not None and done.verdict != "PASS":
        if as_json:
            raise SystemExit(GateFailed.exit_code)
        raise GateFailed(
            f"{model}:{done.version} did not pass its gates: {done.verdict}",
            next_step=f"bedplate evaluate {model}:{done.version}",
        )
