"""Creates, updates and deletes monitoring schedules to match model.yaml, with bounds from the evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bedplate.domain.documents import FORMAT
from bedplate.domain.names import SCHEDULE_KINDS, ModelNames, ScheduleKind, parse_release_version
from bedplate.domain.release import version_of
from bedplate.errors import NotFound
from bedplate.ports import ExistingSchedule, Package, Reporter, ScheduleDraft, ThresholdAlarm
from bedplate.settings import ModelSpec, Schedule
from bedplate.settings.monitors import LabelledSchedule
from bedplate.workflows.endpoint.observe import observe_endpoint
from bedplate.workflows.stack_context import StackContext, model_tags
from bedplate.workflows.watch.monitoring_job import INSTANCE_TYPE, MAX_RUNTIME_S

if TYPE_CHECKING:
    from bedplate.domain.evidence.evaluation import Evaluation

NAMESPACES: Mapping[ScheduleKind, str] = {
    "model-quality": "aws/sagemaker/Endpoints/model-metrics",
    "bias": "aws/sagemaker/Endpoints/bias-metrics",
    "explainability": "aws/sagemaker/Endpoints/explainability-metrics",
}
VIOLATIONS = "bedplate_violations"
HOURLY, DAILY_S = "cron(0 * ? * * *)", 86_400
_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class ScheduleChange:
    """A planned or applied change of one schedule."""

    kind: ScheduleKind
    name: str
    change: Literal["create", "update", "none", "delete"]
    cron: str
    version: int | None
    constraints_uri: str | None


def declared_schedules(spec: ModelSpec) -> dict[ScheduleKind, Schedule]:
    """Returns the schedules that `monitors.schedules` in model.yaml declares, by kind."""
    declared: dict[ScheduleKind, Schedule | None] = {
        "model-quality": spec.monitors.schedules.model_quality,
        "bias": spec.monitors.schedules.bias,
        "explainability": spec.monitors.schedules.explainability,
    }
    return {kind: schedule for kind, schedule in declared.items() if schedule is not None}


def apply_schedules(
    stack: StackContext, model: str, version: int | None, reporter: Reporter, *, dry_run: bool = False
) -> tuple[ScheduleChange, ...]:
    """Creates, updates and deletes schedules to match model.yaml, with bounds from the evaluation of the version (by
    default the live one). Running it again changes nothing.

    Raises NotFound when the version was never evaluated or, for explainability, never released.
    """
    spec, names = stack.model(model), stack.names(model)
    declared = declared_schedules(spec)
    existing = {kind: stack.schedules.find(kind, names.schedule(kind)) for kind in SCHEDULE_KINDS}
    changes = [
        ScheduleChange(kind, schedule.name, "delete", schedule.cron, None, None)
        for kind, schedule in existing.items()
        if schedule is not None and kind not in declared
    ]
    drafts: dict[ScheduleKind, ScheduleDraft] = {}
    if declared:
        package = _find_package(stack, model, version)
        evaluation = _read_evaluation(stack, package)
        for kind, schedule in declared.items():
            draft = _build_draft(stack, spec, kind, schedule, package, evaluation, dry_run=dry_run)
            drafts[kind] = draft
            change = _required_change(stack, existing[kind], draft)
            changes.append(ScheduleChange(kind, draft.name, change, draft.cron, package.version, draft.constraints_uri))
    if not dry_run:
        for planned in changes:
            _apply_change(stack, spec, planned, drafts.get(planned.kind), reporter)
    return tuple(changes)


def list_schedules(stack: StackContext, model: str) -> tuple[ExistingSchedule, ...]:
    """Returns the existing schedules of the three kinds."""
    names = stack.names(model)
    schedules = (stack.schedules.find(kind, names.schedule(kind)) for kind in SCHEDULE_KINDS)
    return tuple(schedule for schedule in schedules if schedule is not None)


def list_deviations(stack: StackContext, model: str) -> tuple[str, ...]:
    """Lists how the existing schedules differ from model.yaml, one sentence each."""
    declared = declared_schedules(stack.model(model))
    existing = {schedule.kind: schedule for schedule in list_schedules(stack, model)}
    deviations = [f"{kind} is not scheduled" for kind in declared if kind not in existing]
    for kind, schedule in existing.items():
        if kind not in declared:
            deviations.append(f"{kind} is scheduled, but model.yaml does not declare it")
        elif schedule.cron != declared[kind].cron:
            deviations.append(f"{kind} runs at {schedule.cron}, but model.yaml declares {declared[kind].cron}")
        elif schedule.status not in ("Scheduled", "Pending"):
            reason = f": {schedule.failure_reason}" if schedule.failure_reason else ""
            deviations.append(f"{kind} is {schedule.status}{reason}")
    return tuple(deviations)


def list_all_deviations(stack: StackContext) -> dict[str, tuple[str, ...]]:
    """Lists the deviations of every model of the stack that declares schedules; models without any are left out."""
    models = [model for model in stack.settings.models if declared_schedules(stack.model(model))]
    deviations = {model: list_deviations(stack, model) for model in models}
    return {model: sentences for model, sentences in deviations.items() if sentences}


def remove_schedules(stack: StackContext, model: str) -> None:
    """Deletes all three kinds of schedules with their alarms, whatever model.yaml declares."""
    names = stack.names(model)
    for kind in SCHEDULE_KINDS:
        if stack.schedules.delete(kind, names.schedule(kind)):
            stack.metrics.delete_alarm(names.schedule(kind))


def _required_change(
    stack: StackContext, before: ExistingSchedule | None, draft: ScheduleDraft
) -> Literal["create", "update", "none"]:
    if before is None:
        return "create"
    is_same = (before.job_definition, before.cron) == (stack.schedules.definition_name(draft), draft.cron)
    return "none" if is_same and before.status in ("Scheduled", "Pending") else "update"


def _apply_change(
    stack: StackContext, spec: ModelSpec, change: ScheduleChange, draft: ScheduleDraft | None, reporter: Reporter
) -> None:
    if change.change == "delete":
        reporter("step", {"text": f"Deleting {change.name}: model.yaml does not declare it any more"})
        stack.schedules.delete(change.kind, change.name)
        stack.metrics.delete_alarm(change.name)
        return
    assert draft is not None
    if change.change != "none":
        reporter("step", {"text": f"{'Creating' if change.change == 'create' else 'Updating'} {change.name}"})
        stack.schedules.put(draft)
    stack.metrics.put_threshold_alarm(_build_alarm(stack, spec, draft))


def _build_alarm(stack: StackContext, spec: ModelSpec, draft: ScheduleDraft) -> ThresholdAlarm:
    subject = {
        "model-quality": "metrics on late labels",
        "bias": "differences between groups",
        "explainability": "feature importances",
    }
    return ThresholdAlarm(
        name=draft.name,
        description=f"{draft.endpoint}: {subject[draft.kind]} exceeded a bound of model.yaml. "
        f"Next: bedplate monitor report {spec.name} --kind {draft.kind}",
        namespace=NAMESPACES[draft.kind],
        metric=VIOLATIONS,
        dimensions={"Endpoint": draft.endpoint, "MonitoringSchedule": draft.name},
        threshold=0,
        period_s=_HOUR_S if draft.cron == HOURLY else DAILY_S,
        topic_arn=stack.outputs.alerts_topic_arn,
        tags=draft.tags,
    )


# --- the job definition -----------------------------------------------------------------------------------------


def _build_draft(
    stack: StackContext,
    spec: ModelSpec,
    kind: ScheduleKind,
    declared: Schedule,
    package: Package,
    evaluation: Evaluation,
    *,
    dry_run: bool,
) -> ScheduleDraft:
    names, outputs = stack.names(spec.name), stack.outputs
    constraints = json.dumps(_build_constraints(spec, kind, package, evaluation), indent=1).encode()
    base = f"s3://{outputs.artifacts_bucket}/{names.schedule_prefix(kind)}{_digest(constraints)}/"
    files = {f"{base}constraints.json": constraints}
    config_uri = None
    if kind != "model-quality":
        release = _newest_release(stack, names, package.version) if kind == "explainability" else None
        config = json.dumps(_build_analysis_config(spec, release), indent=1).encode()
        config_uri = f"{base}analysis_config-{_digest(config)}.json"
        files[config_uri] = config
    for uri, body in {} if dry_run else files.items():
        stack.objects.put(uri, body, content_type="application/json")
    delay = declared.delay_hours if isinstance(declared, LabelledSchedule) else 0
    is_own_image = kind != "explainability" or stack.settings.target == "local"
    return ScheduleDraft(
        kind=kind,
        name=names.schedule(kind),
        cron=declared.cron,
        endpoint=names.endpoint,
        is_binary=spec.task == "binary",
        features=spec.data.features,
        image_uri=outputs.image_uri if is_own_image else stack.schedules.clarify_image(),
        environment={
            "BEDPLATE_MODE": kind,
            "BEDPLATE_MODEL": spec.name,
            "publish_cloudwatch_metrics": "Enabled",
        },
        constraints_uri=f"{base}constraints.json",
        config_uri=config_uri,
        ground_truth_uri=None
        if kind == "explainability"
        else f"s3://{outputs.data_bucket}/{names.ground_truth_prefix}",
        output_uri=f"s3://{outputs.artifacts_bucket}/{names.monitoring_prefix}{kind}",
        start_offset_h=delay + declared.look_back_hours,
        end_offset_h=delay,
        role_arn=outputs.execution_role(spec.name),
        instance_type=INSTANCE_TYPE,
        max_runtime_s=MAX_RUNTIME_S,
        network_isolation=is_own_image,  # Clarify's image invokes a shadow endpoint, so it needs the network
        tags=model_tags(stack, spec, None),
        kms_key_arn=outputs.kms_key_arn,
        network=outputs.network,
    )


def _build_constraints(spec: ModelSpec, kind: ScheduleKind, package: Package, evaluation: Evaluation) -> dict[str, Any]:
    """Builds SageMaker's own constraints of the kind, with what our image needs under the key `bedplate`."""
    reference: dict[str, Any] = {}
    sagemaker: dict[str, Any] = {}
    if kind == "model-quality":
        metrics = {str(metric): estimate.to_json()["value"] for metric, estimate in evaluation.candidate.items()}
        reference["metrics"] = metrics
        key = "binary_classification_constraints" if spec.task == "binary" else "regression_constraints"
        sagemaker[key] = {
            m: _threshold(m, metrics[m], drop)
            for m, drop in spec.monitors.max_drop.items()
            if metrics.get(m) is not None
        }
    elif kind == "bias":
        reference["fairness"] = [group.to_json() for group in evaluation.fairness]
        facets: dict[str, list[dict[str, Any]]] = {}
        for group in evaluation.fairness:
            facets.setdefault(group.column, []).append(
                {"name": group.metric, "value": group.to_json()["difference"]["value"]}
            )
        sagemaker["post_training_bias_metrics"] = {"label": spec.data.label, "facets": facets}
    else:
        explanation = evaluation.analyses.explanation
        if not explanation or not explanation.importances:
            raise NotFound(
                f"The evaluation of v{package.version} has no feature importances to compare with",
                next_step=f"bedplate evaluate {spec.name}:{package.version}",
            )
        importances = {i.feature: i.candidate for i in explanation.importances if i.candidate is not None}
        reference["importances"] = importances
        sagemaker["explanations"] = {"kernel_shap": {"label0": {"global_shap_values": importances}}}
    own = {
        "format": FORMAT,
        "kind": kind,
        "version": str(package.version),
        "spec": spec.model_dump(mode="json"),
        "reference": reference,
    }
    return {"version": 0.0, **sagemaker, "bedplate": own}


