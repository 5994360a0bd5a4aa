"""Measures commands with 10,000 ledger records and 1,000 model versions on an empty local platform.

Seconds of whole processes: `first` without a cache on this machine, then the median of the next runs.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bedplate.domain.ledger import GENESIS, Entry, Record, build_record, encode, sha256
from bedplate.ports import PackageDraft
from bedplate.wiring import Connection, connect
from bedplate.workflows.record.ledger_cache import LedgerCache

RECORDS, VERSIONS, ROUNDS = 10_000, 1_000, 5
MODEL = "flight-delay"
ROOT = Path(__file__).parents[1]
BEDPLATE = str(Path(sys.executable).parent / "bedplate")
COMMANDS = (
    ("ledger", "verify"),
    ("ledger", "show"),
    ("who-was-live", MODEL, "--at", "2026-03-01"),
    ("status", MODEL),
    ("models", "list"),
    ("models", "show", f"{MODEL}:500"),
    ("models", "list", "--all", "--json"),
    ("ledger", "verify", "--full"),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        for name in ("infra", "stacks", "models"):
            shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(ROOT / "Pulumi.yaml", project / "Pulumi.yaml")
        try:
            run(project, "up", "--yes")
            stack = connect(project, "local")
            start = time.perf_counter()
            fill(stack)
            print(f"filled in {time.perf_counter() - start:.0f} s: {RECORDS:,} records, {VERSIONS:,} versions")
            measure(project, stack)
        finally:
            run(project, "local", "stop")


def fill(stack: Connection) -> None:
    """Create versions with the registry, and write encoded ledger records concurrently."""
    group = stack.names(MODEL).package_group
    drafts = [
        PackageDraft(
            group=group,
            image_uri=stack.outputs.image_uri,
            artifact_uri=f"s3://{stack.outputs.artifacts_bucket}/{MODEL}/{number}/model.tar.gz",
            description=f"number {number}",
            environment={},
            metadata={"model": MODEL, "training_job": f"job-{number}", "metric.auc": "0.73", "verdict": "PASS"},
            tags={},
        )
        for number in range(1, VERSIONS + 1)
    ]
    for draft in drafts:
        stack.registry.register(draft)
    bucket = stack.outputs.ledger_bucket
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda r: stack.objects.put_if_absent(f"s3://{bucket}/ledger/{r.seq:010d}.json", encode(r)),
                chain(stack),
            )
        )


def chain(stack: Connection) -> Iterator[Record]:
    prev, start = GENESIS, datetime(2026, 1, 1, tzinfo=UTC)
    endpoint = stack.names(MODEL).endpoint
    for seq in range(1, RECORDS + 1):
        version = seq % VERSIONS + 1
        live = {"live": f"{endpoint}-v{version}-0a1b2c3d", "alarms": [f"{endpoint}-errors"], "strategy": "canary"}
        kind = "deployed" if seq % 3 == 0 else "trained"
        entry = Entry(kind, MODEL, version, "ada@example.com", f"version {version}", live if kind == "deployed" else {})
        record = build_record(entry, seq=seq, at=start + timedelta(minutes=10 * seq), prev=prev)
        prev = sha256(encode(record))
        yield record


def measure(project: Path, stack: Connection) -> None:
    print(f"{'command':<44} {'first':>7} {'median':>7}   (s, {ROUNDS} more runs)")
    for command in COMMANDS:
        forget(project, stack)
        first = run(project, *command)
        rounds = 1 if "--full" in command else ROUNDS
        after = statistics.median(run(project, *command) for _ in range(rounds))
        print(f"{'bedplate ' + ' '.join(command):<44} {first:>7.2f} {after:>7.2f}")


def forget(project: Path, stack: Connection) -> None:
    """Empty this machine's cache of the ledger."""
    cache = LedgerCache.of(project, stack.outputs.ledger_bucket)
    cache.save([])
    cache.tail.save([])


def run(project: Path, *arguments: str) -> float:
    environment = {**os.environ, "BEDPLATE_PROJECT": str(project)}
    start = time.perf_counter()
    process = subprocess.run([BEDPLATE, *arguments], env=environment, capture_output=True, text=True, check=False)
    if process.returncode:
        sys.exit(f"bedplate {' '.join(arguments)} ended with {process.returncode}:\n{process.stderr}")
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
