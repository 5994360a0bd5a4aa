"""Starts, follows and stops SageMaker's training and processing jobs, and reads their logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from bedplate.aws.errors import is_missing, translated
from bedplate.aws.session import Session
from bedplate.errors import NotFound
from bedplate.ports import Job, JobStatus, ProcessingRequest, TrainingRequest, TuningJob, TuningRequest
from bedplate.settings import PlatformNetwork

JobKind = Literal["training", "processing"]
_GROUPS: dict[JobKind, str] = {
    "training": "/aws/sagemaker/TrainingJobs",
    "processing": "/aws/sagemaker/ProcessingJobs",
}
_STATUSES: dict[str, JobStatus] = {
    "InProgress": "InProgress",
    "Completed": "Completed",
    "Failed": "Failed",
    "Stopping": "Stopping",
    "Stopped": "Stopped",
}
PROCESSING_VOLUME_GB = 30


@dataclass
class _Log:
    """What was read of one job's log so far, in the order of reading, and where to go on in each stream."""

    lines: list[str] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)


class SageMakerJobs:
    """The `Jobs` port."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._logs: dict[tuple[JobKind, str], _Log] = {}

    def submit_training(self, request: TrainingRequest) -> Job:
        """Through the SageMaker SDK's ModelTrainer, whose import takes seconds and happens here only.

        Raises Conflict when there is a job of that name.
        """
        from bedplate.aws.sagemaker.model_trainer import submit

        with translated(f"Cannot start training job {request.name}"):
            submit(self._session, request)
        return self.training(request.name)

    def training(self, name: str) -> Job:
        with translated(f"Cannot find training job {name}"):
            found = self._sagemaker.describe_training_job(TrainingJobName=name)
        return Job(
            name=name,
            arn=found["TrainingJobArn"],
            status=_STATUSES[found["TrainingJobStatus"]],
            phase=found.get("SecondaryStatus", found["TrainingJobStatus"]),
            failure_reason=found.get("FailureReason") or None,
            artifact_uri=found.get("ModelArtifacts", {}).get("S3ModelArtifacts") or None,
            billable_s=found.get("BillableTimeInSeconds"),
            started_at=_utc(found.get("TrainingStartTime") or found.get("CreationTime")),
            ended_at=_utc(found.get("TrainingEndTime")),
            training_s=found.get("TrainingTimeInSeconds"),
        )

    def submit_tuning(self, request: TuningRequest) -> TuningJob:
        """Raises Conflict when there is a tuning job of that name."""
        from bedplate.aws.sagemaker.tuning import create_request

        with translated(f"Cannot start tuning job {request.name}"):
            self._sagemaker.create_hyper_parameter_tuning_job(**create_request(request))
        return self.tuning(request.name)

    def tuning(self, name: str) -> TuningJob:
        from bedplate.aws.sagemaker.tuning import tuning_job

        with translated(f"Cannot find tuning job {name}"):
            return tuning_job(self._sagemaker, name)

    def submit_processing(self, request: ProcessingRequest) -> Job:
        """Raises Conflict when there is a job of that name."""
        with translated(f"Cannot start processing job {request.name}"):
            self._sagemaker.create_processing_job(**_processing(request))
        return self.processing(request.name)

    def processing(self, name: str) -> Job:
        with translated(f"Cannot find processing job {name}"):
            found = self._sagemaker.describe_processing_job(ProcessingJobName=name)
        started, ended = found.get("ProcessingStartTime"), found.get("ProcessingEndTime")
        return Job(
            name=name,
            arn=found["ProcessingJobArn"],
            status=_STATUSES[found["ProcessingJobStatus"]],
            phase=found["ProcessingJobStatus"],
            failure_reason=found.get("FailureReason") or found.get("ExitMessage") or None,
            artifact_uri=None,
            billable_s=(ended - started).total_seconds() if started and ended else None,
            started_at=_utc(started or found.get("CreationTime")),
            ended_at=_utc(ended),
        )

    def stop(self, name: str) -> None:
        """Stop the training job of this name, or else the processing job."""
        with translated(f"Cannot stop job {name}"):
            try:
                self._sagemaker.stop_training_job(TrainingJobName=name)
            except self._sagemaker.exceptions.ClientError as exc:
                if not is_missing(exc):
                    raise
                self._sagemaker.stop_processing_job(ProcessingJobName=name)

    def log_lines(self, name: str, *, kind: JobKind, after: int = 0) -> Sequence[str]:
        """Lines from number `after` on. What was read once is kept, so following a log reads only what is new."""
        log = self._logs.setdefault((kind, name), _Log())
        try:
            with translated(f"Cannot read the log of {name}"):
                for stream in self._streams(kind, name):
                    self._read_on(log, _GROUPS[kind], stream)
        except NotFound:  # the group comes into being with the account's first job, the stream with the first line
            pass
        return tuple(log.lines[after:])

    def _streams(self, kind: JobKind, name: str) -> list[str]:
        found = self._client_logs.describe_log_streams(logGroupName=_GROUPS[kind], logStreamNamePrefix=f"{name}/")
        return sorted(stream["logStreamName"] for stream in found["logStreams"])

    def _read_on(self, log: _Log, group: str, stream: str) -> None:
        """Read pages until the token stays the same, which is how CloudWatch Logs says that this is the end for now."""
        while True:
            token = log.tokens.get(stream)
            start: dict[str, Any] = {"nextToken": token} if token else {"startFromHead": True}
            page = self._client_logs.get_log_events(logGroupName=group, logStreamName=stream, **start)
            log.lines.extend(event["message"].rstrip("\n") for event in page["events"])
            log.tokens[stream] = page["nextForwardToken"]
            if page["nextForwardToken"] == token or not page["events"]:
                return

    @property
    def _sagemaker(self) -> Any:
        return self._session.client("sagemaker")

    @property
    def _client_logs(self) -> Any:
        return self._session.client("logs")


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as AWS's lists have them.

    >>> tag_list({"Model": "churn"})
    [{'Key': 'Model', 'Value': 'churn'}]
    """
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def vpc_config(network: PlatformNetwork) -> dict[str, list[str]]:
    """A network in the shape that every operation of SageMaker takes it.

    >>> vpc_config(PlatformNetwork(subnet_ids=("subnet-1",), security_group_ids=("sg-1",)))
    {'Subnets': ['subnet-1'], 'SecurityGroupIds': ['sg-1']}
    """
    return {"Subnets": list(network.subnet_ids), "SecurityGroupIds": list(network.security_group_ids)}


