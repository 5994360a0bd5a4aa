"""SageMaker's training, processing and tuning jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from bedplate.settings import PlatformNetwork, Range, Strategy

JobStatus = Literal["InProgress", "Completed", "Failed", "Stopping", "Stopped"]


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """A script-mode training job. `channels` maps a channel's name to an S3 prefix; `code` is the model folder."""

    name: str
    image_uri: str
    role_arn: str
    entry_point: str
    channels: Mapping[str, str]
    output_uri: str
    hyperparameters: Mapping[str, str]
    environment: Mapping[str, str]
    instance_type: str
    instance_count: int
    volume_gb: int
    max_runtime_s: int
    tags: Mapping[str, str]
    kms_key_arn: str | None = None
    network: PlatformNetwork | None = None
    spot_max_wait_s: int | None = None
    """Uses spot instances, with this limit on waiting and running together; None uses on-demand instances."""
    checkpoint_uri: str | None = None
    """S3 prefix that the script's checkpoint folder is saved to, and restored from after an interruption."""


@dataclass(frozen=True, slots=True)
class ProcessingRequest:
    """A processing job; `command` None starts the image's default entry point, which is the monitor."""

    name: str
    image_uri: str
    role_arn: str
    command: tuple[str, ...] | None
    inputs: Mapping[str, tuple[str, str]]
    """Name -> (S3 URI, local path below /opt/ml/processing/)."""
    outputs: Mapping[str, tuple[str, str]]
    """Name -> (local path below /opt/ml/processing/, S3 URI)."""
    environment: Mapping[str, str]
    instance_type: str
    max_runtime_s: int
    tags: Mapping[str, str]
    kms_key_arn: str | None = None
    network: PlatformNetwork | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A training or processing job as SageMaker reports it."""

    name: str
    arn: str
    status: JobStatus
    phase: str
    failure_reason: str | None
    artifact_uri: str | None
    billable_s: float | None
    started_at: datetime | None
    ended_at: datetime | None
    training_s: float | None = None
    """How long a training ran; on spot instances `billable_s` is less. None for a processing job."""

    @property
    def spot_savings_pct(self) -> float | None:
        """Per cent of the training time that is not billed, as SageMaker computes it; None when all of it is."""
        if not self.training_s or self.billable_s is None or self.billable_s >= self.training_s:
            return None
        return 100 * (1 - self.billable_s / self.training_s)


@dataclass(frozen=True, slots=True)
class TuningRequest:
    """Runs `training` repeatedly with values drawn from `ranges`; `training.name` is a name template."""

    name: str
    training: TrainingRequest
    ranges: Mapping[str, Range]
    objective: str
    maximize: bool
    strategy: Strategy
    max_trials: int
    max_parallel: int
    early_stopping: bool
    seed: int


@dataclass(frozen=True, slots=True)
class TuningTrial:
    """One training of a tuning job; `objective_value` is the last value of the objective metric, None without one."""

    job: str
    status: JobStatus
    params: Mapping[str, str]
    objective_value: float | None


@dataclass(frozen=True, slots=True)
class TuningJob:
    """A tuning job as SageMaker reports it, its trials in the order in which they started."""

    name: str
    arn: str
    status: JobStatus
    failure_reason: str | None
    best_job: str | None
    """Name of the best trial's training job; None when no trial has an objective value."""
    trials: tuple[TuningTrial, ...]


class Jobs(Protocol):
    def submit_tuning(self, request: TuningRequest) -> TuningJob: ...
    def get_tuning(self, name: str) -> TuningJob: ...

    def submit_training(self, request: TrainingRequest) -> Job: ...
    def get_training(self, name: str) -> Job: ...
    def submit_processing(self, request: ProcessingRequest) -> Job: ...
    def get_processing(self, name: str) -> Job: ...
    def stop(self, name: str) -> None: ...
    def list_log_lines(self, name: str, *, kind: Literal["training", "processing"], skip: int = 0) -> Sequence[str]:
        """Returns the lines of the job's log after the first `skip`; empty when there are none yet."""
        ...
