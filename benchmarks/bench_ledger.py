"""How the evidence holds up as it grows: 10,000 ledger records and 1,000 model versions on an empty local platform.

Whole processes, seconds from Enter; `first` with nothing kept on this machine, then the median of the next ones.
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

from bedplate.domain.ledger import GENESIS, Entry, Record, encode, place, sha256
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
            at = connect(project, "local")
            start = time.perf_counter()
            fill(at)
            print(f"filled in {time.perf_counter() - start:.0f} s: {RECORDS:,} records, {VERSIONS:,} versions")
            measure(project, at)
        finally:
            run(project, "local", "stop")


def fill(at: Connection) -> None:
    """Versions by the registry's port; records by the ledger's own encoding, written side by side."""
    group = at.names(MODEL).package_group
    drafts = [
        PackageDraft(
            group=group,
            image_uri=at.outputs.image_uri,
            artifact_uri=f"s3://{at.outputs.artifacts_bucket}/{MODEL}/{number}/model.tar.gz",
            description=f"number {number}",
            environment={},
            metadata={"model": MODEL, "training_job": f"job-{number}", "metric.auc": "0.73", "verdict": "PASS"},
            tags={},
        )
        for number in range(1, VERSIONS + 1)
    ]
    for draft in drafts:
        at.registry.register(draft)
    bucket = at.outputs.ledger_bucket
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda r: at.objects.put_if_absent(f"s3://{bucket}/ledger/{r.seq:010d}.json", encode(r)), chain(at)
            )
        )


def chain(at: Connection) -> Iterator[Record]:
    prev, moment = GENESIS, datetime(2026, 1, 1, tzinfo=UTC)
    endpoint = at.names(MODEL).endpoint
    for seq in range(1, RECORDS + 1):
        version = seq % VERSIONS + 1
        live = {"live": f"{endpoint}-v{version}-0a1b2c3d", "alarms": [f"{endpoint}-errors"], "strategy": "canary"}
        kind = "deployed" if seq % 3 == 0 else "trained"
        entry = Entry(kind, MODEL, version, "ada@example.com", f"version {version}", live if kind == "deployed" else {})
        record = place(entry, seq=seq, at=moment + timedelta(minutes=10 * seq), prev=prev)
        prev = sha256(encode(record))
        yield record


def measure(project: Path, at: Connection) -> None:
    print(f"{'command':<44} {'first':>7} {'median':>7}   (s, {ROUNDS} more runs)")
    for command in COMMANDS:
        forget(project, at)
        first = run(project, *command)
        rounds = 1 if "--full" in command else ROUNDS
        after = statistics.median(run(project, *command) for _ in range(rounds))
        print(f"{'bedplate ' + ' '.join(command):<44} {first:>7.2f} {after:>7.2f}")


def forget(project: Path, at: Connection) -> None:
    """Remove what this machine keeps of the ledger."""
    kept = LedgerCache.of(project, at.outputs.ledger_bucket)
    kept.save([])
    kept.tail.save([])


def run(project: Path, *arguments: str) -> float:
    environment = {**os.environ, "BEDPLATE_PROJECT": str(project)}
    start = time.perf_counter()
    done = subprocess.run([BEDPLATE, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"bedplate {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
