"""Makes schedules of model quality, bias and explainability what model.yaml asks for, with the evaluation's bounds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bedplate.domain import tags
from bedplate.domain.names import SCHEDULE_KINDS, ModelNames, ScheduleKind, version_of_release
from bedplate.domain.release import version_told
from bedplate.errors import NotFound
from bedplate.ports import BoundAlarm, ExistingSchedule, Package, Reporter, ScheduleDraft
from bedplate.settings import ModelSpec, Schedule
from bedplate.settings.monitors import LabelledSchedule
from bedplate.workflows.endpoint.observe import observe
from bedplate.workflows.stack_context import StackContext
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
FORMAT = 1


@dataclass(frozen=True, slots=True)
class ScheduleChange:
    """What happens, or would happen, to one schedule."""

    kind: ScheduleKind
    name: str
    change: Literal["create", "update", "none", "delete"]
    cron: str
    version: int | None
    constraints_uri: str | None


def asked_for(spec: ModelSpec) -> dict[ScheduleKind, Schedule]:
    """What `monitors.schedules` of model.yaml wants, by kind."""
    found: dict[ScheduleKind, Schedule | None] = {
        "model-quality": spec.monitors.schedules.model_quality,
        "bias": spec.monitors.schedules.bias,
        "explainability": spec.monitors.schedules.explainability,
    }
    return {kind: wanted for kind, wanted in found.items() if wanted is not None}


def schedule(
    stack: StackContext, model: str, version: int | None, reporter: Reporter, *, dry_run: bool = False
) -> tuple[ScheduleChange, ...]:
    """Create, update and delete until what runs is what model.yaml asks for, bounded by what the version (the live one,
    without a version) showed at its evaluation. Running it again changes nothing.

    Raises NotFound when the version was never evaluated, or, for explainability, is no release.
    """
    spec, names = stack.model(model), stack.names(model)
    wanted = asked_for(spec)
    standing = {kind: stack.schedules.standing(kind, names.schedule(kind)) for kind in SCHEDULE_KINDS}
    changes = [
        ScheduleChange(kind, found.name, "delete", found.cron, None, None)
        for kind, found in standing.items()
        if found is not None and kind not in wanted
    ]
    drafts: dict[ScheduleKind, ScheduleDraft] = {}
    if wanted:
        package = _package(stack, model, version)
        evaluation = _evaluation(stack, package)
        for kind, asked in wanted.items():
            draft = _draft(stack, spec, kind, asked, package, evaluation, dry_run=dry_run)
            drafts[kind] = draft
            what = _compared(stack, standing[kind], draft)
            changes.append(ScheduleChange(kind, draft.name, what, draft.cron, package.version, draft.constraints_uri))
    if not dry_run:
        for change in changes:
            _do(stack, spec, change, drafts.get(change.kind), reporter)
    return tuple(changes)


def standing_schedules(stack: StackContext, model: str) -> tuple[ExistingSchedule, ...]:
    """The schedules of the three kinds that there are."""
    names = stack.names(model)
    found = (stack.schedules.standing(kind, names.schedule(kind)) for kind in SCHEDULE_KINDS)
    return tuple(each for each in found if each is not None)


def strayed(stack: StackContext, model: str) -> tuple[str, ...]:
    """How the schedules that there are differ from those that model.yaml asks for, a sentence each."""
    wanted = asked_for(stack.model(model))
    there = {each.kind: each for each in standing_schedules(stack, model)}
    found = [f"{kind} is not scheduled" for kind in wanted if kind not in there]
    for kind, each in there.items():
        asked = wanted.get(kind)
        if asked is None:
            found.append(f"{kind} is scheduled, and model.yaml does not ask for it")
        elif each.cron != asked.cron:
            found.append(f"{kind} runs by {each.cron}, and model.yaml says {asked.cron}")
        elif each.status not in ("Scheduled", "Pending"):
            found.append(f"{kind} is {each.status}{f': {each.failure_reason}' if each.failure_reason else ''}")
    return tuple(found)


def all_strayed(stack: StackContext) -> dict[str, tuple[str, ...]]:
    """The same for every model of the stack that asks for such a schedule; those as they should be are left out."""
    asking = [model for model in stack.settings.models if asked_for(stack.model(model))]
    found = {model: strayed(stack, model) for model in asking}
    return {model: told for model, told in found.items() if told}


def remove_schedules(stack: StackContext, model: str) -> None:
    """All three kinds with their alarms, whatever model.yaml says."""
    names = stack.names(model)
    for kind in SCHEDULE_KINDS:
        if stack.schedules.remove(kind, names.schedule(kind)):
            stack.metrics.delete_alarm(names.schedule(kind))


def _compared(
    stack: StackContext, before: ExistingSchedule | None, draft: ScheduleDraft
) -> Literal["create", "update", "none"]:
    if before is None:
        return "create"
    same = (before.definition, before.cron) == (stack.schedules.definition(draft), draft.cron)
    return "none" if same and before.status in ("Scheduled", "Pending") else "update"


def _do(
    stack: StackContext, spec: ModelSpec, change: ScheduleChange, draft: ScheduleDraft | None, reporter: Reporter
) -> None:
    if change.change == "delete":
        reporter("step", {"text": f"Deleting {change.name}: model.yaml does not ask for it any more"})
        stack.schedules.remove(change.kind, change.name)
        stack.metrics.delete_alarm(change.name)
        return
    assert draft is not None
    if change.change != "none":
        reporter("step", {"text": f"{'Creating' if change.change == 'create' else 'Updating'} {change.name}"})
        stack.schedules.put(draft)
    stack.metrics.put_bound(_alarm(stack, spec, draft))


def _alarm(stack: StackContext, spec: ModelSpec, draft: ScheduleDraft) -> BoundAlarm:
    what = {
        "model-quality": "metrics on late labels",
        "bias": "differences between groups",
        "explainability": "reasons",
    }
    return BoundAlarm(
        name=draft.name,
        description=f"{draft.endpoint}: {what[draft.kind]} broke a bound of model.yaml. "
        f"Next: bedplate monitor report {spec.name} --kind {draft.kind}",
        namespace=NAMESPACES[draft.kind],
        metric=VIOLATIONS,
        dimensions={"Endpoint": draft.endpoint, "MonitoringSchedule": draft.name},
        threshold=0,
        period_s=_HOUR_S if draft.cron == HOURLY else DAILY_S,
        topic_arn=stack.outputs.alerts_topic_arn,
        tags=draft.tags,
    )


# --- what a definition says -----------------------------------------------------------------------------------------


def _draft(
    stack: StackContext,
    spec: ModelSpec,
    kind: ScheduleKind,
    asked: Schedule,
    package: Package,
    evaluation: Evaluation,
    *,
    dry_run: bool,
) -> ScheduleDraft:
    names, outputs = stack.names(spec.name), stack.outputs
    constraints = json.dumps(_constraints(spec, kind, package, evaluation), indent=1).encode()
    base = f"s3://{outputs.artifacts_bucket}/{names.schedule_prefix(kind)}{_digest(constraints)}/"
    files = {f"{base}constraints.json": constraints}
    config_uri = None
    if kind != "model-quality":
        release = _release(stack, names, package.version) if kind == "explainability" else None
        config = json.dumps(_config(spec, release), indent=1).encode()
        config_uri = f"{base}analysis_config-{_digest(config)}.json"
        files[config_uri] = config
    for uri, body in {} if dry_run else files.items():
        stack.objects.put(uri, body, content_type="application/json")
    delay = asked.delay_hours if isinstance(asked, LabelledSchedule) else 0
    ours = kind != "explainability" or stack.settings.target == "local"
    return ScheduleDraft(
        kind=kind,
        name=names.schedule(kind),
        cron=asked.cron,
        endpoint=names.endpoint,
        binary=spec.task == "binary",
        features=spec.data.features,
        image_uri=outputs.image_uri if ours else stack.schedules.explainer_image(),
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
        start_offset_h=delay + asked.look_back_hours,
        end_offset_h=delay,
        role_arn=outputs.execution_role(spec.name),
        instance_type=INSTANCE_TYPE,
        max_runtime_s=MAX_RUNTIME_S,
        isolated=ours,  # Amazon's own image asks a shadow endpoint, so it needs the network
        tags=tags.for_model(
            project=stack.project,
            stack=stack.name,
            model=spec.name,
            version=None,
            owner=spec.owner,
            cost_center=stack.settings.cost_center,
        ),
        kms_key_arn=outputs.kms_key_arn,
        network=outputs.network,
    )


def _constraints(spec: ModelSpec, kind: ScheduleKind, package: Package, evaluation: Evaluation) -> dict[str, Any]:
    """In the shape of SageMaker's own constraints of the kind, with all that the image needs under `bedplate`."""
    reference: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    if kind == "model-quality":
        metrics = {str(metric): figure.to_json()["value"] for metric, figure in evaluation.candidate.items()}
        reference["metrics"] = metrics
        key = "binary_classification_constraints" if spec.task == "binary" else "regression_constraints"
        theirs[key] = {
            m: _threshold(m, metrics[m], drop)
            for m, drop in spec.monitors.max_drop.items()
            if metrics.get(m) is not None
        }
    elif kind == "bias":
        reference["fairness"] = [found.to_json() for found in evaluation.fairness]
        facets: dict[str, list[dict[str, Any]]] = {}
        for found in evaluation.fairness:
            facets.setdefault(found.by, []).append(
                {"name": found.metric, "value": found.to_json()["difference"]["value"]}
            )
        theirs["post_training_bias_metrics"] = {"label": spec.data.label, "facets": facets}
    else:
        explained = evaluation.trials.explanation
        known = explained.importances if explained else ()
        if not known:
            raise NotFound(
                f"The evaluation of v{package.version} holds no importances to hold reasons against",
                next_step=f"bedplate evaluate {spec.name}:{package.version}",
            )
        importances = {each.feature: each.candidate for each in known if each.candidate is not None}
        reference["importances"] = importances
        theirs["explanations"] = {"kernel_shap": {"label0": {"global_shap_values": importances}}}
    ours = {
        "format": FORMAT,
        "kind": kind,
        "version": str(package.version),
        "spec": spec.model_dump(mode="json"),
        "reference": reference,
    }
    return {"version": 0.0, **theirs, "bedplate": ours}


