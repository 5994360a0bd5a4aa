"""Scores candidate and champion on the same holdout, tries out what the gates ask for, and writes what they look at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedplate.container import paths

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from bedplate.container.serving_probe import Server
    from bedplate.domain.evidence.evaluation import Trials
    from bedplate.domain.evidence.explanation import Explanation
    from bedplate.settings import ModelSpec

ARTIFACT = "model.tar.gz"
MAX_REASON = 1024
_PATIENT = {"OMP_WAIT_POLICY": "passive"}
"""Several processes are at work here: threads that wait for each other by spinning would cost three times the time."""


class EvaluationError(Exception):
    """What is missing or broken, and of which model."""


def main() -> int:
    root = paths.root()
    try:
        evaluate(root / "processing")
    except EvaluationError as exc:
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

    `input/spec/spec.json` is the contract to judge by; where it is, what its gates ask for is tried out too, with
    `input/training/train.parquet` for leakage. Without it, the candidate's own contract says what to score, and
    nothing is tried out. Raises CannotEvaluate.
    """
    holdout = folder / "input" / "holdout" / "holdout.parquet"
    if not holdout.is_file():
        raise EvaluationError("input holdout holds no holdout.parquet")
    if not _archive(folder, "candidate"):
        raise EvaluationError(f"input candidate holds no {ARTIFACT}")
    names = [name for name in ("candidate", "champion") if _archive(folder, name)]
    for name in names:
        _unpack(folder, name)
    today = folder / "input" / "spec" / "spec.json"
    spec = _spec(today if today.is_file() else folder / "work" / "candidate" / "contract.json")
    gates = spec.gates if today.is_file() else None
    asked = _explanation_asked(spec) if gates and gates.explanation else None
    running = {name: _start(folder, name, holdout, asked) for name in names}
    server = _serve(folder) if gates and (gates.inference or gates.latency) else None
    try:
        _judge(folder, holdout, spec, running, server, tried=gates is not None)
    finally:
        for child in running.values():
            child.kill()
            child.__exit__(None, None, None)
        if server:
            server.__exit__(None, None, None)


def _judge(
    folder: Path,
    holdout: Path,
    spec: ModelSpec,
    running: Mapping[str, subprocess.Popen[str]],
    server: Server | None,
    *,
    tried: bool,
) -> None:
    import pyarrow.parquet as pq

    import bedplate.domain.evidence.evaluation as evaluation

    table = _read(holdout)
    labels = _labels(table, spec)
    groups = {name: _texts(table, name) for name in evaluation.grouping_columns(spec)}
    leaks = _leakage(folder, spec, table, labels) if tried and spec.gates.leakage else None
    candidate, seconds = _answers(folder, "candidate", running["candidate"])
    champion = _champion(folder, running.get("champion"), len(labels))
    trials = None
    if tried:
        explained = _explained(folder, spec, champion=champion is not None and "champion" in running)
        trials = evaluation.Trials(explanation=explained, leakage=leaks)
        if server:
            trials = _probed(trials, server, spec, table)
    found = evaluation.evaluate(
        spec,
        labels,
        candidate,
        champion,
        groups,
        artifact_mb=(folder / "input" / "candidate" / ARTIFACT).stat().st_size / 1e6,
        seconds=seconds,
        seed=spec.training.seed,
        trials=trials,
    )
    output = folder / "output"
    output.mkdir(parents=True, exist_ok=True)
    (output / "evaluation.json").write_text(json.dumps(found.to_json(), indent=1), encoding="utf-8")
    pq.write_table(_predictions(table, spec, labels, candidate, champion), output / "predictions.parquet")
    for name, figure in found.candidate.items():
        print(f"metric: {name}={figure.value:.5f}", flush=True)


# --- the two models -------------------------------------------------------------------------------------------------


def _archive(folder: Path, name: str) -> bool:
    return (folder / "input" / name / ARTIFACT).is_file()


def _unpack(folder: Path, name: str) -> None:
    model = folder / "work" / name
    model.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(folder / "input" / name / ARTIFACT) as tar:
            tar.extractall(model, filter="data")
    except (tarfile.TarError, OSError, EOFError) as exc:
        raise EvaluationError(f"{ARTIFACT} of the {name} cannot be unpacked: {exc}") from exc


