"""Lists environments and compares two: what their files say, and what is deployed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from bedplate.domain.names import parse_release_version
from bedplate.domain.stacks.environments import SettingDifference, list_differences
from bedplate.errors import BedplateError, NotFound
from bedplate.settings import load_model, load_stack
from bedplate.workflows.stack_context import StackContext


class Run(Protocol):
    """`engine.update.PastUpdate`."""

    @property
    def verb(self) -> str: ...
    @property
    def result(self) -> str: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime | None: ...


class State(Protocol):
    """`engine.stack.Stack`, as far as its state is looked at."""

    def history(self, limit: int = 20) -> Sequence[Run]: ...
    def export(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class StateSummary:
    """What the state of a stack tells; `error` says why it could not be read, and then nothing else is known."""

    last_update: datetime | None = None
    last_result: str | None = None
    resources: Mapping[str, int] = field(default_factory=dict)
    """How many of each type, without components and providers."""
    error: str | None = None

    @property
    def resource_count(self) -> int:
        return sum(self.resources.values())


@dataclass(frozen=True, slots=True)
class EnvironmentRow:
    """One stack file; `error` instead of its values when it is faulty. `state` None: it was never brought up."""

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
    """Versions in the registry."""


@dataclass(frozen=True, slots=True)
class DeployedState:
    """One side of a comparison; `error` says why the environment could not be reached."""

    models: Mapping[str, LiveModel]
    state: StateSummary | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class EnvironmentComparison:
    """Settings that differ, settings of models that differ (by model), what is deployed on each side and differs."""

    settings: tuple[SettingDifference, ...]
    models: Mapping[str, tuple[SettingDifference, ...]]
    a: DeployedState
    b: DeployedState
    deployed: tuple[SettingDifference, ...]


def read_state(state: State) -> StateSummary | None:
    """None for a stack that was never brought up; a backend that does not answer is told, not raised."""
    try:
        runs = state.history(limit=20)
        document = state.export()
    except NotFound:
        return None
    except BedplateError as exc:
        return StateSummary(error=exc.message.splitlines()[0])
    done = next((run for run in runs if run.verb in ("up", "destroy")), None)
    held = (document.get("deployment") or {}).get("resources") or []
    counts = Counter(r["type"] for r in held if r.get("custom") and not r["type"].startswith("pulumi:providers:"))
    return StateSummary(
        done.ended_at or done.started_at if done else None, done.result if done else None, dict(sorted(counts.items()))
    )


def list_environments(
    project_dir: Path, stacks: Sequence[str], open_state: Callable[[str], State]
) -> tuple[EnvironmentRow, ...]:
    """Every stack with a file; a faulty file is a row that says so."""
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
        where = (settings.target, settings.account_id, settings.region)
        rows.append(EnvironmentRow(stack, *where, settings.models, state))
    return tuple(rows)


def read_deployed_state(stack: StackContext, state: StateSummary | None) -> DeployedState:
    """What answers for each model now. An environment that cannot be reached is told, not raised."""
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
    """What two stack files say differently, and each model's contract with the overrides of both.

    Raises NotFound, SettingsError.
    """
    left, right = load_stack(project_dir, a), load_stack(project_dir, b)
    plain = [settings.model_dump(mode="json", exclude={"overrides"}) for settings in (left, right)]
    models: dict[str, tuple[SettingDifference, ...]] = {}
    for model in sorted({*left.models} & {*right.models}):
        one = load_model(project_dir, model, left, stack=a).model_dump(mode="json")
        other = load_model(project_dir, model, right, stack=b).model_dump(mode="json")
        if found := list_differences(one, other):
            models[model] = found
    return list_differences(plain[0], plain[1]), models


def compare_environments(project_dir: Path, a: str, b: str, deployed: tuple[DeployedState, DeployedState]) -> EnvironmentComparison:
    """Both files and both deployments; what one side could not tell is no difference."""
    settings, models = compare_settings(project_dir, a, b)
    left, right = deployed
    found: tuple[SettingDifference, ...] = ()
    if not left.error and not right.error:
        found += list_differences(_describe_models(left), _describe_models(right))
    if left.state and right.state and not left.state.error and not right.state.error:
        found += list_differences({"resources": left.state.resources}, {"resources": right.state.resources})
    return EnvironmentComparison(settings, models, left, right, found)


def _describe_models(side: DeployedState) -> dict[str, Any]:
    """Versions and registered counts; a release's name holds its stack's, so it differs always."""
    return {
        "live": {model: f"version {live.version or 0}" for model, live in side.models.items()},
        "registered versions": {model: live.version_count for model, live in side.models.items()},
    }