def _threshold(metric: str, value: float, drop: float) -> dict[str, Any]:
    from bedplate.domain.evidence.metrics import HIGHER_IS_BETTER

    if metric in HIGHER_IS_BETTER:
        return {"threshold": value - drop, "comparison_operator": "LessThanThreshold"}
    return {"threshold": value + drop, "comparison_operator": "GreaterThanThreshold"}


def _build_analysis_config(spec: ModelSpec, release: str | None) -> dict[str, Any]:
    """Builds SageMaker Clarify's analysis configuration; our own image reads only the model's name from it."""
    common = {
        "dataset_type": "application/jsonlines",
        "headers": [*spec.data.features, spec.data.label],
        "label": spec.data.label,
    }
    if release is None:
        facets = list(dict.fromkeys(gate.column for gate in spec.gates.fairness))
        return {
            **common,
            "facet": [{"name_or_index": column} for column in facets],
            "probability_threshold": spec.gates.fairness[0].threshold,
            "methods": {"post_training_bias": {"methods": "all"}},
        }
    gate = spec.gates.explanation
    assert gate is not None
    return {
        **common,
        "methods": {
            "shap": {
                "num_samples": gate.background * gate.draws,
                "num_clusters": 1,
                "agg_method": "mean_abs",
                "use_logit": False,
                "seed": spec.training.seed,
            }
        },
        "predictor": {
            "model_name": release,
            "instance_type": spec.serving.instance_type,
            "initial_instance_count": 1,
            "content_type": "application/json",
            "content_template": "$records",
            "record_template": "$features_kvp",
            "accept_type": "application/json",
            "probability" if spec.task == "binary" else "label": "predictions",
        },
    }


