"""Compares two versions of a model: their provenance, and their metrics on the same held-out rows."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np

from bedplate.domain.ledger import Record
from bedplate.domain.versions.comparison import (
    MetricRow,
    Provenance,
    ProvenanceRow,
    VersionScores,
    compare_metrics,
    compare_provenance,
    compare_segments,
    describe_features,
)
from bedplate.errors import NotFound, PlatformError, UsageError
from bedplate.ports import Package, Reporter
from bedplate.settings import Gates, ModelSpec
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.lineage import read_code, read_hyperparameters
from bedplate.workflows.versions.evaluate import Champion, measure, plan_comparison
from bedplate.workflows.versions.models import find_version, primary_metric


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """`metrics` is empty, and `note` says why, if the two versions have no predictions of the same rows."""

    model: str
    task: str
    first: Package
    second: Package
    provenance: tuple[ProvenanceRow, ...]
    metrics: tuple[MetricRow, ...]
    segment_metric: str
    """The metric of `segments`."""
    segments: Mapping[str, Mapping[str, MetricRow]]
    rows: int
    holdout_uri: str | None
    note: str | None
    warnings: tuple[str, ...] = ()


def compare_versions(
    stack: StackContext, model: str, first: int, second: int, reporter: Reporter, *, score: bool = False
) -> VersionComparison:
    """Compares two versions. With `score`, a job scores both on the holdout of the second one.

    Otherwise compares the predictions stored by their evaluations, which must be of the same holdout. Raises NotFound,
    UsageError if both versions are the same, JobFailed if the job fails.
    """
    if first == second:
        raise UsageError(f"{model}:{first} cannot be compared with itself", next_step=f"bedplate models list {model}")
    spec = stack.model(model)
    packages = find_version(stack, model, first), find_version(stack, model, second)
    records = Ledger.of(stack).records()
    provenance = compare_provenance(*(_read_provenance(stack, package, records) for package in packages))
    metric = primary_metric(spec)
    scores: tuple[VersionScores, VersionScores] | None
    if score:
        scores, note = _score_versions(stack, spec, *packages, reporter), None
    else:
        scores, note = _read_stored_scores(stack, spec, *packages)
    if scores is None:
        return VersionComparison(model, spec.task, *packages, provenance, (), metric, {}, 0, None, note)
    return VersionComparison(
        model,
        spec.task,
        *packages,
        provenance,
        compare_metrics(spec.task, *scores),
        segment_metric=metric,
        segments=compare_segments(spec.task, metric, *scores),
        rows=len(scores[0].labels),
        holdout_uri=packages[1].metadata.get("holdout_uri"),
        note=None,
        warnings=_overlap_warnings(*packages, scores[0]),
    )


def _read_provenance(stack: StackContext, package: Package, records: Sequence[Record]) -> Provenance:
    hyperparameters = read_hyperparameters(package, records) if package.metadata.get("hyperparameters") else {}
    try:
        features = describe_features(read_code(stack, package).spec)
    except (NotFound, PlatformError):  # an old version's code may no longer exist
        features = {}
    return Provenance(package.metadata, hyperparameters, features)


def _read_stored_scores(
    stack: StackContext, spec: ModelSpec, first: Package, second: Package
) -> tuple[tuple[VersionScores, VersionScores] | None, str | None]:
    """Returns the stored predictions of both evaluations if they are of the same rows; otherwise why they cannot be
    compared."""
    scores = []
    for package in (first, second):
        ref = f"{spec.name}:{package.version}"
        uri = package.metadata.get("evaluation_uri")
        predictions_uri = f"{uri.rpartition('/')[0]}/predictions.parquet" if uri else ""
        if not predictions_uri or not stack.objects.exists(predictions_uri):
            return None, f"{ref} has no evaluation to compare: bedplate evaluate {ref}, or --score"
        scores.append(_read_scores(stack, spec, predictions_uri, "prediction"))
    is_same_holdout = first.metadata.get("holdout_uri") == second.metadata.get("holdout_uri")
    if not is_same_holdout or not scores[0].has_same_rows(scores[1]):
        return None, "they were evaluated on different rows, so their metrics are not comparable: --score scores both"
    return (scores[0], scores[1]), None


def _score_versions(
    stack: StackContext, spec: ModelSpec, first: Package, second: Package, reporter: Reporter
) -> tuple[VersionScores, VersionScores]:
    holdout = second.metadata.get("holdout_uri")
    if not holdout:
        raise NotFound(
            f"{spec.name}:{second.version} has no holdout in its metadata",
            next_step=f"bedplate models show {spec.name}:{second.version}",
        )
    spec_without_gates = spec.model_copy(update={"gates": Gates()})
    champion = Champion(f"{stack.names(spec.name).base}-v{first.version}-compared", first.artifact_uri, None)
    plan = plan_comparison(stack, spec_without_gates, second, holdout, champion, purpose="compare")
    measure(stack, plan, reporter)
    second_scores = _read_scores(stack, spec, plan.predictions_uri, "prediction")
    try:
        return _read_scores(stack, spec, plan.predictions_uri, "champion_prediction"), second_scores
    except KeyError as exc:
        raise UsageError(
            f"{spec.name}:{first.version} cannot score the holdout of {spec.name}:{second.version}",
            next_step=f"bedplate models log {plan.job_name} --kind processing",
        ) from exc


def _read_scores(stack: StackContext, spec: ModelSpec, uri: str, column: str) -> VersionScores:
    """Raises KeyError if the column is missing."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(stack.objects.get(uri)))
    segments = [name for name in spec.data.segments if name in table.column_names]
    groups = {name: [str(value) for value in table.column(name).to_pylist()] for name in segments}
    first_time = None
    if spec.data.time in table.column_names:
        import pyarrow.compute as pc

        earliest = pc.min(table.column(spec.data.time)).as_py()
        first_time = earliest if isinstance(earliest, datetime) else None
    values = [np.asarray(table.column(name).to_numpy(), dtype=np.float64) for name in ("label", column)]
    return VersionScores(values[0], values[1], groups, first_time)


def _overlap_warnings(first: Package, second: Package, scores: VersionScores) -> tuple[str, ...]:
    """Warns if the first version's training data extends past the start of these rows, so it may have been trained on
    them."""
    if first.metadata.get("holdout_uri") == second.metadata.get("holdout_uri") or scores.first_time is None:
        return ()
    start = scores.first_time if scores.first_time.tzinfo else scores.first_time.replace(tzinfo=UTC)
    try:
        data_end = datetime.fromisoformat(first.metadata.get("data_to", ""))
    except ValueError:
        return ()
    data_end = data_end if data_end.tzinfo else data_end.replace(tzinfo=UTC)
    if data_end < start:
        return ()
    return (
        f"v{first.version} was trained on data until {data_end:%Y-%m-%d}, and these rows begin on {start:%Y-%m-%d}: it "
        "may have been trained on some of them, and its metrics may be too good",
    )


def to_json(comparison: VersionComparison) -> dict[str, object]:
    """Returns the comparison as plain data; differences are second minus first."""
    return {
        "model": comparison.model,
        "first": comparison.first.version,
        "second": comparison.second.version,
        "rows": comparison.rows,
        "holdout_uri": comparison.holdout_uri,
        "note": comparison.note,
        "warnings": list(comparison.warnings),
        "metrics": [row.to_json() for row in comparison.metrics],
        "segments": {
            column: {value: row.to_json() for value, row in values.items()}
            for column, values in comparison.segments.items()
        },
        "provenance": [{**asdict(row), "is_same": row.is_same} for row in comparison.provenance],
    }
