"""Lists environments, and compares two of them: their files and what is deployed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bedplate.domain.names import parse_release_version
from bedplate.domain.stacks.environments import SettingDifference, list_differences
from bedplate.errors import BedplateError, NotFound
from bedplate.settings import load_model, load_stack
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.stacks.stack import StackState


@dataclass(frozen=True, slots=True)
class StateSummary:
    """A summary of a stack's state; `error` says why it could not be read, and then nothing else is known."""

    last_update: datetime | None = None
    last_result: str | None = None
    resources: Mapping[str, int] = field(default_factory=dict)
    """The number of resources of each type, without components and providers."""
    error: str | None = None

    @property
    def resource_count(self) -> int:
        return sum(self.resources.values())


@dataclass(frozen=True, slots=True)
class EnvironmentRow:
    """One stack file; an invalid one has an `error` instead of values. `state` is None if the stack was never
    brought up."""

    stack: str
    target: str | None
    account_id: str | None
    region: str | None
    models: tuple[str, ...]
    state: StateSummary | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LiveModel:
    """What one environment serves for a model."""

    release: str
    version: int | None
    version_count: int
    """The number of versions in the registry."""


@dataclass(frozen=True, slots=True)
class DeployedState:
    """What is deployed in one environment; `error` says why it could not be reached."""

    models: Mapping[str, LiveModel]
    state: StateSummary | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class EnvironmentComparison:
    """Settings that differ, settings of models that differ (by model), and differences between what is deployed."""

    settings: tuple[SettingDifference, ...]
    models: Mapping[str, tuple[SettingDifference, ...]]
    a: DeployedState
    b: DeployedState
    deployed: tuple[SettingDifference, ...]


def read_state(state: StackState) -> StateSummary | None:
    """Returns None for a stack that was never brought up; an error of the backend is returned in the summary, not
    raised."""
    try:
        updates = state.history(limit=20)
        document = state.export()
    except NotFound:
        return None
    except BedplateError as exc:
        return StateSummary(error=exc.message.splitlines()[0])
    last_update = next((update for update in updates if update.verb in ("up", "destroy")), None)
    resources = (document.get("deployment") or {}).get("resources") or []
    counts = Counter(
        resource["type"]
        for resource in resources
        if resource.get("custom") and not resource["type"].startswith("pulumi:providers:")
    )
    ended_at = last_update.ended_at or last_update.started_at if last_update else None
    return StateSummary(ended_at, last_update.result if last_update else None, dict(sorted(counts.items())))


def list_environments(
    project_dir: Path, stacks: Sequence[str], open_state: Callable[[str], StackState]
) -> tuple[EnvironmentRow, ...]:
    """Returns every stack with a file; an invalid file is a row with an error."""
    rows = []
    for stack in stacks:
        try:
            settings = load_stack(project_dir, stack)
        except BedplateError as exc:
            rows.append(EnvironmentRow(stack, None, None, None, (), None, exc.message))
            continue
        try:
            state = read_state(open_state(stack))
        except BedplateError as exc:
            state = StateSummary(error=exc.message.splitlines()[0])
        account = (settings.target, settings.account_id, settings.region)
        rows.append(EnvironmentRow(stack, *account, settings.models, state))
    return tuple(rows)


def read_deployed_state(stack: StackContext, state: StateSummary | None) -> DeployedState:
    """Returns the live version of each model. An error of the environment is returned in the result, not raised."""
    models: dict[str, LiveModel] = {}
    try:
        for model in stack.settings.models:
            names = stack.names(model)
            try:
                release = stack.endpoints.observe(names.endpoint).config
            except NotFound:
                continue
            version = parse_release_version(release)
            models[model] = LiveModel(release, version, len(stack.registry.list_versions(names.package_group)))
    except BedplateError as exc:
        return DeployedState(models, state, exc.message.splitlines()[0])
    return DeployedState(models, state)


def compare_settings(
    project_dir: Path, a: str, b: str
) -> tuple[tuple[SettingDifference, ...], dict[str, tuple[SettingDifference, ...]]]:
    """Returns the differences of two stack files, and of each model's contract with the overrides of both.

    Raises NotFound, SettingsError.
    """
    left, right = load_stack(project_dir, a), load_stack(project_dir, b)
    values = [settings.model_dump(mode="json", exclude={"overrides"}) for settings in (left, right)]
    models: dict[str, tuple[SettingDifference, ...]] = {}
    for model in sorted({*left.models} & {*right.models}):
        left_values = load_model(project_dir, model, left, stack=a).model_dump(mode="json")
        right_values = load_model(project_dir, model, right, stack=b).model_dump(mode="json")
        if model_differences := list_differences(left_values, right_values):
            models[model] = model_differences
    return list_differences(values[0], values[1]), models


def compare_environments(
    project_dir: Path, a: str, b: str, deployed: tuple[DeployedState, DeployedState]
) -> EnvironmentComparison:
    """Compares files and deployments; what could not be read on one side is not a difference."""
    settings, models = compare_settings(project_dir, a, b)
    left, right = deployed
    deployed_differences: tuple[SettingDifference, ...] = ()
    if not left.error and not right.error:
        deployed_differences += list_differences(_describe_models(left), _describe_models(right))
    if left.state and right.state and not left.state.error and not right.state.error:
        deployed_differences += list_differences(
            {"resources": left.state.resources}, {"resources": right.state.resources}
        )
    return EnvironmentComparison(settings, models, left, right, deployed_differences)


def _describe_models(side: DeployedState) -> dict[str, Any]:
    """Returns versions and version counts; release names contain the stack's name, so they always differ."""
    return {
        "live": {model: f"version {model_state.version or 0}" for model, model_state in side.models.items()},
        "registered versions": {model: model_state.version_count for model, model_state in side.models.items()},
    }
