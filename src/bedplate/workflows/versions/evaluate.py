"""Evaluates a version: scores it and the live release on the same held-out rows, applies the gates, records the
result.

The job's name is derived from what it compares and measures, so the same command resumes an `evaluate` that was killed,
and evaluating again after a bound in model.yaml changed needs no second job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from bedplate.domain.evidence.evaluation import Evaluation, measurement_settings
from bedplate.domain.gate import GateReport, Measurements, judge
from bedplate.domain.ledger import sha256
from bedplate.domain.release import display_name, version_of
from bedplate.domain.versions.approval import EVALUATION_SHA256
from bedplate.domain.versions.package import job_name
from bedplate.errors import Conflict, JobFailed, NotFound
from bedplate.ports import Job, Package, ProcessingRequest, Reporter
from bedplate.settings import ModelSpec
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext, model_tags
from bedplate.workflows.training.job_following import follow_job, require_completed
from bedplate.workflows.training.runs import log_evaluation, preload
from bedplate.workflows.training.sbom import scan_version
from bedplate.workflows.versions.card import build_card, store_details
from bedplate.workflows.versions.models import find_version

INPUT, OUTPUT = "/opt/ml/processing/input", "/opt/ml/processing/output"
COMMAND = ("python", "-m", "bedplate.container", "evaluate")
MAX_RUNTIME_S = 3600
MAX_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Champion:
    """The live release that a candidate is compared with; without `artifact_uri` it is the fallback's `constant`."""

    release: str
    artifact_uri: str | None
    constant: float | None
    is_candidate: bool = False
    """Whether the version to evaluate is the live one."""

    @property
    def display_name(self) -> str:
        return display_name(self.release)


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """A planned evaluation. `job` is an existing job for it, if there is one."""

    model: str
    spec: ModelSpec
    package: Package
    champion: Champion | None
    holdout_uri: str
    job_name: str
    prefix_uri: str
    job: Job | None

    @property
    def evaluation_uri(self) -> str:
        return f"{self.prefix_uri}evaluation.json"

    @property
    def predictions_uri(self) -> str:
        return f"{self.prefix_uri}predictions.parquet"

    @property
    def spec_uri(self) -> str:
        """The contract that the job measures by: the current one, not the one of the version's training."""
        return f"{self.prefix_uri}input/spec.json"

    @property
    def page_uri(self) -> str:
        return f"{self.prefix_uri}evaluation.html"


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """`gate_report` and `evaluation` are None while the job still runs (`--no-wait`)."""

    plan: EvaluationPlan
    job: Job
    evaluation: Evaluation | None
    gate_report: GateReport | None


def plan_evaluation(stack: StackContext, model: str, version: int | None, *, rerun: bool = False) -> EvaluationPlan:
    """Finds the version, the champion and an earlier job for the same evaluation. Raises NotFound.

    With `rerun`, a completed job is ignored and everything is measured again.
    """
    spec = stack.model(model)
    package = find_version(stack, model, version)
    holdout = package.metadata.get("holdout_uri")
    if not holdout:
        raise NotFound(
            f"{model}:{package.version} has no holdout in its metadata", next_step=f"bedplate models show {model}"
        )
    return plan_comparison(stack, spec, package, holdout, find_champion(stack, model, package), rerun=rerun)


def plan_comparison(
    stack: StackContext,
    spec: ModelSpec,
    package: Package,
    holdout: str,
    champion: Champion | None,
    *,
    purpose: str = "evaluate",
    rerun: bool = False,
) -> EvaluationPlan:
    """Plans the job that scores a version and a champion on these rows, or finds the earlier one."""
    model = spec.name
    inputs = {
        "package": package.arn,
        "holdout": holdout,
        "champion": asdict(champion) if champion else None,
        "image": stack.outputs.image_uri,
        "measured": measurement_settings(spec.gates),
    }
    digest = sha256(json.dumps(inputs, sort_keys=True).encode())[:12]
    folder_uri = f"s3://{stack.outputs.artifacts_bucket}/{stack.names(model).evaluations_prefix}v{package.version}/"
    name, job = _find_job(stack, f"{stack.names(model).base}-{purpose}", digest, folder_uri, rerun=rerun)
    return EvaluationPlan(
        model=model,
        spec=spec,
        package=package,
        champion=champion,
        holdout_uri=holdout,
        job_name=name,
        prefix_uri=_prefix_uri(folder_uri, name),
        job=job,
    )


