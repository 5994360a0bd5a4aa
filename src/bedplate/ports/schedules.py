"""Monitoring schedules, and what they ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bedplate.domain.names import ScheduleKind
from bedplate.settings import PlatformNetwork


@dataclass(frozen=True, slots=True)
class MonitoringExecution:
    """One run of a monitoring schedule. `status` is SageMaker's: `Completed`, `Failed` ..."""

    scheduled_at: datetime
    status: str
    job: str | None
    failure_reason: str | None


@dataclass(frozen=True, slots=True)
class ScheduleDraft:
    """A monitoring schedule of one of the three kinds, with its job definition.

    A run looks at requests from the run before minus `start_offset_h` to its own time minus `end_offset_h`, hours.
    `features` are the names in a request; explainability has no `ground_truth_uri`, model quality no `config_uri`;
    `isolated` jobs reach no network, also not AWS's.
    """

    kind: ScheduleKind
    name: str
    cron: str
    endpoint: str
    binary: bool
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
    isolated: bool
    tags: Mapping[str, str]
    kms_key_arn: str | None = None
    network: PlatformNetwork | None = None


@dataclass(frozen=True, slots=True)
class ExistingSchedule:
    """What SageMaker holds: `status` is `Scheduled`, `Stopped`, `Failed` or `Pending`."""

    kind: ScheduleKind
    name: str
    status: str
    cron: str
    definition: str
    failure_reason: str | None = None


class Schedules(Protocol):
    def executions(self, schedule: str, *, limit: int = 20) -> Sequence[MonitoringExecution]:
        """Runs of a schedule, newest first."""
        ...

    def definition(self, draft: ScheduleDraft) -> str:
        """The name of the job definition that a draft would have: it follows from its content."""
        ...

    def put(self, draft: ScheduleDraft) -> None:
        """Make the schedule what the draft says, under a new job definition where its content is another; the one
        before it goes."""
        ...

    def standing(self, kind: ScheduleKind, name: str) -> ExistingSchedule | None: ...
    def remove(self, kind: ScheduleKind, name: str) -> bool:
        """The schedule and its job definition; False when there was none."""
        ...

    def explainer_image(self) -> str:
        """Amazon's own image for explainability, in the session's region."""
        ...
