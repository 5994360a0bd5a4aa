"""Lists models with their versions, and checks models' folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bedplate.domain.names import parse_release_version
from bedplate.domain.versions.scripts import check_inference_script, check_training_script
from bedplate.errors import NotFound, SettingsError
from bedplate.ports import Package
from bedplate.settings import ModelSpec, StackSettings, list_model_names, load_model
from bedplate.workflows.stack_context import StackContext


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version as `models list` shows it; `metric` is the model's primary metric if it was evaluated."""

    model: str
    version: int
    approval: str
    verdict: str | None
    metric: str | None
    value: float | None
    is_live: bool
    trained_at: str
    trained_by: str
    is_forced: bool
    retire_on: str | None = None
    """The date that `models retire` set for this version."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model with its live release and its newest versions; `live_release` is None without an endpoint."""

    model: str
    live_release: str | None
    live_version: int | None
    versions: tuple[VersionRow, ...]
    version_count: int
    """The number of all versions."""


def list_models(stack: StackContext, model: str | None = None, *, newest: int | None = None) -> tuple[ModelRow, ...]:
    """Returns every model of the stack, or one, with its `newest` versions (None: all).

    Raises NotFound for an unknown model, or if the platform is not up.
    """
    if model is not None:
        stack.model(model)
    return tuple(_build_model_row(stack, name, newest) for name in ((model,) if model else stack.outputs.models))


def find_live_release(stack: StackContext, model: str) -> str | None:
    """Returns the release whose configuration the endpoint uses; None without an endpoint."""
    try:
        return stack.endpoints.observe(stack.names(model).endpoint).config
    except NotFound:
        return None


def find_version(stack: StackContext, model: str, version: int | None) -> Package:
    """Returns a version, or the newest one. Raises NotFound."""
    stack.model(model)
    group = stack.names(model).package_group
    if version is not None:
        return stack.registry.get(group, version)
    versions = stack.registry.list_versions(group)
    if not versions:
        raise NotFound(f"{model} has no version yet", next_step=f"bedplate train {model} --data <file.parquet>")
    return versions[0]


def primary_metric(spec: ModelSpec) -> str:
    """Returns the first threshold's metric, else the champion gate's, else the task's usual one."""
    gates = spec.gates
    if gates.thresholds:
        return gates.thresholds[0].metric
    if gates.champion:
        return gates.champion.metric
    return "auc" if spec.task == "binary" else "rmse"


def _build_model_row(stack: StackContext, model: str, newest: int | None) -> ModelRow:
    release = find_live_release(stack, model)
    live = None if release is None else parse_release_version(release) or 0
    try:
        metric = primary_metric(stack.model(model))
    except (NotFound, SettingsError):  # a stack may still have a model whose folder no longer exists or is invalid
        metric = "auc"
    packages = stack.registry.list_versions(stack.names(model).package_group)
    rows = tuple(_build_version_row(model, package, metric, live) for package in packages[:newest])
    return ModelRow(model, release, live, rows, len(packages))


def _build_version_row(model: str, package: Package, metric: str, live: int | None) -> VersionRow:
    metadata = package.metadata
    value = metadata.get(f"metric.{metric}")
    return VersionRow(
        model=model,
        version=package.version,
        approval=package.approval,
        verdict=metadata.get("verdict"),
        metric=metric if value else None,
        value=float(value) if value else None,
        is_live=package.version == live,
        trained_at=metadata.get("trained_at", package.created_at.isoformat()),
        trained_by=metadata.get("trained_by", "?"),
        is_forced="forced_by" in metadata,
        retire_on=None if metadata.get("retire_on") == "never" else metadata.get("retire_on"),
    )


# --- models check ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """The check of a model's folder; without errors it can be trained. Each error names file, key and what was
    expected."""

    model: str
    errors: tuple[str, ...]
    is_unlisted: bool = False
    """Whether the stack does not list the model; an error only if the model was named explicitly."""


def check_models(
    project_dir: Path, models: Sequence[str], settings: StackSettings | None, stack: str
) -> tuple[ModelCheck, ...]:
    """Checks these models, or all, without a platform: contract, scripts, and whether the stack lists the named
    ones.

    Raises NotFound for a model without a folder.
    """
    is_explicit = bool(models)
    names = models or list_model_names(project_dir)
    return tuple(_check_model(project_dir, name, settings, stack, is_explicit=is_explicit) for name in names)


def _check_model(
    project_dir: Path, model: str, settings: StackSettings | None, stack: str, *, is_explicit: bool
) -> ModelCheck:
    try:
        spec = load_model(project_dir, model, settings, stack=stack)
    except SettingsError as exc:
        return ModelCheck(model, exc.problems or (exc.message,))
    folder = f"models/{model}"
    scripts = ((spec.training.entry_point, check_training_script), (spec.serving.entry_point, check_inference_script))
    errors: list[str] = []
    for name, check_script in scripts:
        path = project_dir / folder / name
        if not path.is_file():
            errors.append(f"{folder}/{name}: does not exist")
            continue
        errors += [f"{folder}/{name}: {problem}" for problem in check_script(path.read_text(errors="replace"))]
    is_unlisted = settings is not None and model not in settings.models
    if is_unlisted and is_explicit:
        errors.append(f"stacks/Pulumi.{stack}.yaml: bedplate:models: does not name {model}")
    return ModelCheck(model, tuple(errors), is_unlisted)
