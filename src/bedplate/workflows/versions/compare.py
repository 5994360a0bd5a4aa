"""Compares two versions of a model: what they were made of, and how they do on the same held-out rows."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from bedplate.domain.versions.comparison import (
    MetricRow,
    Provenance,
    ProvenanceRow,
    Scores,
    by_segment,
    features_of,
    figures,
    made_of,
)
from bedplate.errors import NotFound, PlatformError, UsageError
from bedplate.ports import Package, Reporter
from bedplate.settings import Gates, ModelSpec
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.lineage import code_of, hyperparameters_of
from bedplate.workflows.versions.evaluate import Champion, measure, plan_against
from bedplate.workflows.versions.models import find_version, leading_metric


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """`figures` is empty, and `note` says why, when no rows were answered by both."""

    model: str
    task: str
    first: Package
    second: Package
    made: tuple[ProvenanceRow, ...]
    figures: tuple[MetricRow, ...]
    metric: str
    """The one that segments are shown by."""
    segments: Mapping[str, Mapping[str, MetricRow]]
    rows: int
    holdout_uri: str | None
    note: str | None
    remarks: tuple[str, ...] = ()


def compare(
    stack: StackContext, model: str, first: int, second: int, reporter: Reporter, *, score: bool = False
) -> VersionComparison:
    """Both versions beside each other. With `score` a job lets both answer the second one's holdout.

    Without it, what their evaluations kept is compared, which takes the same holdout. Raises NotFound, UsageError for
    one version twice, JobFailed when the job fails.
    """
    if first == second:
        raise UsageError(f"{model}:{first} is compared with itself", next_step=f"bedplate models list {model}")
    spec = stack.model(model)
    one, two = find_version(stack, model, first), find_version(stack, model, second)
    records = Ledger.of(stack).records()
    made = made_of(*(_made(stack, p, hyperparameters_of(p, records) if _known(p) else {}) for p in (one, two)))
    metric = leading_metric(spec)
    holdout = two.metadata.get("holdout_uri")
    scores: tuple[Scores, Scores] | None
    if score:
        scores, note = _scored(stack, spec, one, two, reporter), None
    else:
        scores, note = _kept(stack, spec, one, two)
    if scores is None:
        return VersionComparison(model, spec.task, one, two, made, (), metric, {}, 0, None, note)
    a, b = scores
    return VersionComparison(
        model=model,
        task=spec.task,
        first=one,
        second=two,
        made=made,
        figures=figures(spec.task, a, b),
        metric=metric,
        segments=by_segment(spec.task, metric, a, b),
        rows=len(a.labels),
        holdout_uri=holdout,
        note=None,
        remarks=_seen(one, two, a),
    )


def _known(package: Package) -> bool:
    return bool(package.metadata.get("hyperparameters"))


def _made(stack: StackContext, package: Package, hyperparameters: Mapping[str, str]) -> Provenance:
    try:
        features = features_of(code_of(stack, package).spec)
    except (NotFound, PlatformError):  # an old version's code may be gone; the rest can be compared
        features = {}
    return Provenance(package.metadata, hyperparameters, features)


def _kept(
    stack: StackContext, spec: ModelSpec, one: Package, two: Package
) -> tuple[tuple[Scores, Scores] | None, str | None]:
    """What both evaluations kept, when it is about the same rows; else why it cannot be compared."""
    found = []
    for package in (one, two):
        ref = f"{spec.name}:{package.version}"
        uri = package.metadata.get("evaluation_uri")
        kept = f"{uri.rpartition('/')[0]}/predictions.parquet" if uri else ""
        if not kept or not stack.objects.exists(kept):
            return None, f"{ref} has no evaluation to compare by: bedplate evaluate {ref}, or --score"
        found.append(_read(stack, spec, kept, "prediction"))
    a, b = found
    if one.metadata.get("holdout_uri") != two.metadata.get("holdout_uri") or not a.on_same_rows(b):
        return None, "they were evaluated on different rows, so their figures do not compare: --score lets both answer"
    return (a, b), None


def _scored(
    stack: StackContext, spec: ModelSpec, one: Package, two: Package, reporter: Reporter
) -> tuple[Scores, Scores]:
    holdout = two.metadata.get("holdout_uri")
    if not holdout:
        raise NotFound(
            f"{spec.name}:{two.version} names no holdout in its metadata",
            next_step=f"bedplate models show {spec.name}:{two.version}",
        )
    bare = spec.model_copy(update={"gates": Gates()})
    against = Champion(f"{stack.names(spec.name).base}-v{one.version}-compared", one.artifact_uri, None)
    plan = plan_against(stack, bare, two, holdout, against, purpose="compare")
    measure(stack, plan, reporter)
    second = _read(stack, spec, plan.predictions_uri, "prediction")
    try:
        return _read(stack, spec, plan.predictions_uri, "champion_prediction"), second
    except KeyError as exc:
        raise UsageError(
            f"{spec.name}:{one.version} cannot answer the rows that {spec.name}:{two.version} was held out from",
            next_step=f"bedplate models log {plan.job_name} --kind processing",
        ) from exc


def _read(stack: StackContext, spec: ModelSpec, uri: str, column: str) -> Scores:
    """Raises KeyError when the column is not there."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(stack.objects.get(uri)))
    groups = {
        name: [str(v) for v in table.column(name).to_pylist()]
        for name in spec.data.segments
        if name in table.column_names
    }
    first_time = None
    if spec.data.time in table.column_names:
        import pyarrow.compute as pc

        earliest = pc.min(table.column(spec.data.time)).as_py()
        first_time = earliest if isinstance(earliest, datetime) else None
    values = [np.asarray(table.column(name).to_numpy(), dtype=np.float64) for name in ("label", column)]
    return Scores(values[0], values[1], groups, first_time)


def _seen(one: Package, two: Package, scores: Scores) -> tuple[str, ...]:
    """A warning for a first version whose data goes on behind the beginning of these rows: it may know them."""
    if one.metadata.get("holdout_uri") == two.metadata.get("holdout_uri") or scores.first_time is None:
        return ()
    began = scores.first_time if scores.first_time.tzinfo else scores.first_time.replace(tzinfo=UTC)
    try:
        ended = datetime.fromisoformat(one.metadata.get("data_to", ""))
    except ValueError:
        return ()
    ended = ended if ended.tzinfo else ended.replace(tzinfo=UTC)
    if ended < began:
        return ()
    return (
        f"v{one.version} was made from data until {ended:%Y-%m-%d}, and these rows begin on {began:%Y-%m-%d}: it may "
        "have been trained on some of them, and look better than it is",
    )


def to_json(found: VersionComparison) -> dict[str, object]:
    """The comparison as plain data; differences are second minus first."""
    return {
        "model": found.model,
        "first": found.first.version,
        "second": found.second.version,
        "rows": found.rows,
        "holdout_uri": found.holdout_uri,
        "note": found.note,
        "remarks": list(found.remarks),
        "figures": [f.to_json() for f in found.figures],
        "segments": {
            column: {value: figure.to_json() for value, figure in values.items()}
            for column, values in found.segments.items()
        },
        "made_of": [
            {"topic": r.topic, "name": r.name, "first": r.first, "second": r.second, "same": r.same} for r in found.made
        ],
    }
