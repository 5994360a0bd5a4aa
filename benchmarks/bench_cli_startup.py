"""Measures the start of the command line: seconds above `python -c pass`, whole processes, medians of paired runs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 15
BEDPLATE = str(Path(sys.executable).parent / "bedplate")
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "bedplate --help": [BEDPLATE, "--help"],
    "bedplate models --help": [BEDPLATE, "models", "--help"],
    "bedplate deploy --help": [BEDPLATE, "deploy", "--help"],
    "bedplate up --help": [BEDPLATE, "up", "--help"],
}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    for command in COMMANDS.values():
        seconds(command)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    bare = times["python -c pass"]
    print(f"{'command':26} {'median s':>9} {'over bare python':>17}")
    for name, values in times.items():
        difference = statistics.median(v - b for v, b in zip(values, bare, strict=True))
        print(f"{name:26} {statistics.median(values):9.3f} {difference:17.3f}")


if __name__ == "__main__":
    main()
