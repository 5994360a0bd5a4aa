"""Measures the main commands on an empty local platform: seconds of whole processes, medians."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 3
ROLLBACKS = 4
ROOT = Path(__file__).parents[1]
BEDPLATE = str(Path(sys.executable).parent / "bedplate")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        for name in ("infra", "stacks", "models"):
            shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(ROOT / "Pulumi.yaml", project / "Pulumi.yaml")
        try:
            show(measure(project))
        finally:
            run(project, "local", "stop")


def measure(project: Path) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {}

    def run_timed(label: str, *arguments: str) -> None:
        times.setdefault(label, []).append(run(project, *arguments))

    run_timed("local start", "local", "start")
    for _ in range(ROUNDS):
        run_timed("preview, empty platform", "preview")
        run_timed("up, empty platform", "up", "--yes")
        run_timed("up, no change", "up", "--yes")
        run_timed("destroy", "destroy", "--yes")
    run(project, "up", "--yes")
    data = str(project / "flights.parquet")
    prepare = [
        sys.executable,
        str(project / "models/flight-delay/prepare.py"),
        data,
        "--from",
        "2013-01",
        "--to",
        "2013-06",
    ]
    subprocess.run(prepare, check=True, stdout=subprocess.DEVNULL)
    run_timed("train, 160,678 flights", "train", "flight-delay", "--data", data)
    run_timed("evaluate", "evaluate", "flight-delay:1")
    run(project, "approve", "flight-delay:1", "--reason", "benchmark")
    run_timed(
        "deploy, all at once, no bake", "deploy", "flight-delay:1", "--strategy", "all-at-once", "--bake", "0", "--yes"
    )
    run(project, "invoke", "flight-delay", "--data", data, "--rows", "2000")
    for _ in range(ROLLBACKS):
        run(project, "rollback", "flight-delay", "--to", "0", "--now", "--reason", "benchmark")
        run_timed("rollback, 1,000 rows re-scored", "rollback", "flight-delay", "--to", "1", "--reason", "benchmark")
        run(project, "rollback", "flight-delay", "--to", "0", "--now", "--reason", "benchmark")
        run_timed("rollback --now", "rollback", "flight-delay", "--to", "1", "--now", "--reason", "benchmark")
    for command in (
        ("status", "flight-delay"),
        ("who-was-live", "flight-delay"),
        ("ledger", "verify"),
        ("models", "list"),
    ):
        for _ in range(ROUNDS):
            run_timed(" ".join(command), *command)
    return times


def run(project: Path, *arguments: str) -> float:
    environment = {**os.environ, "BEDPLATE_PROJECT": str(project)}
    start = time.perf_counter()
    process = subprocess.run([BEDPLATE, *arguments], env=environment, capture_output=True, text=True, check=False)
    if process.returncode:
        raise SystemExit(f"bedplate {' '.join(arguments)} ended with {process.returncode}:\n{process.stderr}")
    return time.perf_counter() - start


def show(times: dict[str, list[float]]) -> None:
    print(f"{'command':32} {'runs':>4} {'median s':>9} {'max':>7}")
    for label, values in times.items():
        print(f"{label:32} {len(values):>4} {statistics.median(values):9.2f} {max(values):7.2f}")


if __name__ == "__main__":
    main()
