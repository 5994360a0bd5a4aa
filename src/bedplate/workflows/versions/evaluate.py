"""Puts a version through its gates: scores it and the live release on the same held-out rows, judges, records.

The job's name comes from what it compares and what the gates want measured, so a killed `evaluate` is completed by the
same command; judging again after a bound in model.yaml changed costs no second job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from bedplate.domain.evidence.evaluation import Evaluation, measured
from bedplate.domain.gate import GateReport, Measurements, judge
from bedplate.domain.ledger import sha256
from bedplate.domain.release import spoken, version_told
from bedplate.domain.tags import for_model
from bedplate.domain.versions.approval import EVALUATION
from bedplate.domain.versions.package import job_name
from bedplate.errors import Conflict, JobFailed, NotFound
from bedplate.ports import Job, Package, ProcessingRequest, Release, Reporter
from bedplate.settings import ModelSpec
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.job_following import follow, must_have_completed
from bedplate.workflows.training.runs import keep_evaluation, warm
from bedplate.workflows.training.sbom import scan
from bedplate.workflows.versions.card import card_of, keep_details
from bedplate.workflows.versions.models import find_version

INPUT, OUTPUT = "/opt/ml/processing/input", "/opt/ml/processing/output"
COMMAND = ("python", "-m", "bedplate.container", "evaluate")
MAX_RUNTIME_S = 3600
MAX_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Champion:
    """The live release that a candidate is held against; without `artifact_uri` it is the fallback's `constant`."""

    release: str
    artifact_uri: str | None
    constant: float | None
    is_candidate: bool = False
    """The version to judge is the live one."""

    @property
    def called(self) -> str:
        return spoken(self.release)


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """What will be compared with what. `job` is one that exists already."""

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
        """The contract that the job measures by: today's, not the one that the version was trained with."""
        return f"{self.prefix_uri}input/spec.json"

    @property
    def page_uri(self) -> str:
        return f"{self.prefix_uri}evaluation.html"


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """`judgement` and `evaluation` are None while the job still runs (`--no-wait`)."""

    plan: EvaluationPlan
    job: Job
    evaluation: Evaluation | None
    judgement: GateReport | None


def plan(stack: StackContext, model: str, version: int | None, *, again: bool = False) -> EvaluationPlan:
    """Look at the version, at what is live and at a job that was started before. Raises NotFound.

    With `again` a job that is completed is not taken for the answer: everything is measured anew.
    """
    spec = stack.model(model)
    package = find_version(stack, model, version)
    holdout = package.metadata.get("holdout_uri")
    if not holdout:
        raise NotFound(
            f"{model}:{package.version} names no holdout in its metadata", next_step=f"bedplate models show {model}"
        )
    return plan_against(stack, spec, package, holdout, champion_of(stack, model, package), again=again)


def plan_against(
    stack: StackContext,
    spec: ModelSpec,
    package: Package,
    holdout: str,
    champion: Champion | None,
    *,
    purpose: str = "evaluate",
    again: bool = False,
) -> EvaluationPlan:
    """The job that scores a version on these rows beside that champion, or the one that did so before."""
    model = spec.name
    compared = {
        "package": package.arn,
        "holdout": holdout,
        "champion": asdict(champion) if champion else None,
        "image": stack.outputs.image_uri,
        "measured": measured(spec.gates),
    }
    digest = sha256(json.dumps(compared, sort_keys=True).encode())[:12]
    below = f"s3://{stack.outputs.artifacts_bucket}/{stack.names(model).evaluations_prefix}v{package.version}/"
    name, job = _find(stack, f"{stack.names(model).base}-{purpose}", digest, below, again=again)
    return EvaluationPlan(
        model=model,
        spec=spec,
        package=package,
        champion=champion,
        holdout_uri=holdout,
        job_name=name,
        prefix_uri=_prefix(below, name),
        job=job,
    )


