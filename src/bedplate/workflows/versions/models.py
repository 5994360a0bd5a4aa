"""Lists versions and checks models' folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bedplate.domain.names import version_of_release
from bedplate.domain.versions.scripts import inference_problems, training_problems
from bedplate.errors import NotFound, SettingsError
from bedplate.ports import Package
from bedplate.settings import ModelSpec, StackSettings, known_models, load_model
from bedplate.workflows.stack_context import StackContext


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version as `models list` shows it; `metric` is the first one that model.yaml's gates name."""

    model: str
    version: int
    approval: str
    verdict: str | None
    metric: str | None
    value: float | None
    live: bool
    trained_at: str
    trained_by: str
    forced: bool
    retire_on: str | None = None
    """The day that `models retire` gave this version."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model of the stack: what is live, and its newest versions. `live_release` None: no endpoint yet."""

    model: str
    live_release: str | None
    live_version: int | None
    versions: tuple[VersionRow, ...]
    count: int
    """How many versions there are in all."""


def list_models(stack: StackContext, only: str | None = None, *, newest: int | None = None) -> tuple[ModelRow, ...]:
    """Every model of the stack, or one, with its `newest` versions (None: all).

    Raises NotFound for an unknown one, or when the platform is not up.
    """
    if only is not None:
        stack.model(only)
    return tuple(_row(stack, model, newest) for model in ((only,) if only else stack.outputs.models))


def live_release(stack: StackContext, model: str) -> str | None:
    """The release whose configuration the endpoint holds; None when there is no endpoint."""
    try:
        return stack.endpoints.observe(stack.names(model).endpoint).config
    except NotFound:
        return None


def find_version(stack: StackContext, model: str, version: int | None) -> Package:
    """A version, or the newest one. Raises NotFound."""
    stack.model(model)
    group = stack.names(model).package_group
    if version is not None:
        return stack.registry.get(group, version)
    versions = stack.registry.versions(group)
    if not versions:
        raise NotFound(f"{model} has no version yet", next_step=f"bedplate train {model} --data <file.parquet>")
    return versions[0]


def leading_metric(spec: ModelSpec) -> str:
    """The metric that people look at first: the first threshold's, else the champion gate's, else the task's usual."""
    gates = spec.gates
    if gates.thresholds:
        return gates.thresholds[0].metric
    if gates.champion:
        return gates.champion.metric
    return "auc" if spec.task == "binary" else "rmse"


def _row(stack: StackContext, model: str, newest: int | None) -> ModelRow:
    release = live_release(stack, model)
    live = None if release is None else version_of_release(release) or 0
    try:
        metric = leading_metric(stack.model(model))
    except (NotFound, SettingsError):  # a stack may still hold a model whose folder is gone or broken
        metric = "auc"
    packages = stack.registry.versions(stack.names(model).package_group)
    rows = tuple(_version(model, package, metric, live) for package in packages[:newest])
    return ModelRow(model, release, live, rows, len(packages))


def _version(model: str, package: Package, metric: str, live: int | None) -> VersionRow:
    told = package.metadata
    value = told.get(f"metric.{metric}")
    return VersionRow(
        model=model,
        version=package.version,
        approval=package.approval,
        verdict=told.get("verdict"),
        metric=metric if value else None,
        value=float(value) if value else None,
        live=package.version == live,
        trained_at=told.get("trained_at", package.created_at.isoformat()),
        trained_by=told.get("trained_by", "?"),
        forced="forced_by" in told,
        retire_on=None if told.get("retire_on") == "never" else told.get("retire_on"),
    )


# --- models check ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """A model's folder; no faults means that it may be trained. Each fault says file, key and what was expected."""

    model: str
    faults: tuple[str, ...]
    elsewhere: bool = False
    """Whether the stack does not name it: no fault of a model that nobody asked for by name."""


def check_models(
    project_dir: Path, models: Sequence[str], settings: StackSettings | None, stack: str
) -> tuple[ModelCheck, ...]:
    """Check these models, or all, without any platform: contract, scripts, and whether the stack names those asked for.

    Raises NotFound for a model that has no folder.
    """
    asked = bool(models)
    return tuple(_checked(project_dir, m, settings, stack, asked=asked) for m in models or known_models(project_dir))


def _checked(project_dir: Path, model: str, settings: StackSettings | None, stack: str, *, asked: bool) -> ModelCheck:
    try:
        spec = load_model(project_dir, model, settings, stack=stack)
    except SettingsError as exc:
        return ModelCheck(model, exc.problems or (exc.message,))
    folder = f"models/{model}"
    scripts = ((spec.training.entry_point, training_problems), (spec.serving.entry_point, inference_problems))
    faults: list[str] = []
    for name, problems in scripts:
        path = project_dir / folder / name
        if not path.is_file():
            faults.append(f"{folder}/{name}: does not exist")
            continue
        faults += [f"{folder}/{name}: {problem}" for problem in problems(path.read_text(errors="replace"))]
    elsewhere = settings is not None and model not in settings.models
    if elsewhere and asked:
        faults.append(f"stacks/Pulumi.{stack}.yaml: bedplate:models: does not name {model}")
    return ModelCheck(model, tuple(faults), elsewhere)
