"""Records what normal looks like for a version: the profile of its training data, and of its answers on the holdout."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bedplate.domain.release import version_told
from bedplate.errors import NotFound
from bedplate.ports import Job, Package, Reporter
from bedplate.workflows.endpoint.observe import observe
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.watch.monitoring_job import DATASET, completed, submit


@dataclass(frozen=True, slots=True)
class BaselineResult:
    """`statistics` and `constraints` are in SageMaker's schema; None while the job still runs (`--no-wait`)."""

    version: int
    job: Job
    statistics_uri: str
    constraints_uri: str
    features: tuple[str, ...]
    rows: int | None
    has_answers: bool


def baseline(
    stack: StackContext, model: str, version: int | None, reporter: Reporter, *, wait: bool = True
) -> BaselineResult:
    """Profile the training data of a version (of the live one, without a version) and, where it was evaluated, its
    answers on the rows held out. The result lies where the monitoring schedule looks for it; object versions keep
    earlier ones.

    Raises NotFound when the fallback is live and no version is named.
    """
    spec, names = stack.model(model), stack.names(model)
    package = _package(stack, model, version)
    prefix = f"s3://{stack.outputs.artifacts_bucket}/{names.baseline_prefix}"
    name = f"{names.base}-baseline-v{package.version}-{stack.clock.now():%Y%m%d%H%M%S}"
    inputs, has_answers = _inputs(stack, package)
    reporter("step", {"text": f"Profiling what v{package.version} learned from"})
    job = submit(
        stack,
        spec,
        name=name,
        version=package.version,
        mode="baseline",
        inputs=inputs,
        output_uri=prefix,
        environment={"BEDPLATE_VERSION": str(package.version)},
    )
    places = (f"{prefix}statistics.json", f"{prefix}constraints.json")
    if not wait:
        return BaselineResult(package.version, job, *places, (), None, has_answers)
    job = completed(stack, job, reporter, what=f"Baseline job {name}")
    statistics = json.loads(stack.objects.get(places[0]))
    features = tuple(str(f["name"]) for f in statistics.get("features", ()))
    made = BaselineResult(package.version, job, *places, features, _rows(statistics), has_answers)
    Ledger.of(stack).record(
        "baseline",
        f"baseline of v{package.version}: {len(features)} columns" + (f", {made.rows:,} rows" if made.rows else ""),
        actor=stack.identity.person,
        model=model,
        version=package.version,
        data={"job": name, "statistics": places[0], "constraints": places[1], "answers": has_answers},
    )
    return made


def _package(stack: StackContext, model: str, version: int | None) -> Package:
    group = stack.names(model).package_group
    if version is None:
        version = version_told(observe(stack, model, ()).live)
        if not version:
            raise NotFound(
                f"The fallback is live, which learned from nothing: name a version of {model}",
                next_step=f"bedplate baseline {model} 1",
            )
    return stack.registry.get(group, version)


def _inputs(stack: StackContext, package: Package) -> tuple[dict[str, tuple[str, str]], bool]:
    data = package.metadata.get("data_uri")
    if not data:
        raise NotFound(
            f"v{package.version} does not say what it learned from (no data_uri)",
            next_step="bedplate models show <model>",
        )
    inputs = {"training": (data, f"{DATASET}/training")}
    evaluation = package.metadata.get("evaluation_uri")
    predictions = f"{evaluation.rpartition('/')[0]}/predictions.parquet" if evaluation else ""
    if predictions and stack.objects.exists(predictions):
        inputs["predictions"] = (predictions, f"{DATASET}/predictions")
    return inputs, "predictions" in inputs


def _rows(statistics: dict[str, Any]) -> int | None:
    count = statistics.get("dataset", {}).get("item_count")
    return int(count) if count is not None else None
