"""Experiments and their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True, slots=True)
class RunDraft:
    """One training as it is kept for comparison. `job` is its identity: a second draft of it replaces the first."""

    experiment: str
    job: str
    name: str
    status: RunStatus
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class ExperimentRun:
    """A training that was kept; `id` is the tracking server's."""

    id: str
    job: str
    name: str
    status: RunStatus
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    started_at: datetime | None
    ended_at: datetime | None


class Experiments(Protocol):
    """Where trainings are kept side by side: MLflow. Everything raises PlatformError when it does not answer."""

    @property
    def where(self) -> str:
        """For people: the server's address, or the file. Empty when nothing is kept."""
        ...

    def warm(self) -> None:
        """Begin, in the background, what makes the first `log` slow; returns at once and never raises."""
        ...

    def log(self, draft: RunDraft) -> str:
        """Keep it; the run's id."""
        ...

    def add_metrics(self, experiment: str, job: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> bool:
        """Add figures that became known later to the run of a job; False when there is no such run."""
        ...

    def runs(self, experiment: str) -> Sequence[ExperimentRun]:
        """Every run, newest first; empty for an experiment that does not exist."""
        ...
