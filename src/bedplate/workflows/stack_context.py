"""The context that workflows take: one stack with its adapters (`wiring.Connection`, or fakes in tests)."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from bedplate import ports
from bedplate.domain.names import ModelNames
from bedplate.domain.tags import for_model
from bedplate.errors import NotFound
from bedplate.settings import ModelSpec, PlatformOutputs, StackSettings


class StackContext(Protocol):
    """One stack: its settings, identity, outputs and adapters. Each adapter is created on first use."""

    @property
    def project_dir(self) -> Path: ...
    @property
    def project(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def settings(self) -> StackSettings: ...
    @property
    def identity(self) -> ports.Identity: ...
    @property
    def outputs(self) -> PlatformOutputs: ...
    @property
    def jobs(self) -> ports.Jobs: ...
    @property
    def schedules(self) -> ports.Schedules: ...
    @property
    def registry(self) -> ports.Registry: ...
    @property
    def endpoints(self) -> ports.Endpoints: ...
    @property
    def objects(self) -> ports.Objects: ...
    @property
    def signer(self) -> ports.Signer: ...
    @property
    def metrics(self) -> ports.Metrics: ...
    @property
    def costs(self) -> ports.Costs: ...
    @property
    def experiments(self) -> ports.Experiments: ...
    @property
    def clock(self) -> ports.Clock: ...
    def model(self, name: str) -> ModelSpec: ...
    def names(self, model: str) -> ModelNames: ...


def model_tags(stack: StackContext, spec: ModelSpec, version: int | None) -> dict[str, str]:
    """Returns the tags of a resource that the CLI creates for a model; `version` is None when there is no version."""
    return for_model(
        project=stack.project,
        stack=stack.name,
        model=spec.name,
        version=version,
        owner=spec.owner,
        cost_center=stack.settings.cost_center,
    )


def find_package(stack: StackContext, model: str, version: int | None) -> ports.Package | None:
    """Returns the package of a version; None for the fallback, and when the version is not registered."""
    if not version:
        return None
    try:
        return stack.registry.get(stack.names(model).package_group, version)
    except NotFound:
        return None


def null_reporter(event: str, fields: object) -> None:
    """A `Reporter` that ignores every event."""
