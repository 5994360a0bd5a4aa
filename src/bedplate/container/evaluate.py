"""Scores candidate and champion on the same holdout and writes what the gates look at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedplate.container import paths

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from bedplate.settings import ModelSpec

ARTIFACT = "model.tar.gz"
MAX_REASON = 1024


class CannotEvaluate(Exception):
    """What is missing or broken, and of which model."""


def main() -> int:
    root = paths.root()
    try:
        evaluate(root / "processing")
    except CannotEvaluate as exc:
        print(f"evaluation failed: {exc}", file=sys.stderr, flush=True)
        message = root / "output" / "message"
        message.parent.mkdir(parents=True, exist_ok=True)
        message.write_text(str(exc)[:MAX_REASON], encoding="utf-8")
        return 1
    return 0


def evaluate(folder: Path) -> None:
    """From `folder/input/{candidate,champion,holdout}` to `folder/output/{evaluation.json,predictions.parquet}`.

    Without a champion's model, BEDPLATE_FALLBACK is the constant that it answers. A champion that cannot score these
    rows (its features are others) counts as none, and a line on stderr says so; a candidate that cannot is an error.
    Raises CannotEvaluate.
    """
    holdout = folder / "input" / "holdout" / "holdout.parquet"
    if not holdout.is_file():
        raise CannotEvaluate("input holdout holds no holdout.parquet")
    running = {name: _start(folder, name, holdout) for name in ("candidate", "champion") if _archive(folder, name)}
    try:
        _judge(folder, holdout, running)
    finally:
        for child in running.values():
            child.kill()


def _judge(folder: Path, holdout: Path, running: Mapping[str, subprocess.Popen[str]]) -> None:
    import pyarrow.parquet as pq

    import bedplate.domain.evaluation as evaluation

    if "candidate" not in running:
        raise CannotEvaluate(f"input candidate holds no {ARTIFACT}")
    spec = _spec(folder / "work" / "candidate")
    table = pq.read_table(holdout)
    labels = _labels(table, spec)
    groups = {name: table.column(name).cast("string").to_pylist() for name in evaluation.grouping_columns(spec)}
    candidate, seconds = _answers(folder, "candidate", running["candidate"])
    champion = _champion(folder, running.get("champion"), len(labels))
    found = evaluation.evaluate(
        spec,
        labels,
        candidate,
        champion,
        {name: ["" if value is None else value for value in values] for name, values in groups.items()},
        artifact_mb=(folder / "input" / "candidate" / ARTIFACT).stat().st_size / 1e6,
        seconds=seconds,
        seed=spec.training.seed,
    )
    output = folder / "output"
    output.mkdir(parents=True, exist_ok=True)
    (output / "evaluation.json").write_text(json.dumps(found.to_json(), indent=1), encoding="utf-8")
    pq.write_table(_predictions(table, spec, labels, candidate, champion), output / "predictions.parquet")
    for name, figure in found.candidate.items():
        print(f"metric: {name}={figure.value:.5f}", flush=True)


def _archive(folder: Path, name: str) -> bool:
    return (folder / "input" / name / ARTIFACT).is_file()


def _start(folder: Path, name: str, holdout: Path) -> subprocess.Popen[str]:
    model = folder / "work" / name
    model.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(folder / "input" / name / ARTIFACT) as tar:
            tar.extractall(model, filter="data")
    except (tarfile.TarError, OSError, EOFError) as exc:
        raise CannotEvaluate(f"{ARTIFACT} of the {name} cannot be unpacked: {exc}") from exc
    command = [sys.executable, "-m", "bedplate.container.scoring", str(model), str(holdout), str(model) + ".npy"]
    return subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _spec(model: Path) -> ModelSpec:
    from bedplate.settings import ModelSpec

    path = model / "contract.json"
    try:
        return ModelSpec.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise CannotEvaluate(f"the candidate's contract.json cannot be read: {exc}") from exc


def _labels(table: pa.Table, spec: ModelSpec) -> np.ndarray[Any, Any]:
    import numpy as np

    if spec.data.label not in table.column_names:
        raise CannotEvaluate(f"holdout.parquet has no label column {spec.data.label!r}")
    return np.asarray(table.column(spec.data.label).cast("float64").to_numpy())


def _answers(folder: Path, name: str, running: subprocess.Popen[str]) -> tuple[np.ndarray[Any, Any], float]:
    import numpy as np

    said, complaint = running.communicate()
    if running.returncode != 0:
        raise CannotEvaluate(f"the {name} cannot score the holdout: {complaint.strip().splitlines()[-1][:600]}")
    return np.load(folder / "work" / f"{name}.npy"), float(json.loads(said.splitlines()[-1])["seconds"])


def _champion(folder: Path, running: subprocess.Popen[str] | None, rows: int) -> np.ndarray[Any, Any] | None:
    """The champion's answers: its model's, or the fallback's constant where BEDPLATE_FALLBACK says that it is live."""
    import numpy as np

    fallback = os.environ.get("BEDPLATE_FALLBACK")
    if running is None:
        return np.full(rows, float(fallback)) if fallback else None
    try:
        return _answers(folder, "champion", running)[0]
    except CannotEvaluate as exc:
        print(f"no comparison: {exc}", file=sys.stderr, flush=True)
        return None


def _predictions(
    table: pa.Table,
    spec: ModelSpec,
    labels: np.ndarray[Any, Any],
    candidate: np.ndarray[Any, Any],
    champion: np.ndarray[Any, Any] | None,
) -> pa.Table:
    import pyarrow as pa

    kept = [c for c in (*spec.data.keys, spec.data.time, *spec.data.segments) if c in table.column_names]
    columns: dict[str, Any] = {str(name): table.column(name) for name in kept}
    columns |= {"label": pa.array(labels), "prediction": pa.array(candidate)}
    if champion is not None:
        columns["champion_prediction"] = pa.array(champion)
    return pa.table(columns)
