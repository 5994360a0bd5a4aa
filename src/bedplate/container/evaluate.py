"""Evaluates candidate and champion on the same holdout rows and runs the analyses that the gates need."""

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
from bedplate.container.explanation import explanation_settings

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from bedplate.container.serving_probe import Server
    from bedplate.domain.evidence.evaluation import Analyses
    from bedplate.domain.evidence.explanation import Explanation
    from bedplate.settings import ModelSpec

ARTIFACT = "model.tar.gz"
REASON_CHARS = 1024
_PASSIVE_WAIT = {"OMP_WAIT_POLICY": "passive"}
"""Several processes run at once: OpenMP threads that spin while they wait would triple the run time."""


class EvaluationError(Exception):
    """The evaluation cannot run; the message names the input or the model at fault."""


def main() -> int:
    root = paths.root()
    try:
        evaluate(root / "processing")
    except EvaluationError as exc:
        print(f"evaluation failed: {exc}", file=sys.stderr, flush=True)
        message = root / "output" / "message"
        message.parent.mkdir(parents=True, exist_ok=True)
        message.write_text(str(exc)[:REASON_CHARS], encoding="utf-8")
        return 1
    return 0


def evaluate(folder: Path) -> None:
    """Reads `folder/input/{candidate,champion,holdout}`; writes `folder/output/{evaluation.json,predictions.parquet}`.

    Without a champion's model, the champion predicts the constant BEDPLATE_FALLBACK, if it is set. A champion that
    cannot score these rows, because its features differ, counts as none and stderr has the reason; a candidate that
    cannot score them is an error.

    With `input/spec/spec.json` the evaluation uses that contract and runs the analyses that its gates need; the leakage
    analysis reads `input/training/train.parquet`. Without it, the evaluation uses the candidate's own contract and runs
    no analyses. Raises EvaluationError.
    """
    holdout = folder / "input" / "holdout" / "holdout.parquet"
    if not holdout.is_file():
        raise EvaluationError("input holdout has no holdout.parquet")
    if not _has_artifact(folder, "candidate"):
        raise EvaluationError(f"input candidate has no {ARTIFACT}")
    names = [name for name in ("candidate", "champion") if _has_artifact(folder, name)]
    for name in names:
        _unpack(folder, name)
    spec_path = folder / "input" / "spec" / "spec.json"
    spec = _read_spec(spec_path if spec_path.is_file() else folder / "work" / "candidate" / "contract.json")
    gates = spec.gates if spec_path.is_file() else None
    explanation = explanation_settings(spec) if gates and gates.explanation else None
    processes = {name: _start_scoring(folder, name, holdout, explanation) for name in names}
    server = _start_server(folder) if gates and (gates.inference or gates.latency) else None
    try:
        _write_evaluation(folder, holdout, spec, processes, server, has_gates=gates is not None)
    finally:
        for process in processes.values():
            process.kill()
            process.__exit__(None, None, None)
        if server:
            server.__exit__(None, None, None)


def _write_evaluation(
    folder: Path,
    holdout: Path,
    spec: ModelSpec,
    processes: Mapping[str, subprocess.Popen[str]],
    server: Server | None,
    *,
    has_gates: bool,
) -> None:
    import pyarrow.parquet as pq

    import bedplate.domain.evidence.evaluation as evaluation

    table = _read_table(holdout)
    labels = _read_labels(table, spec)
    groups = {name: _read_groups(table, name) for name in evaluation.grouping_columns(spec)}
    leakage = _measure_leakage(folder, spec, table, labels) if has_gates and spec.gates.leakage else None
    candidate, candidate_s = _await_predictions(folder, "candidate", processes["candidate"])
    champion = _champion_predictions(folder, processes.get("champion"), len(labels))
    analyses = None
    if has_gates:
        explanation = _compare_explanations(folder, spec, champion=champion is not None and "champion" in processes)
        analyses = evaluation.Analyses(explanation=explanation, leakage=leakage)
        if server:
            analyses = _probe_serving(analyses, server, spec, table)
    result = evaluation.evaluate_models(
        spec,
        labels,
        candidate,
        champion,
        groups,
        artifact_mb=(folder / "input" / "candidate" / ARTIFACT).stat().st_size / 1e6,
        seconds=candidate_s,
        seed=spec.training.seed,
        analyses=analyses,
    )
    output = folder / "output"
    output.mkdir(parents=True, exist_ok=True)
    (output / "evaluation.json").write_text(json.dumps(result.to_json(), indent=1), encoding="utf-8")
    pq.write_table(_predictions_table(table, spec, labels, candidate, champion), output / "predictions.parquet")
    for name, metric in result.candidate.items():
        print(f"metric: {name}={metric.value:.5f}", flush=True)


# --- the two models -------------------------------------------------------------------------------------------------


def _has_artifact(folder: Path, name: str) -> bool:
    return (folder / "input" / name / ARTIFACT).is_file()


def _unpack(folder: Path, name: str) -> None:
    model = folder / "work" / name
    model.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(folder / "input" / name / ARTIFACT) as tar:
            tar.extractall(model, filter="data")
    except (tarfile.TarError, OSError, EOFError) as exc:
        raise EvaluationError(f"{ARTIFACT} of the {name} cannot be unpacked: {exc}") from exc


def _start_scoring(folder: Path, name: str, holdout: Path, settings: dict[str, Any] | None) -> subprocess.Popen[str]:
    model = folder / "work" / name
    command = [sys.executable, "-m", "bedplate.container.scoring", str(model), str(holdout), str(model) + ".npy"]
    command += [json.dumps(settings)] if settings else []
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env={**_PASSIVE_WAIT, **os.environ}, stdout=pipe, stderr=pipe, text=True)