def evaluate(stack: StackContext, plan: EvaluationPlan, reporter: Reporter, *, wait: bool = True) -> EvaluationResult:
    """Runs or resumes the job, applies the gates, and writes verdict and metrics to the registry, then to the
    ledger.

    Raises JobFailed with the end of the job's log, Conflict if the evaluation's file was changed since it was recorded.
    A failed gate is not an error here: see `gate_report.outcome`.
    """
    job = plan.job or _submit(stack, plan, reporter)
    if job.status == "InProgress":
        if not wait:
            return EvaluationResult(plan, job, None, None)
        preload(stack)
    job, content = _run_job(stack, replace(plan, job=job), reporter)
    _require_unchanged(stack, plan, sha256(content))
    evaluation = Evaluation.from_json(json.loads(content))
    scan = scan_version(stack, plan.package, reporter) if plan.spec.gates.vulnerabilities else None
    gate_report = judge(plan.spec.gates, replace(build_measurements(plan, evaluation), vulnerabilities=scan))
    _record(stack, plan, evaluation, gate_report, sha256(content))
    metrics = {name: e.value for name, e in evaluation.candidate.items() if e.value == e.value}
    log_evaluation(
        stack, reporter, model=plan.model, package=plan.package, metrics=metrics, verdict=gate_report.outcome
    )
    _store_details(stack, plan)
    return EvaluationResult(plan, job, evaluation, gate_report)


def measure(stack: StackContext, plan: EvaluationPlan, reporter: Reporter) -> tuple[Job, Evaluation]:
    """Runs or resumes the job and returns its measurements; applies no gates and records nothing. Raises JobFailed."""
    job, content = _run_job(stack, plan, reporter)
    return job, Evaluation.from_json(json.loads(content))


def store_page(stack: StackContext, plan: EvaluationPlan, page: str) -> None:
    """Stores the HTML page beside its evaluation."""
    stack.objects.put(plan.page_uri, page.encode(), content_type="text/html; charset=utf-8")


def find_champion(stack: StackContext, model: str, candidate: Package) -> Champion | None:
    """Returns the live release; None without an endpoint."""
    try:
        endpoint = stack.endpoints.observe(stack.names(model).endpoint)
        live_release = stack.endpoints.get_release(endpoint.config)
    except NotFound:
        return None
    release = live_release.environment.get("BEDPLATE_RELEASE", live_release.name)
    fallback = live_release.environment.get("BEDPLATE_FALLBACK")
    constant = None if fallback is None else float(fallback)
    return Champion(release, live_release.artifact_uri, constant, version_of(release) == candidate.version)


def _prefix_uri(folder_uri: str, job_name: str) -> str:
    return f"{folder_uri}{job_name[-14:]}/"


def _find_job(stack: StackContext, base: str, digest: str, folder_uri: str, *, rerun: bool) -> tuple[str, Job | None]:
    """Returns the running job, else the newest completed one, else the name of the next attempt; with `rerun` never a
    completed one.

    SageMaker keeps jobs forever, even after the bucket with their results was destroyed; such a job is ignored.
    """
    completed = None
    for attempt in range(1, MAX_ATTEMPTS + 1):
        name = job_name(base, digest, attempt)
        try:
            job = stack.jobs.get_processing(name)
        except NotFound:
            return (name, None) if rerun or completed is None else (completed.name, completed)
        if job.status == "InProgress":
            return name, job
        if job.status == "Completed" and stack.objects.exists(f"{_prefix_uri(folder_uri, name)}evaluation.json"):
            completed = job
    if completed:
        return completed.name, completed
    raise JobFailed(
        f"{MAX_ATTEMPTS} attempts at this evaluation failed", next_step=f"bedplate models log {name} --kind processing"
    )


def _submit(stack: StackContext, plan: EvaluationPlan, reporter: Reporter) -> Job:
    opponent = f" against {plan.champion.display_name}" if plan.champion else ""
    reporter("step", {"text": f"Scoring {plan.model}:{plan.package.version}{opponent} on the held-out rows"})
    stack.objects.put(plan.spec_uri, plan.spec.model_dump_json().encode())
    inputs = {
        "candidate": (plan.package.artifact_uri, f"{INPUT}/candidate"),
        "holdout": (plan.holdout_uri, f"{INPUT}/holdout"),
        "spec": (plan.spec_uri, f"{INPUT}/spec"),
    }
    training_uri = plan.package.metadata.get("data_uri")
    if plan.spec.gates.leakage and training_uri:
        inputs["training"] = (training_uri, f"{INPUT}/training")
    if plan.champion and plan.champion.artifact_uri and not plan.champion.is_candidate:
        inputs["champion"] = (plan.champion.artifact_uri, f"{INPUT}/champion")
    return stack.jobs.submit_processing(
        ProcessingRequest(
            name=plan.job_name,
            image_uri=stack.outputs.image_uri,
            role_arn=stack.outputs.execution_role(plan.model),
            command=COMMAND,
            inputs=inputs,
            outputs={"evaluation": (OUTPUT, plan.prefix_uri.rstrip("/"))},
            environment={"BEDPLATE_MODEL": plan.model, **_fallback(plan.champion)},
            instance_type=plan.spec.training.instance_type,
            max_runtime_s=MAX_RUNTIME_S,
            tags=model_tags(stack, plan.spec, plan.package.version),
            kms_key_arn=stack.outputs.kms_key_arn,
            network=stack.outputs.network,
        )
    )