def _newest_release(stack: StackContext, names: ModelNames, version: int) -> str:
    """Returns the newest release of a version, which is the name of its SageMaker Model."""
    release = next(
        (r.name for r in stack.endpoints.list_releases(names.endpoint) if parse_release_version(r.name) == version), ""
    )
    if not release:
        raise NotFound(
            f"v{version} was never released, so SageMaker has no Model of it to explain",
            next_step=f"bedplate deploy {names.model}:{version}",
        )
    return release


def _find_package(stack: StackContext, model: str, version: int | None) -> Package:
    if version is None:
        version = version_of(observe_endpoint(stack, model, ()).live)
        if not version:
            raise NotFound(
                f"The fallback is live and has no evaluation: name a version of {model}",
                next_step=f"bedplate monitor schedule {model} 1",
            )
    return stack.registry.get(stack.names(model).package_group, version)


def _read_evaluation(stack: StackContext, package: Package) -> Evaluation:
    from bedplate.domain.evidence.evaluation import Evaluation  # imports numpy, which listing schedules does not need

    uri = package.metadata.get("evaluation_uri")
    if not uri:
        raise NotFound(
            f"v{package.version} was never evaluated, so a schedule has no bounds",
            next_step=f"bedplate evaluate {package.metadata.get('model', '<model>')}:{package.version}",
        )
    return Evaluation.from_json(json.loads(stack.objects.get(uri)))


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
