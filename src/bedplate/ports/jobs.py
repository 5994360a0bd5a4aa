"""Training, processing and tuning jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from bedplate.settings import PlatformNetwork, Range, Strategy

JobStatus = Literal["InProgress", "Completed", "Failed", "Stopping", "Stopped"]


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """A script-mode training: `channels` maps a channel's name to an S3 prefix; `code` holds the model folder."""

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
    """On spot instances, with so much time for waiting and running together; None: on demand."""
    checkpoint_uri: str | None = None
    """S3 prefix of what the script leaves in its checkpoint folder, and finds there when it is started again."""


@dataclass(frozen=True, slots=True)
class ProcessingRequest:
    """One run of the image: `command` None starts its default entry point (the monitor)."""

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
    """A training or processing job as the platform reports it."""

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
    """Of a training: how long it ran; on spot instances less of it is billable."""

    @property
    def saved_pct(self) -> float | None:
        """What spot instances saved, as SageMaker counts it: 1 - billable / training time; None where nothing was."""
        if not self.training_s or self.billable_s is None or self.billable_s >= self.training_s:
            return None
        return 100 * (1 - self.billable_s / self.training_s)


@dataclass(frozen=True, slots=True)
class TuningRequest:
    """Many trainings like `training`, with points of `ranges` over its hyper-parameters; its name is a template's."""

    name: str
    training: TrainingRequest
    ranges: Mapping[str, Range]
    objective: str
    maximize: bool
    strategy: Strategy
    trials: int
    parallel: int
    early_stopping: bool
    seed: int


@dataclass(frozen=True, slots=True)
class TuningTrial:
    """One training of a tuning; `value` is the objective's last figure, None where there is none (yet)."""

    job: str
    status: JobStatus
    params: Mapping[str, str]
    value: float | None


@dataclass(frozen=True, slots=True)
class TuningJob:
    """A tuning as the platform reports it, its trials in the order of their beginning."""

    name: str
    arn: str
    status: JobStatus
    failure_reason: str | None
    best: str | None
    """Name of the best trial's training job."""
    trials: tuple[TuningTrial, ...]


class Jobs(Protocol):
    def submit_tuning(self, request: TuningRequest) -> TuningJob: ...
    def tuning(self, name: str) -> TuningJob: ...

    def submit_training(self, request: TrainingRequest) -> Job: ...
    def training(self, name: str) -> Job: ...
    def submit_processing(self, request: ProcessingRequest) -> Job: ...
    def processing(self, name: str) -> Job: ...
    def stop(self, name: str) -> None: ...
    def log_lines(self, name: str, *, kind: Literal["training", "processing"], after: int = 0) -> Sequence[str]:
        """Lines of the job's log from line number `after` on; empty when there are none yet."""
        ...
