"""The story: a model is trained, gated, released, watched, broken, saved, renewed, rolled back and paid for.

Every figure is computed then and there, on the local platform, from the real flights of 2013.
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

from bedplate.wiring import forget_local_stacks, state_dir
from demo.stage import Meanwhile, Stage, StoryError, console
from demo.traffic import Application, Feed, InBackground

ROOT = Path(__file__).parents[1]
MODEL = "flight-delay"


def main() -> int:
    stage = Stage()
    try:
        tell(stage)
    except StoryError as exc:
        console.print(f"\n[bold red]The story stopped:[/bold red] {exc}")
        console.print("See what the platform says: [bold]bedplate local logs[/bold]")
        return 1
    return 0


def tell(stage: Stage) -> None:
    report = make_room() / "report.html"

    stage.chapter(
        "The platform", "One Pulumi program, applied to a local platform that speaks AWS's own wire protocol."
    )
    flights = ThreadPoolExecutor(2)
    first_half = flights.submit(write_data, "first-half", "2013-01", "2013-06")
    stage.run("up --yes")

    stage.chapter("A first version", "January to June of 2013; the last fifth, in order of time, is held out.")
    stage.run(f"train {MODEL} --data {first_half.result()}")
    live = flights.submit(live_flights)
    stage.run(f"evaluate {MODEL}:1")
    stage.run(f"approve {MODEL}:1 --reason 'All gates passed on the holdout of May and June'")

    stage.chapter("A guarded canary", "A tenth of the traffic first, watched by alarms; release 0 answers the rest.")
    application, (quarter, ahead) = Application(client(), endpoint(stage)), live.result()
    with InBackground(application, quarter):
        stage.run(f"deploy {MODEL}:1 --yes")
    broken = flights.submit(write_data, "broken-feed", "2013-01", "2013-06", late_minutes=BROKEN_LATE_MINUTES)
    send_until(stage, application, quarter, "2013-10")

    stage.chapter(
        "Drift, found before customers find it", "Labels arrive late. What was answered is held against the baseline."
    )
    labels = write_labels("2013-07", "2013-09")
    stage.run(f"baseline {MODEL}")
    stage.run(f"labels add {MODEL} {labels}")
    stage.run(f"monitor run {MODEL}", expect=3)
    fresh = flights.submit(write_data, "fresh", "2013-01", "2013-09")

    stage.chapter(
        "A broken feed",
        f"Upstream, somebody counts a flight as late from {BROKEN_LATE_MINUTES} minutes on instead of 15. "
        "The script runs as ever; the gates see it.",
    )
    stage.run(f"train {MODEL} --data {broken.result()}")
    renewed = Meanwhile(f"train {MODEL} --data {fresh.result()}")
    stage.run(f"evaluate {MODEL}:2", expect=3)
    reason = "The board wants it live today"
    stage.say(f"[dim]Someone forces it through all the same, and the ledger keeps who and why: {reason!r}.[/dim]")
    stage.run(f"approve {MODEL}:2 --force --reason '{reason}'")
    with InBackground(application, ahead):
        stage.run(f"deploy {MODEL}:2 --yes", expect=5)

    stage.chapter("A better one", "The same pipeline and the same gates, on data to September.")
    renewed.wait()
    stage.run(f"evaluate {MODEL}:3")
    stage.run(f"approve {MODEL}:3 --reason 'Beats the champion on the same rows'")
    with InBackground(application, ahead):
        stage.run(f"deploy {MODEL}:3 --yes")

    stage.chapter("Back, by hand", "One command; the release header is the proof.")
    taken = stage.from_the_shell(f"rollback {MODEL} --yes --reason 'Rehearsal'")
    stage.say(f"From Enter to the old release answering, and the ledger written: [bold]{taken:.2f} s[/bold]")

    stage.chapter("The money", "What ran is priced as it runs; a threshold crossed is told by SNS and e-mail.")
    wait_for_alert(stage)
    stage.run(f"costs --model {MODEL}")
    stage.run("budgets")

    stage.chapter("The evidence", "Who was live, when, and why.")
    stage.run("ledger verify")
    stage.run(f"who-was-live {MODEL}")
    stage.run(f"status {MODEL}")
    stage.run(f"report {MODEL} --out {report}")

    console.print()
    stage.clock()
    answered = ", ".join(
        f"{release.removeprefix(application.endpoint + '-')}: {n:,}" for release, n in application.answered.items()
    )
    stage.say(f"Flights answered: {answered}. Requests that failed: {application.failed}.")
    stage.say(
        f"\nThe platform is still up: [bold]bedplate status {MODEL}[/bold]. To end it: [bold]bedplate local stop[/bold]"
    )
    stage.say(f"The report, readable offline: [bold]{report}[/bold]")


BROKEN_LATE_MINUTES = 0
ROWS_A_REQUEST = 130
"""About as many flights as leave New York in three hours."""


def make_room() -> Path:
    """Start from nothing, and return the story's folder.

    What an earlier demo left is removed. Somebody else's work is left alone: the story takes a state of its own beside.
    """
    from bedplate.local.lifecycle import reset

    if _holds_somebody_elses_work():
        os.environ["BEDPLATE_STATE_DIR"] = str(ROOT / ".bedplate-demo")
        console.print(
            "The local platform of this project holds work that the demo did not make: it is left alone, and the story "
            "is told beside it. To look at it afterwards: [bold]export BEDPLATE_STATE_DIR=.bedplate-demo[/bold]"
        )
    reset(ROOT)
    forget_local_stacks(ROOT)
    work().mkdir(parents=True, exist_ok=True)
    marker().write_text("made by `make demo`; the next one starts afresh\n")
    return work()


def work() -> Path:
    return state_dir(ROOT) / "demo"


def marker() -> Path:
    return work() / "made-by-the-demo"


def _holds_somebody_elses_work() -> bool:
    return (state_dir(ROOT) / "local" / "state.db").exists() and not marker().exists()


def write_data(name: str, first: str, last: str, **broken: int) -> Path:
    path = work() / f"{name}.parquet"
    flights = prepare()
    pq.write_table(flights.to_arrow(flights.prepare(first, last, **broken)), path)
    return path


def live_flights() -> tuple[Feed, Feed]:
    """July to September in the order of departure, and the months after, which passengers ask about in no order."""
    from bedplate.settings import load_model

    data = load_model(ROOT, MODEL).data
    flights, columns = prepare().prepare("2013-07", "2013-12"), [*data.keys, *data.features]
    later = flights["scheduled_departure"] >= "2013-10-01"
    return Feed(flights[~later], columns), Feed(flights[later].sample(frac=1, random_state=1), columns)


def write_labels(first: str, last: str) -> Path:
    path = work() / "labels.parquet"
    pq.write_table(pa.Table.from_pandas(prepare().prepare(first, last)[["flight_id", "delayed"]]), path)
    return path


def send_until(stage: Stage, application: Application, feed: Feed, month: str) -> None:
    """Send every flight before `month` as fast as it is answered, on four connections."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    start, left = time.perf_counter(), feed.left(month)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Real flights arrive", total=left)

        def keep_sending() -> None:
            while (taken := feed.take(ROWS_A_REQUEST, before=month))[1]:
                application.send(*taken)
                progress.update(task, advance=taken[1], description=f"Real flights arrive, {feed.day}")

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(keep_sending) for _ in range(4)]:
                done.result()
    took = time.perf_counter() - start
    stage.say(f"{left:,} flights of July to September, {ROWS_A_REQUEST} a request: {took:.1f} s, {left / took:,.0f}/s")