def _threshold(metric: str, value: float, drop: float) -> dict[str, Any]:
    from bedplate.domain.evidence.metrics import HIGHER_IS_BETTER

    if metric in HIGHER_IS_BETTER:
        return {"threshold": value - drop, "comparison_operator": "LessThanThreshold"}
    return {"threshold": value + drop, "comparison_operator": "GreaterThanThreshold"}


def _config(spec: ModelSpec, release: str | None) -> dict[str, Any]:
    """SageMaker Clarify's analysis configuration; the image of ours reads of it only which model is to be asked."""
    common = {
        "dataset_type": "application/jsonlines",
        "headers": [*spec.data.features, spec.data.label],
        "label": spec.data.label,
    }
    if release is None:
        facets = list(dict.fromkeys(gate.by for gate in spec.gates.fairness))
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


def _release(stack: StackContext, names: ModelNames, version: int) -> str:
    """The newest release of a version: a Model of that name is what can be asked."""
    found = next(
        (r.name for r in stack.endpoints.releases(names.endpoint) if version_of_release(r.name) == version), ""
    )
    if not found:
        raise NotFound(
            f"v{version} was not released, so there is no model in SageMaker that could explain itself",
            next_step=f"bedplate deploy {names.model}:{version}",
        )
    return found


def _package(stack: StackContext, model: str, version: int | None) -> Package:
    if version is None:
        version = version_told(observe(stack, model, ()).live)
        if not version:
            raise NotFound(
                f"The fallback is live, and no evaluation bounds it: name a version of {model}",
                next_step=f"bedplate monitor schedule {model} 1",
            )
    return stack.registry.get(stack.names(model).package_group, version)


def _evaluation(stack: StackContext, package: Package) -> Evaluation:
    from bedplate.domain.evidence.evaluation import Evaluation  # numpy, of which a look at what stands needs none

    uri = package.metadata.get("evaluation_uri")
    if not uri:
        raise NotFound(
            f"v{package.version} was never evaluated, so there are no bounds for a schedule",
            next_step=f"bedplate evaluate {package.metadata.get('model', '<model>')}:{package.version}",
        )
    return Evaluation.from_json(json.loads(stack.objects.get(uri)))


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
