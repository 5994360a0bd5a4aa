"""Lists and removes what the CLI created in a stack: versions, releases, schedules and alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bedplate.errors import NotFound
from bedplate.ports import Package
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.watch.schedules import list_schedules, remove_schedules


@dataclass(frozen=True, slots=True)
class CliResources:
    """The resources of one model. SageMaker does not delete a group with versions, or a release with its endpoint."""

    model: str
    versions: tuple[Package, ...]
    releases: tuple[str, ...]
    schedules: tuple[str, ...] = ()


def list_cli_resources(stack: StackContext) -> tuple[CliResources, ...]:
    """Returns the resources of every model in the stack's file that has any.

    The platform's outputs are not read, so that an interrupted destroy can be finished without them.
    """
    resources = []
    for model in stack.settings.models:
        names = stack.names(model)
        try:
            versions = tuple(stack.registry.list_versions(names.package_group))
        except NotFound:
            versions = ()
        releases = tuple(release.name for release in stack.endpoints.list_releases(names.endpoint))
        schedules = tuple(schedule.name for schedule in list_schedules(stack, model))
        if versions or releases or schedules:
            resources.append(CliResources(model, versions, releases, schedules))
    return tuple(resources)


def remove_versions(stack: StackContext, resources: Sequence[CliResources]) -> None:
    """Deletes the versions; must run before the package groups are deleted."""
    for package in (package for item in resources for package in item.versions):
        stack.registry.delete(package)


def remove_all_schedules(stack: StackContext, resources: Sequence[CliResources]) -> None:
    """Removes schedules that are not part of the program, before their endpoint is deleted."""
    for model_resources in resources:
        if model_resources.schedules:
            remove_schedules(stack, model_resources.model)


def remove_releases(stack: StackContext, resources: Sequence[CliResources]) -> None:
    """Deletes releases and their alarms; must run after the endpoints are deleted, because a live release cannot be."""
    for model_resources in resources:
        for release in model_resources.releases:
            stack.endpoints.delete_release(release)
            stack.metrics.delete_alarm(stack.names(model_resources.model).guard_alarm(release))