def _processing(request: ProcessingRequest) -> dict[str, Any]:
    """The request in CreateProcessingJob's shape."""
    encrypted = {"KmsKeyId": request.kms_key_arn} if request.kms_key_arn else {}
    volume = {"VolumeKmsKeyId": request.kms_key_arn} if request.kms_key_arn else {}
    entry = {"ContainerEntrypoint": list(request.command)} if request.command else {}
    return {
        "ProcessingJobName": request.name,
        "RoleArn": request.role_arn,
        "AppSpecification": {"ImageUri": request.image_uri, **entry},
        "Environment": dict(request.environment),
        "ProcessingInputs": [
            {
                "InputName": name,
                "S3Input": {
                    "S3Uri": uri,
                    "LocalPath": path,
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                    "S3DataDistributionType": "FullyReplicated",
                },
            }
            for name, (uri, path) in request.inputs.items()
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": name,
                    "S3Output": {"S3Uri": uri, "LocalPath": path, "S3UploadMode": "EndOfJob"},
                }
                for name, (path, uri) in request.outputs.items()
            ],
            **encrypted,
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": request.instance_type,
                "VolumeSizeInGB": PROCESSING_VOLUME_GB,
                **volume,
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": request.max_runtime_s},
        **({"NetworkConfig": {"VpcConfig": vpc_config(request.network)}} if request.network else {}),
        "Tags": tag_list(request.tags),
    }
