"""Computes a version's monitoring baseline: profiles of its training data and of its holdout predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bedplate.domain.release import version_of
from bedplate.errors import NotFound
from bedplate.ports import Job, Package, Reporter
from bedplate.workflows.endpoint.observe import observe_endpoint
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.watch.monitoring_job import DATASET, follow_to_completion, submit_job


@dataclass(frozen=True, slots=True)
class BaselineResult:
    """A baseline in SageMaker Model Monitor's schema; `rows` is None while the job runs (`--no-wait`)."""

    version: int
    job: Job
    statistics_uri: str
    constraints_uri: str
    features: tuple[str, ...]
    rows: int | None
    has_predictions: bool


def compute_baseline(
    stack: StackContext, model: str, version: int | None, reporter: Reporter, *, wait: bool = True
) -> BaselineResult:
    """Profiles the training data of a version (by default the live one) and, if it was evaluated, its predictions on
    the holdout. The result is stored where the monitoring schedule reads it; S3 object versions keep earlier baselines.

    Raises NotFound when the fallback is live and no version is named.
    """
    spec, names = stack.model(model), stack.names(model)
    package = _find_package(stack, model, version)
    prefix = f"s3://{stack.outputs.artifacts_bucket}/{names.baseline_prefix}"
    name = f"{names.base}-baseline-v{package.version}-{stack.clock.now():%Y%m%d%H%M%S}"
    inputs, has_predictions = _job_inputs(stack, package)
    reporter("step", {"text": f"Profiling the training data of v{package.version}"})
    job = submit_job(
        stack,
        spec,
        name=name,
        version=package.version,
        mode="baseline",
        inputs=inputs,
        output_uri=prefix,
        environment={"BEDPLATE_VERSION": str(package.version)},
    )
    uris = (f"{prefix}statistics.json", f"{prefix}constraints.json")
    if not wait:
        return BaselineResult(package.version, job, *uris, (), None, has_predictions)
    job = follow_to_completion(stack, job, reporter, label=f"Baseline job {name}")
    statistics = json.loads(stack.objects.get(uris[0]))
    features = tuple(str(f["name"]) for f in statistics.get("features", ()))
    result = BaselineResult(package.version, job, *uris, features, _count_rows(statistics), has_predictions)
    Ledger.of(stack).record(
        "baseline",
        f"baseline of v{package.version}: {len(features)} columns" + (f", {result.rows:,} rows" if result.rows else ""),
        actor=stack.identity.actor,
        model=model,
        version=package.version,
        data={"job": name, "statistics": uris[0], "constraints": uris[1], "has_predictions": has_predictions},
    )
    return result


def _find_package(stack: StackContext, model: str, version: int | None) -> Package:
    group = stack.names(model).package_group
    if version is None:
        version = version_of(observe_endpoint(stack, model, ()).live)
        if not version:
            raise NotFound(
                f"The fallback is live and has no training data: name a version of {model}",
                next_step=f"bedplate baseline {model} 1",
            )
    return stack.registry.get(group, version)


def _job_inputs(stack: StackContext, package: Package) -> tuple[dict[str, tuple[str, str]], bool]:
    data = package.metadata.get("data_uri")
    if not data:
        raise NotFound(
            f"v{package.version} does not record its training data (no data_uri)",
            next_step="bedplate models show <model>",
        )
    inputs = {"training": (data, f"{DATASET}/training")}
    evaluation = package.metadata.get("evaluation_uri")
    predictions = f"{evaluation.rpartition('/')[0]}/predictions.parquet" if evaluation else ""
    if predictions and stack.objects.exists(predictions):
        inputs["predictions"] = (predictions, f"{DATASET}/predictions")
    return inputs, "predictions" in inputs


def _count_rows(statistics: dict[str, Any]) -> int | None:
    count = statistics.get("dataset", {}).get("item_count")
    return int(count) if count is not None else None