def evaluate(stack: StackContext, plan: EvaluationPlan, reporter: Reporter, *, wait: bool = True) -> EvaluationResult:
    """Run the job or join it, judge, and write verdict and metrics to the registry, then to the ledger.

    Raises JobFailed with the end of the job's log, Conflict for an evaluation whose file was changed since it was
    recorded. A failed gate is no error here: `judgement.outcome` says it.
    """
    job = plan.job or _submit(stack, plan, reporter)
    if job.status == "InProgress":
        if not wait:
            return EvaluationResult(plan, job, None, None)
        warm(stack)
    job, raw = _measured(stack, replace(plan, job=job), reporter)
    _must_be_unchanged(stack, plan, sha256(raw))
    evaluation = Evaluation.from_json(json.loads(raw))
    looked = scan(stack, plan.package, reporter) if plan.spec.gates.vulnerabilities else None
    judgement = judge(plan.spec.gates, replace(evidence_of(plan, evaluation), vulnerabilities=looked))
    _record(stack, plan, evaluation, judgement, sha256(raw))
    figures = {name: e.value for name, e in evaluation.candidate.items() if e.value == e.value}
    keep_evaluation(stack, reporter, model=plan.model, package=plan.package, metrics=figures, verdict=judgement.outcome)
    _vouch(stack, plan)
    return EvaluationResult(plan, job, evaluation, judgement)


def measure(stack: StackContext, plan: EvaluationPlan, reporter: Reporter) -> tuple[Job, Evaluation]:
    """Run the job or join it, and read what it measured; nothing is judged or recorded. Raises JobFailed."""
    job, raw = _measured(stack, plan, reporter)
    return job, Evaluation.from_json(json.loads(raw))


def keep_page(stack: StackContext, plan: EvaluationPlan, page: str) -> None:
    """Store the page beside the evaluation that it shows."""
    stack.objects.put(plan.page_uri, page.encode(), content_type="text/html; charset=utf-8")


def champion_of(stack: StackContext, model: str, candidate: Package) -> Champion | None:
    """The live release; None when there is no endpoint."""
    try:
        state = stack.endpoints.observe(stack.names(model).endpoint)
        live = stack.endpoints.release(state.config)
    except NotFound:
        return None
    told = live.environment.get("BEDPLATE_RELEASE", live.name)
    return Champion(told, live.artifact_uri, _constant(live), version_told(told) == candidate.version)


def _constant(release: Release) -> float | None:
    text = release.environment.get("BEDPLATE_FALLBACK")
    return None if text is None else float(text)


def _prefix(below: str, job: str) -> str:
    return f"{below}{job[-14:]}/"


def _find(stack: StackContext, base: str, digest: str, below: str, *, again: bool) -> tuple[str, Job | None]:
    """The job that runs, else the newest that is completed, else the name of the next attempt; `again` wants a next.

    SageMaker keeps a job for ever, also when the bucket with its result was destroyed: such a one counts as none.
    """
    completed = None
    for attempt in range(1, MAX_ATTEMPTS + 1):
        name = job_name(base, digest, attempt)
        try:
            job = stack.jobs.processing(name)
        except NotFound:
            return (name, None) if again or completed is None else (completed.name, completed)
        if job.status == "InProgress":
            return name, job
        if job.status == "Completed" and stack.objects.exists(f"{_prefix(below, name)}evaluation.json"):
            completed = job
    if completed:
        return completed.name, completed
    raise JobFailed(
        f"{MAX_ATTEMPTS} attempts at this evaluation failed", next_step=f"bedplate models log {name} --kind processing"
    )


def _submit(stack: StackContext, plan: EvaluationPlan, reporter: Reporter) -> Job:
    against = f" against {plan.champion.called}" if plan.champion else ""
    reporter("step", {"text": f"Scoring {plan.model}:{plan.package.version}{against} on the rows held out"})
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
            tags=for_model(
                project=stack.project,
                stack=stack.name,
                model=plan.model,
                version=plan.package.version,
                owner=plan.spec.owner,
                cost_center=stack.settings.cost_center,
            ),
            kms_key_arn=stack.outputs.kms_key_arn,
            network=stack.outputs.network,
        )
    )


def _measured(stack: StackContext, plan: EvaluationPlan, reporter: Reporter) -> tuple[Job, bytes]:
    job, lines = follow(stack, plan.job or _submit(stack, plan, reporter), kind="processing", reporter=reporter)
    must_have_completed(job, lines, what=f"Evaluation job {job.name}", kind="processing")
    return job, stack.objects.get(plan.evaluation_uri)


