"""SageMaker's monitoring schedules and their executions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bedplate.domain.names import ScheduleKind
from bedplate.settings import PlatformNetwork


@dataclass(frozen=True, slots=True)
class MonitoringExecution:
    """One execution of a monitoring schedule. `status` is SageMaker's: `Completed`, `Failed`..."""

    scheduled_at: datetime
    status: str
    job: str | None
    failure_reason: str | None


@dataclass(frozen=True, slots=True)
class ScheduleDraft:
    """A monitoring schedule of one of the three kinds, with its job definition.

    An execution analyzes the requests from the previous execution's time minus `start_offset_h` hours to its own time
    minus `end_offset_h` hours. `features` are the names in a request. Explainability has no `ground_truth_uri`, model
    quality no `config_uri`. Jobs with `network_isolation` reach no network, not even AWS's.
    """

    kind: ScheduleKind
    name: str
    cron: str
    endpoint: str
    is_binary: bool
    features: tuple[str, ...]
    image_uri: str
    environment: Mapping[str, str]
    constraints_uri: str
    config_uri: str | None
    ground_truth_uri: str | None
    output_uri: str
    start_offset_h: int
    end_offset_h: int
    role_arn: str
    instance_type: str
    max_runtime_s: int
    network_isolation: bool
    tags: Mapping[str, str]
    kms_key_arn: str | None = None
    network: PlatformNetwork | None = None


@dataclass(frozen=True, slots=True)
class ExistingSchedule:
    """A schedule that exists in SageMaker; `status` is `Scheduled`, `Stopped`, `Failed` or `Pending`."""

    kind: ScheduleKind
    name: str
    status: str
    cron: str
    job_definition: str
    failure_reason: str | None = None


class Schedules(Protocol):
    def list_executions(self, schedule: str, *, limit: int = 20) -> Sequence[MonitoringExecution]:
        """Returns the executions of a schedule, newest first."""
        ...

    def definition_name(self, draft: ScheduleDraft) -> str:
        """Returns the name of the draft's job definition, which is derived from its content."""
        ...

    def put(self, draft: ScheduleDraft) -> None:
        """Creates or updates the schedule. Changed content gets a new job definition, and the old one is deleted."""
        ...

    def find(self, kind: ScheduleKind, name: str) -> ExistingSchedule | None: ...
    def delete(self, kind: ScheduleKind, name: str) -> bool:
        """Deletes the schedule and its job definition; returns False when there is no such schedule."""
        ...

    def clarify_image(self) -> str:
        """Returns the URI of SageMaker Clarify's image, for explainability, in the session's region."""
        ...
