"""The demo: trains, gates, deploys, monitors, breaks, retrains and rolls back a model, and shows what it costs.

All numbers are computed while it runs, on the local platform, from the real flights of 2013.
"""

from __future__ import annotations

import email
import email.policy
import importlib.util
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedplate.wiring import delete_engine_state, state_dir
from demo.stage import BackgroundCommand, Stage, StoryError, console
from demo.traffic import Application, BackgroundTraffic, Feed

ROOT = Path(__file__).parents[1]
MODEL = "flight-delay"


def main() -> int:
    stage = Stage()
    try:
        run_story(stage)
    except StoryError as exc:
        console.print(f"\n[bold red]The demo stopped:[/bold red] {exc}")
        console.print("Read the platform's log: [bold]bedplate local logs[/bold]")
        return 1
    return 0


def run_story(stage: Stage) -> None:
    report = prepare_state() / "report.html"

    stage.start_chapter("The platform", "One Pulumi program, applied to a local platform that implements AWS's APIs.")
    flights = ThreadPoolExecutor(2)
    first_half = flights.submit(write_data, "first-half", "2013-01", "2013-06")
    stage.run("up --yes")

    stage.start_chapter("A first version", "Flights of January to June 2013; the last fifth by time is the holdout.")
    stage.run(f"train {MODEL} --data {first_half.result()}")
    live = flights.submit(live_flights)
    stage.run(f"evaluate {MODEL}:1")
    stage.run(f"approve {MODEL}:1 --reason 'All gates passed on the holdout of May and June'")

    stage.start_chapter(
        "A guarded canary", "A tenth of the traffic at first, guarded by alarms; release 0 predicts the other requests."
    )
    application, (quarter, ahead) = Application(create_client(), endpoint_name(stage)), live.result()
    with BackgroundTraffic(application, quarter):
        stage.run(f"deploy {MODEL}:1 --yes")
    broken = flights.submit(write_data, "broken-feed", "2013-01", "2013-06", late_minutes=BROKEN_LATE_MINUTES)
    send_until(application, quarter, "2013-10")

    stage.start_chapter(
        "Drift, detected before customers notice",
        "Labels arrive late. Captured requests are compared with the baseline.",
    )
    labels = write_labels("2013-07", "2013-09")
    stage.run(f"baseline {MODEL}")
    stage.run(f"labels add {MODEL} {labels}")
    stage.run(f"monitor run {MODEL}", expect=3)
    fresh = flights.submit(write_data, "fresh", "2013-01", "2013-09")

    stage.start_chapter(
        "A broken data feed",
        f"An upstream change counts a flight as late from {BROKEN_LATE_MINUTES} minutes on instead of 15. "
        "The training script runs as before; the gates detect it.",
    )
    stage.run(f"train {MODEL} --data {broken.result()}")
    training = BackgroundCommand(f"train {MODEL} --data {fresh.result()}")
    stage.run(f"evaluate {MODEL}:2", expect=3)
    reason = "The board wants it live today"
    console.print(f"[dim]Somebody forces the approval anyway, and the ledger records who and why: {reason!r}.[/dim]")
    stage.run(f"approve {MODEL}:2 --force --reason '{reason}'")
    with BackgroundTraffic(application, ahead):
        stage.run(f"deploy {MODEL}:2 --yes", expect=5)

    stage.start_chapter("A better version", "The same pipeline and the same gates, on data to September.")
    training.wait()
    stage.run(f"evaluate {MODEL}:3")
    stage.run(f"approve {MODEL}:3 --reason 'Beats the champion on the same rows'")
    with BackgroundTraffic(application, ahead):
        stage.run(f"deploy {MODEL}:3 --yes")

    stage.start_chapter("Manual rollback", "One command; the release header of the response proves it.")
    seconds = stage.run_subprocess(f"rollback {MODEL} --yes --reason 'Rehearsal'")
    console.print(
        f"From the command to traffic on the old release, with the ledger written: [bold]{seconds:.2f} s[/bold]"
    )

    stage.start_chapter(
        "Costs and budgets", "Resources are priced as they run; SNS and e-mail report a crossed threshold."
    )
    wait_for_alert()
    stage.run(f"costs --model {MODEL}")
    stage.run("budgets")

    stage.start_chapter("The evidence", "Which release was live, when, and why.")
    stage.run("ledger verify")
    stage.run(f"who-was-live {MODEL}")
    stage.run(f"status {MODEL}")
    stage.run(f"report {MODEL} --out {report}")

    console.print()
    stage.print_times()
    counts = ", ".join(
        f"{release.removeprefix(application.endpoint + '-')}: {n:,}"
        for release, n in application.predictions_by_release.items()
    )
    console.print(f"Predictions by release: {counts}. Failed requests: {application.failed}.")
    console.print(
        f"\nThe platform still runs: [bold]bedplate status {MODEL}[/bold]. To stop it: [bold]bedplate local stop[/bold]"
    )
    console.print(f"The report, a single file: [bold]{report}[/bold]")


