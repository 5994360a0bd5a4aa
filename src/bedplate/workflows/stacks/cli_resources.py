"""What the command line made in a stack: versions, releases, schedules, alarms; they go when the stack goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bedplate.errors import NotFound
from bedplate.ports import Package
from bedplate.workflows.stack_context import Platform
from bedplate.workflows.watch.schedules import remove_schedules, standing_schedules


@dataclass(frozen=True, slots=True)
class Belongings:
    """Of one model. SageMaker deletes no group that still has versions, and knows nothing of what a release was."""

    model: str
    versions: tuple[Package, ...]
    releases: tuple[str, ...]
    schedules: tuple[str, ...] = ()


def belongings(platform: Platform) -> tuple[Belongings, ...]:
    """Of every model that the stack's file names and that has any.

    The platform's outputs are not asked, so that a destroy that broke off can be finished when they are gone.
    """
    found = []
    for model in platform.settings.models:
        names = platform.names(model)
        try:
            versions = tuple(platform.registry.versions(names.package_group))
        except NotFound:
            versions = ()
        releases = tuple(release.name for release in platform.endpoints.releases(names.endpoint))
        schedules = tuple(each.name for each in standing_schedules(platform, model))
        if versions or releases or schedules:
            found.append(Belongings(model, versions, releases, schedules))
    return tuple(found)


def remove_versions(platform: Platform, held: Sequence[Belongings]) -> None:
    """Before the groups are deleted."""
    for package in (package for b in held for package in b.versions):
        platform.registry.delete(package)


def remove_watches(platform: Platform, held: Sequence[Belongings]) -> None:
    """Schedules that the program knows nothing of, before the endpoint that they watch is deleted."""
    for b in held:
        if b.schedules:
            remove_schedules(platform, b.model)


def remove_releases(platform: Platform, held: Sequence[Belongings]) -> None:
    """After the endpoints are gone: a live release cannot be deleted."""
    for b in held:
        for release in b.releases:
            platform.endpoints.delete_release(release)
            platform.metrics.delete_alarm(platform.names(b.model).guard_alarm(release))
