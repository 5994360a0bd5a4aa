"""Experiments and their runs, in MLflow's terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True, slots=True)
class RunDraft:
    """One training to log. `job` identifies the run: a second draft for the same job replaces the first."""

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
    """A logged training; `id` is MLflow's run id."""

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
    """The experiment tracker. Every method but `preload` raises PlatformError when it does not respond."""

    @property
    def location(self) -> str:
        """The tracking URI, for people; empty when tracking is off."""
        ...

    def preload(self) -> None:
        """Starts loading, in the background, what makes the first `log_run` slow; returns at once and never raises."""
        ...

    def log_run(self, draft: RunDraft) -> str:
        """Logs a run and returns its id."""
        ...

    def add_metrics(self, experiment: str, job: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> bool:
        """Adds metrics and tags to the run of a job; returns False when the job has no run."""
        ...

    def list_runs(self, experiment: str) -> Sequence[ExperimentRun]:
        """Returns every run, newest first; empty for an experiment that does not exist."""
        ...