BROKEN_LATE_MINUTES = 0
ROWS_PER_REQUEST = 130
"""About as many flights as depart from New York in three hours."""


def prepare_state() -> Path:
    """Start with an empty state, and return the demo's folder.

    The state of an earlier demo is deleted. Any other state is kept, and the demo uses a separate one.
    """
    from bedplate.local.lifecycle import reset

    if _has_other_work():
        os.environ["BEDPLATE_STATE_DIR"] = str(ROOT / ".bedplate-demo")
        console.print(
            "The local platform of this project has resources that the demo did not create. They are kept, and the "
            "demo uses a separate state. To inspect it later: [bold]export BEDPLATE_STATE_DIR=.bedplate-demo[/bold]"
        )
    reset(ROOT)
    delete_engine_state(ROOT)
    work_dir().mkdir(parents=True, exist_ok=True)
    marker().write_text("created by `make demo`; the next run deletes this state\n")
    return work_dir()


def work_dir() -> Path:
    return state_dir(ROOT) / "demo"


def marker() -> Path:
    return work_dir() / "created-by-demo"


def _has_other_work() -> bool:
    return (state_dir(ROOT) / "local" / "state.db").exists() and not marker().exists()


def write_data(name: str, first: str, last: str, **broken: int) -> Path:
    path = work_dir() / f"{name}.parquet"
    flights = load_prepare_module()
    pq.write_table(flights.to_arrow(flights.prepare(first, last, **broken)), path)
    return path


def live_flights() -> tuple[Feed, Feed]:
    """Return the flights of July to September by departure, and those of the later months in random order."""
    from bedplate.settings import load_model

    data = load_model(ROOT, MODEL).data
    flights, columns = load_prepare_module().prepare("2013-07", "2013-12"), [*data.keys, *data.features]
    later = flights["scheduled_departure"] >= "2013-10-01"
    return Feed(flights[~later], columns), Feed(flights[later].sample(frac=1, random_state=1), columns)


def write_labels(first: str, last: str) -> Path:
    path = work_dir() / "labels.parquet"
    pq.write_table(pa.Table.from_pandas(load_prepare_module().prepare(first, last)[["flight_id", "delayed"]]), path)
    return path


def send_until(application: Application, feed: Feed, month: str) -> None:
    """Send every flight before `month` as fast as the endpoint responds, on four connections."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    start, total = time.perf_counter(), feed.remaining(month)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Sending flights", total=total)

        def keep_sending() -> None:
            while (batch := feed.take(ROWS_PER_REQUEST, before=month))[1]:
                application.send(*batch)
                progress.update(task, advance=batch[1], description=f"Sending flights, {feed.day}")

        with ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(keep_sending) for _ in range(4)]:
                future.result()
    seconds = time.perf_counter() - start
    rate = f"{seconds:.1f} s, {total / seconds:,.0f}/s"
    console.print(f"{total:,} flights of July to September, {ROWS_PER_REQUEST} per request: {rate}")


def wait_for_alert(*, timeout_s: float = 60.0) -> None:
    """Wait for the e-mail about actual spend (not the forecast) to finance, and print it."""
    from bedplate.local.lifecycle import status

    outbox = Path(status(ROOT).state_dir) / "outbox"
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        mails = [email.message_from_bytes(p.read_bytes(), policy=email.policy.default) for p in outbox.glob("*.eml")]
        alerts = [(mail, mail.get_content()) for mail in mails if f"{MODEL} has exceeded" in str(mail["Subject"])]
        actual = [(mail, text) for mail, text in alerts if "Alert Type: ACTUAL" in text]
        if actual:
            mail, text = max(actual, key=lambda item: str(item[0]["Date"]))
            console.print(f"Mail to [bold]{mail['To']}[/bold]: {mail['Subject']}")
            console.print("  " + next(line for line in text.splitlines() if line.startswith("You requested")))
            return
        time.sleep(0.5)
    raise StoryError(f"no alert about actual spend arrived within {timeout_s:.0f} s")


def create_client() -> Any:
    import boto3
    from botocore.config import Config

    from bedplate.local.lifecycle import ensure_running

    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=ensure_running(ROOT),
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(max_pool_connections=8, retries={"max_attempts": 2}),
    )


def endpoint_name(stage: Stage) -> str:
    outputs = stage.read_json("outputs")
    return f"{outputs['project']}-{outputs['stack']}-{MODEL}"


def load_prepare_module() -> ModuleType:
    """Import `prepare.py` from the model's folder, which is not a package."""
    if "flight_delay_prepare" not in sys.modules:
        spec = importlib.util.spec_from_file_location("flight_delay_prepare", ROOT / "models" / MODEL / "prepare.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules["flight_delay_prepare"] = module
    return sys.modules["flight_delay_prepare"]


if __name__ == "__main__":
    sys.exit(main())