def _must_be_unchanged(stack: StackContext, plan: EvaluationPlan, digest: str) -> None:
    """An evaluation that was recorded before is judged again only as it was. Raises Conflict."""
    ref = (plan.model, plan.package.version, plan.evaluation_uri)
    for r in Ledger.of(stack).records() if plan.job else ():
        recorded = r.data.get(EVALUATION)
        same = r.kind == "evaluated" and (r.model, r.version, r.data.get("evaluation_uri")) == ref
        if same and recorded and recorded != digest:
            raise Conflict(
                f"{plan.evaluation_uri} was changed: it hashes to {digest[:12]}, and record {r.seq} says "
                f"{recorded[:12]}",
                next_step=f"bedplate evaluate {plan.model}:{plan.package.version} --again",
            )


def _fallback(champion: Champion | None) -> dict[str, str]:
    """The fallback has no artifact: the container is told its constant, and holds the candidate against that."""
    if champion is None or champion.artifact_uri or champion.constant is None:
        return {}
    return {"BEDPLATE_FALLBACK": str(champion.constant)}


def evidence_of(plan: EvaluationPlan, evaluation: Evaluation) -> Measurements:
    """What was measured, as the gates take it."""
    trials = evaluation.trials
    return Measurements(
        metrics=evaluation.candidate,
        difference=evaluation.difference,
        champion=plan.champion.called if plan.champion else "nobody",
        is_champion=plan.champion is not None and plan.champion.is_candidate,
        segments=evaluation.segments,
        champion_is_constant=plan.champion is not None and plan.champion.artifact_uri is None,
        fairness={(f.by, f.metric, f.threshold, f.ratio): f.difference for f in evaluation.fairness},
        artifact_mb=evaluation.artifact_mb,
        source=plan.evaluation_uri,
        calibration=trials.calibration,
        residuals=trials.residuals,
        latency=trials.latency,
        inference=trials.inference,
        explanation=trials.explanation,
        leakage=trials.leakage,
    )


def _record(
    stack: StackContext, plan: EvaluationPlan, evaluation: Evaluation, judgement: GateReport, digest: str
) -> None:
    metrics = {name: e.value for name, e in evaluation.candidate.items() if e.value == e.value}
    told = {
        "evaluation_uri": plan.evaluation_uri,
        "verdict": judgement.outcome,
        **{f"metric.{name}": f"{value:.6g}" for name, value in metrics.items()},
    }
    fresh = stack.registry.get(plan.package.group, plan.package.version)
    if any(fresh.metadata.get(key) != value for key, value in told.items()):
        stack.registry.annotate(fresh, told)
    data = {**_data(plan, metrics, judgement), EVALUATION: digest}
    ledger = Ledger.of(stack)
    mine = [
        r for r in ledger.records() if (r.kind, r.model, r.version) == ("evaluated", plan.model, plan.package.version)
    ]
    if mine and mine[-1].data == json.loads(json.dumps(data)):
        return
    against = f" against {plan.champion.called}" if plan.champion else ""
    ledger.record(
        "evaluated",
        f"{plan.model} version {plan.package.version}: {judgement.outcome}{against}",
        actor=stack.identity.person,
        model=plan.model,
        version=plan.package.version,
        data=data,
    )


def _vouch(stack: StackContext, plan: EvaluationPlan) -> None:
    """Keep the whole of what is known beside the evaluation, and its hash with the package."""
    fresh = stack.registry.get(plan.package.group, plan.package.version)
    digest = keep_details(stack, card_of(stack, plan.model, fresh, Ledger.of(stack).records()))
    if fresh.metadata.get("details_sha256") != digest:
        stack.registry.annotate(fresh, {"details_sha256": digest})


def _data(plan: EvaluationPlan, metrics: Mapping[str, float], judgement: GateReport) -> dict[str, Any]:
    return {
        "verdict": judgement.outcome,
        "evaluation_uri": plan.evaluation_uri,
        "champion": plan.champion.release if plan.champion else None,
        "metrics": dict(metrics),
        "gates": [verdict_json(v) for v in judgement.verdicts if v.decides],
    }


def verdict_json(verdict: Any) -> dict[str, Any]:
    """A verdict as JSON; infinite ends of an interval are null."""
    finite = {k: v if not isinstance(v, float) or abs(v) < float("inf") else None for k, v in asdict(verdict).items()}
    return {key: (None if value != value else value) for key, value in finite.items()}
