"""Measures a drift analysis in seconds and relative to the time of reading the file.

The rows are flights of 2013 with their weather, drawn with replacement: 16 numeric and 3 text columns, Parquet with
row groups of 65,536. Every measurement is a separate process; medians of three.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PROJECT = Path(__file__).parents[1]
SIZES = (500_000, 2_500_000)
REPEATS = 3
READ = "import sys, pyarrow.parquet as pq\npq.read_table(sys.argv[1])"
REFERENCE = """
import sys, pyarrow.parquet as pq
from bedplate.domain.drift.profiling import build_reference
table = pq.read_table(sys.argv[1])
build_reference(table, table.column_names)
"""
STREAM = """
import json, sys
from pathlib import Path
from bedplate.domain.drift.column_drift import compare_profiles, with_verdicts
from bedplate.domain.drift.profile import profile_from_json
from bedplate.domain.drift.profiling import profile_files
saved = {name: profile_from_json(text) for name, text in json.loads(Path(sys.argv[2]).read_text()).items()}
current = profile_files([Path(sys.argv[1])], saved)
with_verdicts({name: compare_profiles(saved[name], profile) for name, profile in current.items()}, min_rows=300)
"""
TEXTBOOK = """
import sys
import numpy as np, pandas as pd
from scipy.stats import chi2_contingency, ks_2samp
before, now = pd.read_parquet(sys.argv[2]), pd.read_parquet(sys.argv[1])
for name in before.columns:
    a, b = before[name].dropna(), now[name].dropna()
    if a.dtype.kind in "if":
        cuts = np.unique(np.quantile(a, np.linspace(0, 1, 11)[1:-1]))
        np.bincount(np.searchsorted(cuts, a)), np.bincount(np.searchsorted(cuts, b))
        ks_2samp(a, b, method="asymp")
    else:
        chi2_contingency(pd.concat([a.value_counts(), b.value_counts()], axis=1).fillna(0))
"""
PEAK = """
import pathlib, resource
status = pathlib.Path("/proc/self/status")
if status.exists():
    print(int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "year.parquet"
        prepare = PROJECT / "models" / "flight-delay" / "prepare.py"
        subprocess.run([sys.executable, str(prepare), str(source)], check=True, stdout=subprocess.DEVNULL)
        year = pq.read_table(source).drop(["flight_id", "scheduled_departure", "delayed"])
        print(f"{'rows on each side':>17}  {'step':<44} {'s':>7} {'to reading':>10} {'peak MiB':>8}")
        for rows in SIZES:
            before, now = _draw(year, rows, Path(folder), 1), _draw(year, rows, Path(folder), 2)
            saved = Path(folder) / "reference.json"
            _save(before, saved)
            reading = None
            for step, code, files in (
                ("read one side (pyarrow, all threads)", READ, (now,)),
                ("build the reference of one side", REFERENCE, (before,)),
                ("current against a saved reference, verdicts", STREAM, (now, saved)),
                ("textbook: pandas and scipy, both sides", TEXTBOOK, (now, before)),
            ):
                seconds, peak = _seconds(code, *files), _peak_mib(code, *files)
                reading = reading or seconds
                print(f"{rows:>17,}  {step:<44} {seconds:>7.2f} {seconds / reading:>10.1f} {peak:>8.0f}", flush=True)


def _draw(year: pa.Table, rows: int, folder: Path, seed: int) -> Path:
    path = folder / f"{rows}-{seed}.parquet"
    pq.write_table(year.take(np.random.default_rng(seed).integers(0, year.num_rows, rows)), path, row_group_size=65_536)
    return path


def _save(before: Path, saved: Path) -> None:
    import json

    from bedplate.domain.drift.profiling import build_reference

    table = pq.read_table(before)
    profiles = build_reference(table, table.column_names)
    saved.write_text(json.dumps({name: profile.to_json() for name, profile in profiles.items()}))


def _seconds(code: str, *files: Path) -> float:
    """Return the median wall time of a whole process."""
    import time

    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, *map(str, files)], check=True)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _peak_mib(code: str, *files: Path) -> float:
    """Return the peak memory of a process, by Linux's counter, because getrusage's starts at the parent's peak."""
    command = [sys.executable, "-c", code + PEAK, *map(str, files)]
    process = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(process.stdout.split()[-1]) / 2**20


if __name__ == "__main__":
    main()
