"""How long the main commands take on an empty local platform: whole processes, seconds from Enter, medians."""

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
            show(measured(project))
        finally:
            run(project, "local", "stop")


def measured(project: Path) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {}

    def timed(label: str, *arguments: str) -> None:
        taken.setdefault(label, []).append(run(project, *arguments))

    timed("local start", "local", "start")
    for _ in range(ROUNDS):
        timed("preview, nothing there", "preview")
        timed("up, nothing there", "up", "--yes")
        timed("up, no change", "up", "--yes")
        timed("destroy", "destroy", "--yes")
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
    timed("train, 160,678 flights", "train", "flight-delay", "--data", data)
    timed("evaluate", "evaluate", "flight-delay:1")
    run(project, "approve", "flight-delay:1", "--reason", "benchmark")
    timed(
        "deploy, all at once, no bake", "deploy", "flight-delay:1", "--strategy", "all-at-once", "--bake", "0", "--yes"
    )
    run(project, "invoke", "flight-delay", "--data", data, "--rows", "2000")
    for _ in range(ROLLBACKS):
        run(project, "rollback", "flight-delay", "--to", "0", "--now", "--reason", "benchmark")
        timed("rollback, 1,000 rows re-scored", "rollback", "flight-delay", "--to", "1", "--reason", "benchmark")
        run(project, "rollback", "flight-delay", "--to", "0", "--now", "--reason", "benchmark")
        timed("rollback --now", "rollback", "flight-delay", "--to", "1", "--now", "--reason", "benchmark")
    for command in (
        ("status", "flight-delay"),
        ("who-was-live", "flight-delay"),
        ("ledger", "verify"),
        ("models", "list"),
    ):
        for _ in range(ROUNDS):
            timed(" ".join(command), *command)
    return taken


def run(project: Path, *arguments: str) -> float:
    environment = {**os.environ, "BEDPLATE_PROJECT": str(project)}
    start = time.perf_counter()
    done = subprocess.run([BEDPLATE, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bedplate {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return time.perf_counter() - start


def show(taken: dict[str, list[float]]) -> None:
    print(f"{'command':32} {'runs':>4} {'median s':>9} {'most':>7}")
    for label, values in taken.items():
        print(f"{label:32} {len(values):>4} {statistics.median(values):9.2f} {max(values):7.2f}")


if __name__ == "__main__":
    main()