def _start(folder: Path, name: str, holdout: Path, asked: Mapping[str, Any] | None) -> subprocess.Popen[str]:
    model = folder / "work" / name
    command = [sys.executable, "-m", "bedplate.container.scoring", str(model), str(holdout), str(model) + ".npy"]
    command += [json.dumps(asked)] if asked else []
    return subprocess.Popen(
        command, env={**_PATIENT, **os.environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _spec(path: Path) -> ModelSpec:
    from bedplate.settings import ModelSpec

    try:
        return ModelSpec.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        whose = "the candidate's contract.json" if path.name == "contract.json" else "input spec"
        raise EvaluationError(f"{whose} cannot be read: {exc}") from exc


def _read(path: Path) -> pa.Table:
    """One file, without pyarrow's data sets and what they import."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read()


def _labels(table: pa.Table, spec: ModelSpec) -> np.ndarray[Any, Any]:
    import numpy as np

    if spec.data.label not in table.column_names:
        raise EvaluationError(f"holdout.parquet has no label column {spec.data.label!r}")
    return np.asarray(table.column(spec.data.label).cast("float64").to_numpy())


def _texts(table: pa.Table, name: str) -> list[str]:
    if name not in table.column_names:
        raise EvaluationError(f"holdout.parquet has no column {name!r}, which a gate of model.yaml names")
    found: list[str] = table.column(name).cast("string").fill_null("").to_pylist()
    return found


def _answers(folder: Path, name: str, running: subprocess.Popen[str]) -> tuple[np.ndarray[Any, Any], float]:
    import numpy as np

    said, complaint = running.communicate()
    if running.returncode != 0:
        raise EvaluationError(f"the {name} cannot score the holdout: {complaint.strip().splitlines()[-1][:600]}")
    if complaint.strip():
        print(complaint.strip(), file=sys.stderr, flush=True)
    return np.load(folder / "work" / f"{name}.npy"), float(json.loads(said.splitlines()[-1])["seconds"])


def _champion(folder: Path, running: subprocess.Popen[str] | None, rows: int) -> np.ndarray[Any, Any] | None:
    """The champion's answers: its model's, or the fallback's constant where BEDPLATE_FALLBACK says that it is live."""
    import numpy as np

    fallback = os.environ.get("BEDPLATE_FALLBACK")
    if running is None:
        return np.full(rows, float(fallback)) if fallback else None
    try:
        return _answers(folder, "champion", running)[0]
    except EvaluationError as exc:
        print(f"no comparison: {exc}", file=sys.stderr, flush=True)
        return None


# --- what is tried out beside scoring -------------------------------------------------------------------------------


def _explanation_asked(spec: ModelSpec) -> dict[str, Any]:
    gate = spec.gates.explanation
    assert gate is not None
    return {
        "rows": gate.rows,
        "background": gate.background,
        "draws": gate.draws,
        "seed": spec.training.seed,
        "max_seconds": gate.max_seconds,
    }


def _serve(folder: Path) -> Server:
    from bedplate.container.serving_probe import Server

    root = folder / "work" / "serving"
    root.mkdir(parents=True)
    (root / "model").symlink_to(folder / "work" / "candidate", target_is_directory=True)
    return Server(root, os.environ)


def _leakage(folder: Path, spec: ModelSpec, table: pa.Table, labels: np.ndarray[Any, Any]) -> Any:
    from bedplate.domain.evidence.leakage import leakage

    path = folder / "input" / "training" / "train.parquet"
    return leakage(spec, _read(path) if path.is_file() else None, table, labels)


def _explained(folder: Path, spec: ModelSpec, *, champion: bool) -> Explanation | None:
    """None when the gate asks for nothing, or when the candidate could not be explained."""
    from bedplate.domain.evidence.explanation import stability

    own = _values(folder, "candidate")
    if spec.gates.explanation is None or own is None:
        return None
    theirs = _values(folder, "champion") if champion else None
    values, features, seconds = own
    note = "" if theirs else "there is no champion whose answers could be explained"
    return stability(
        values,
        features,
        theirs[0] if theirs else None,
        theirs[1] if theirs else (),
        seconds=seconds,
        note=note,
        seed=spec.training.seed,
    )


def _values(folder: Path, name: str) -> tuple[np.ndarray[Any, Any], list[str], float] | None:
    import numpy as np

    path = folder / "work" / f"{name}.npz"
    if not path.is_file():
        return None
    with np.load(path) as found:
        return found["values"], [str(feature) for feature in found["features"]], float(found["seconds"])


def _probed(trials: Trials, server: Server, spec: ModelSpec, table: pa.Table) -> Trials:
    """Latency first, on a server that nobody asked anything odd. One that does not serve leaves both without data."""
    from dataclasses import replace

    from bedplate.container.serving_probe import ServingProbeError, contract_kept, latency

    gates = spec.gates
    try:
        server.wait()
        if gates.latency:
            trials = replace(trials, latency=latency(server, spec.data, table, gates.latency, time.perf_counter))
        if gates.inference:
            probability = spec.task == "binary"
            kept = contract_kept(server, spec.data, table, gates.inference, probability=probability)
            trials = replace(trials, inference=kept)
    except ServingProbeError as exc:
        print(f"not asked: {exc}", file=sys.stderr, flush=True)
    return trials


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