def wait_for_alert(stage: Stage, *, timeout_s: float = 60.0) -> None:
    """Finance's mailbox gets the word that money was really spent, not only forecast."""
    from bedplate.local.lifecycle import status

    outbox = Path(status(ROOT).state_dir) / "outbox"
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        mails = [email.message_from_bytes(p.read_bytes(), policy=email.policy.default) for p in outbox.glob("*.eml")]
        told = [(mail, mail.get_content()) for mail in mails if f"{MODEL} has exceeded" in str(mail["Subject"])]
        spent = [(mail, text) for mail, text in told if "Alert Type: ACTUAL" in text]
        if spent:
            mail, text = max(spent, key=lambda item: str(item[0]["Date"]))
            stage.say(f"Mail to [bold]{mail['To']}[/bold]: {mail['Subject']}")
            stage.say("  " + next(line for line in text.splitlines() if line.startswith("You requested")))
            return
        time.sleep(0.5)
    raise StoryError(f"no alert of spent money arrived within {timeout_s:.0f} s")


def client() -> Any:
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


def endpoint(stage: Stage) -> str:
    outputs = stage.ask("outputs")
    return f"{outputs['project']}-{outputs['stack']}-{MODEL}"


def prepare() -> ModuleType:
    """The model folder's own `prepare.py`; a folder of a model is no package."""
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
