"""What the command line made in a stack: versions, releases, schedules, alarms; they go when the stack goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bedplate.errors import NotFound
from bedplate.ports import Package
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.watch.schedules import list_schedules, remove_schedules


@dataclass(frozen=True, slots=True)
class CliResources:
    """Of one model. SageMaker deletes no group that still has versions, and knows nothing of what a release was."""

    model: str
    versions: tuple[Package, ...]
    releases: tuple[str, ...]
    schedules: tuple[str, ...] = ()


def list_cli_resources(stack: StackContext) -> tuple[CliResources, ...]:
    """Of every model that the stack's file names and that has any.

    The platform's outputs are not asked, so that a destroy that broke off can be finished when they are gone.
    """
    found = []
    for model in stack.settings.models:
        names = stack.names(model)
        try:
            versions = tuple(stack.registry.list_versions(names.package_group))
        except NotFound:
            versions = ()
        releases = tuple(release.name for release in stack.endpoints.list_releases(names.endpoint))
        schedules = tuple(each.name for each in list_schedules(stack, model))
        if versions or releases or schedules:
            found.append(CliResources(model, versions, releases, schedules))
    return tuple(found)


def remove_versions(stack: StackContext, resources: Sequence[CliResources]) -> None:
    """Before the groups are deleted."""
    for package in (package for b in resources for package in b.versions):
        stack.registry.delete(package)


def remove_all_schedules(stack: StackContext, resources: Sequence[CliResources]) -> None:
    """Schedules that the program knows nothing of, before the endpoint that they watch is deleted."""
    for b in resources:
        if b.schedules:
            remove_schedules(stack, b.model)


def remove_releases(stack: StackContext, resources: Sequence[CliResources]) -> None:
    """After the endpoints are gone: a live release cannot be deleted."""
    for b in resources:
        for release in b.releases:
            stack.endpoints.delete_release(release)
            stack.metrics.delete_alarm(stack.names(b.model).guard_alarm(release))