def _read_spec(path: Path) -> ModelSpec:
    from bedplate.settings import ModelSpec

    try:
        return ModelSpec.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        source = "the candidate's contract.json" if path.name == "contract.json" else "input spec"
        raise EvaluationError(f"{source} cannot be read: {exc}") from exc


def _read_table(path: Path) -> pa.Table:
    """Reads one file without importing pyarrow.dataset, which is slow."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read()


def _read_labels(table: pa.Table, spec: ModelSpec) -> np.ndarray[Any, Any]:
    import numpy as np

    if spec.data.label not in table.column_names:
        raise EvaluationError(f"holdout.parquet has no label column {spec.data.label!r}")
    return np.asarray(table.column(spec.data.label).cast("float64").to_numpy())


def _read_groups(table: pa.Table, name: str) -> list[str]:
    if name not in table.column_names:
        raise EvaluationError(f"holdout.parquet has no column {name!r}, which a gate of model.yaml names")
    groups: list[str] = table.column(name).cast("string").fill_null("").to_pylist()
    return groups


def _await_predictions(folder: Path, name: str, process: subprocess.Popen[str]) -> tuple[np.ndarray[Any, Any], float]:
    """Returns the predictions, shape (rows,), and the scoring time in seconds."""
    import numpy as np

    stdout, stderr = process.communicate()
    if process.returncode != 0:
        raise EvaluationError(f"the {name} cannot score the holdout: {stderr.strip().splitlines()[-1][:600]}")
    if stderr.strip():
        print(stderr.strip(), file=sys.stderr, flush=True)
    return np.load(folder / "work" / f"{name}.npy"), float(json.loads(stdout.splitlines()[-1])["seconds"])


def _champion_predictions(
    folder: Path, process: subprocess.Popen[str] | None, rows: int
) -> np.ndarray[Any, Any] | None:
    """Returns the predictions of the champion's model, or the constant BEDPLATE_FALLBACK where release 0 is live."""
    import numpy as np

    fallback = os.environ.get("BEDPLATE_FALLBACK")
    if process is None:
        return np.full(rows, float(fallback)) if fallback else None
    try:
        return _await_predictions(folder, "champion", process)[0]
    except EvaluationError as exc:
        print(f"no comparison: {exc}", file=sys.stderr, flush=True)
        return None


# --- analyses -------------------------------------------------------------------------------------------------------


def _start_server(folder: Path) -> Server:
    from bedplate.container.serving_probe import Server

    root = folder / "work" / "serving"
    root.mkdir(parents=True)
    (root / "model").symlink_to(folder / "work" / "candidate", target_is_directory=True)
    return Server(root, os.environ)


def _measure_leakage(folder: Path, spec: ModelSpec, table: pa.Table, labels: np.ndarray[Any, Any]) -> Any:
    from bedplate.domain.evidence.leakage import leakage

    path = folder / "input" / "training" / "train.parquet"
    return leakage(spec, _read_table(path) if path.is_file() else None, table, labels)


def _compare_explanations(folder: Path, spec: ModelSpec, *, champion: bool) -> Explanation | None:
    """Returns None without an explanation gate, or when the candidate could not be explained."""
    from bedplate.domain.evidence.explanation import compare_importances

    candidate = _read_explanation(folder, "candidate")
    if spec.gates.explanation is None or candidate is None:
        return None
    values, features, seconds = candidate
    champion_explanation = _read_explanation(folder, "champion") if champion else None
    note = "" if champion_explanation else "no champion could be explained"
    champion_values, champion_features, _ = champion_explanation or (None, (), 0.0)
    seed = spec.training.seed
    return compare_importances(
        values, features, champion_values, champion_features, seconds=seconds, note=note, seed=seed
    )


def _read_explanation(folder: Path, name: str) -> tuple[np.ndarray[Any, Any], list[str], float] | None:
    """Returns SHAP values, shape (explained rows, features), the features' names and the duration in seconds."""
    import numpy as np

    path = folder / "work" / f"{name}.npz"
    if not path.is_file():
        return None
    with np.load(path) as archive:
        return archive["values"], [str(feature) for feature in archive["features"]], float(archive["seconds"])


def _probe_serving(analyses: Analyses, server: Server, spec: ModelSpec, table: pa.Table) -> Analyses:
    """Measures latency, then checks the inference contract, whose invalid requests could disturb the measurement.

    Both stay without data when the model does not serve.
    """
    from dataclasses import replace

    from bedplate.container.serving_probe import ServingProbeError, check_contract, measure_latency

    gates = spec.gates
    try:
        server.wait_until_ready()
        if gates.latency:
            latency = measure_latency(server, spec.data, table, gates.latency, time.perf_counter)
            analyses = replace(analyses, latency=latency)
        if gates.inference:
            probability = spec.task == "binary"
            checks = check_contract(server, spec.data, table, gates.inference, probability=probability)
            analyses = replace(analyses, inference=checks)
    except ServingProbeError as exc:
        print(f"latency and inference contract are not measured: {exc}", file=sys.stderr, flush=True)
    return analyses


def _predictions_table(
    table: pa.Table,
    spec: ModelSpec,
    labels: np.ndarray[Any, Any],
    candidate: np.ndarray[Any, Any],
    champion: np.ndarray[Any, Any] | None,
) -> pa.Table:
    import pyarrow as pa

    names = [c for c in (*spec.data.keys, spec.data.time, *spec.data.segments) if c in table.column_names]
    columns: dict[str, Any] = {str(name): table.column(name) for name in names}
    columns |= {"label": pa.array(labels), "prediction": pa.array(candidate)}
    if champion is not None:
        columns["champion_prediction"] = pa.array(champion)
    return pa.table(columns)