def _run_job(stack: StackContext, plan: EvaluationPlan, reporter: Reporter) -> tuple[Job, bytes]:
    job, lines = follow_job(stack, plan.job or _submit(stack, plan, reporter), kind="processing", reporter=reporter)
    require_completed(job, lines, label=f"Evaluation job {job.name}", kind="processing")
    return job, stack.objects.get(plan.evaluation_uri)


def _require_unchanged(stack: StackContext, plan: EvaluationPlan, digest: str) -> None:
    """Raises Conflict if the evaluation's file differs from the hash in its ledger record."""
    key = (plan.model, plan.package.version, plan.evaluation_uri)
    for record in Ledger.of(stack).records() if plan.job else ():
        recorded = record.data.get(EVALUATION_SHA256)
        is_recorded = (
            record.kind == "evaluated" and (record.model, record.version, record.data.get("evaluation_uri")) == key
        )
        if is_recorded and recorded and recorded != digest:
            raise Conflict(
                f"{plan.evaluation_uri} was changed: it hashes to {digest[:12]}, and record {record.seq} says "
                f"{recorded[:12]}",
                next_step=f"bedplate evaluate {plan.model}:{plan.package.version} --again",
            )


def _fallback(champion: Champion | None) -> dict[str, str]:
    """Returns the constant of a champion without an artifact (the fallback), which the container compares with."""
    if champion is None or champion.artifact_uri or champion.constant is None:
        return {}
    return {"BEDPLATE_FALLBACK": str(champion.constant)}


def build_measurements(plan: EvaluationPlan, evaluation: Evaluation) -> Measurements:
    """Converts the evaluation into the gates' input."""
    analyses = evaluation.analyses
    return Measurements(
        metrics=evaluation.candidate,
        difference=evaluation.difference,
        champion=plan.champion.display_name if plan.champion else "no champion",
        is_champion=plan.champion is not None and plan.champion.is_candidate,
        segments=evaluation.segments,
        champion_is_constant=plan.champion is not None and plan.champion.artifact_uri is None,
        fairness={(gap.column, gap.metric, gap.threshold, gap.is_ratio): gap.difference for gap in evaluation.fairness},
        artifact_mb=evaluation.artifact_mb,
        source=plan.evaluation_uri,
        calibration=analyses.calibration,
        residuals=analyses.residuals,
        latency=analyses.latency,
        inference=analyses.inference,
        explanation=analyses.explanation,
        leakage=analyses.leakage,
    )


def _record(
    stack: StackContext, plan: EvaluationPlan, evaluation: Evaluation, gate_report: GateReport, digest: str
) -> None:
    metrics = {
        name: estimate.value for name, estimate in evaluation.candidate.items() if estimate.value == estimate.value
    }
    metadata = {
        "evaluation_uri": plan.evaluation_uri,
        "verdict": gate_report.outcome,
        **{f"metric.{name}": f"{value:.6g}" for name, value in metrics.items()},
    }
    package = stack.registry.get(plan.package.group, plan.package.version)
    if any(package.metadata.get(key) != value for key, value in metadata.items()):
        stack.registry.update_metadata(package, metadata)
    data = {**_ledger_data(plan, metrics, gate_report), EVALUATION_SHA256: digest}
    ledger = Ledger.of(stack)
    own_records = [
        record
        for record in ledger.records()
        if (record.kind, record.model, record.version) == ("evaluated", plan.model, plan.package.version)
    ]
    if own_records and own_records[-1].data == json.loads(json.dumps(data)):
        return
    opponent = f" against {plan.champion.display_name}" if plan.champion else ""
    ledger.record(
        "evaluated",
        f"{plan.model} version {plan.package.version}: {gate_report.outcome}{opponent}",
        actor=stack.identity.actor,
        model=plan.model,
        version=plan.package.version,
        data=data,
    )


def _store_details(stack: StackContext, plan: EvaluationPlan) -> None:
    """Stores the card's details beside the evaluation, and their hash in the package's metadata."""
    package = stack.registry.get(plan.package.group, plan.package.version)
    digest = store_details(stack, build_card(stack, plan.model, package, Ledger.of(stack).records()))
    if package.metadata.get("details_sha256") != digest:
        stack.registry.update_metadata(package, {"details_sha256": digest})


def _ledger_data(plan: EvaluationPlan, metrics: Mapping[str, float], gate_report: GateReport) -> dict[str, Any]:
    return {
        "verdict": gate_report.outcome,
        "evaluation_uri": plan.evaluation_uri,
        "champion": plan.champion.release if plan.champion else None,
        "metrics": dict(metrics),
        "gates": [verdict_json(v) for v in gate_report.verdicts if v.decides],
    }


def verdict_json(verdict: Any) -> dict[str, Any]:
    """Returns a verdict as JSON; infinite and NaN values are null."""
    finite = {k: v if not isinstance(v, float) or abs(v) < float("inf") else None for k, v in asdict(verdict).items()}
    return {key: (None if value != value else value) for key, value in finite.items()}
