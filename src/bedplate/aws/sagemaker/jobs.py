"""Starts, describes and stops SageMaker's training, tuning and processing jobs, and reads their logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from bedplate.aws.errors import is_missing, map_client_errors
from bedplate.aws.session import Session
from bedplate.aws.tags import tag_list
from bedplate.errors import NotFound
from bedplate.ports import Job, ProcessingRequest, TrainingRequest, TuningJob, TuningRequest
from bedplate.settings import PlatformNetwork

JobKind = Literal["training", "processing"]
_LOG_GROUPS: dict[JobKind, str] = {
    "training": "/aws/sagemaker/TrainingJobs",
    "processing": "/aws/sagemaker/ProcessingJobs",
}
PROCESSING_VOLUME_GB = 30


@dataclass
class _JobLog:
    """The lines read so far of one job's log, in the order of reading, and each stream's token for the next page."""

    lines: list[str] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)


class SageMakerJobs:
    """The `Jobs` port."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._logs: dict[tuple[JobKind, str], _JobLog] = {}

    def submit_training(self, request: TrainingRequest) -> Job:
        """Uses the SageMaker SDK's ModelTrainer, whose import takes seconds.

        Raises Conflict when a job of that name exists.
        """
        from bedplate.aws.sagemaker.model_trainer import create_training_job

        with map_client_errors(f"Cannot start training job {request.name}"):
            create_training_job(self._session, request)
        return self.get_training(request.name)

    def get_training(self, name: str) -> Job:
        with map_client_errors(f"Cannot find training job {name}"):
            response = self._sagemaker.describe_training_job(TrainingJobName=name)
        return Job(
            name=name,
            arn=response["TrainingJobArn"],
            status=response["TrainingJobStatus"],
            phase=response.get("SecondaryStatus", response["TrainingJobStatus"]),
            failure_reason=response.get("FailureReason") or None,
            artifact_uri=response.get("ModelArtifacts", {}).get("S3ModelArtifacts") or None,
            billable_s=response.get("BillableTimeInSeconds"),
            started_at=_to_utc(response.get("TrainingStartTime") or response.get("CreationTime")),
            ended_at=_to_utc(response.get("TrainingEndTime")),
            training_s=response.get("TrainingTimeInSeconds"),
        )

    def submit_tuning(self, request: TuningRequest) -> TuningJob:
        """Raises Conflict when a tuning job of that name exists."""
        from bedplate.aws.sagemaker.tuning import tuning_request

        with map_client_errors(f"Cannot start tuning job {request.name}"):
            self._sagemaker.create_hyper_parameter_tuning_job(**tuning_request(request))
        return self.get_tuning(request.name)

    def get_tuning(self, name: str) -> TuningJob:
        from bedplate.aws.sagemaker.tuning import describe_tuning

        with map_client_errors(f"Cannot find tuning job {name}"):
            return describe_tuning(self._sagemaker, name)

    def submit_processing(self, request: ProcessingRequest) -> Job:
        """Raises Conflict when a job of that name exists."""
        with map_client_errors(f"Cannot start processing job {request.name}"):
            self._sagemaker.create_processing_job(**_processing_request(request))
        return self.get_processing(request.name)

    def get_processing(self, name: str) -> Job:
        with map_client_errors(f"Cannot find processing job {name}"):
            response = self._sagemaker.describe_processing_job(ProcessingJobName=name)
        started, ended = response.get("ProcessingStartTime"), response.get("ProcessingEndTime")
        return Job(
            name=name,
            arn=response["ProcessingJobArn"],
            status=response["ProcessingJobStatus"],
            phase=response["ProcessingJobStatus"],
            failure_reason=response.get("FailureReason") or response.get("ExitMessage") or None,
            artifact_uri=None,
            billable_s=(ended - started).total_seconds() if started and ended else None,
            started_at=_to_utc(started or response.get("CreationTime")),
            ended_at=_to_utc(ended),
        )

    def stop(self, name: str) -> None:
        """Stops the training job of this name, or the processing job when there is no such training job."""
        with map_client_errors(f"Cannot stop job {name}"):
            try:
                self._sagemaker.stop_training_job(TrainingJobName=name)
            except self._sagemaker.exceptions.ClientError as exc:
                if not is_missing(exc):
                    raise
                self._sagemaker.stop_processing_job(ProcessingJobName=name)

    def list_log_lines(self, name: str, *, kind: JobKind, skip: int = 0) -> Sequence[str]:
        """Returns the lines after the first `skip`. Caches the lines, so following a log reads only new ones."""
        log = self._logs.setdefault((kind, name), _JobLog())
        try:
            with map_client_errors(f"Cannot read the log of {name}"):
                for stream in self._list_streams(kind, name):
                    self._read_stream(log, _LOG_GROUPS[kind], stream)
        except NotFound:  # the account's first job creates the group, a job's first line its stream
            pass
        return tuple(log.lines[skip:])

    def _list_streams(self, kind: JobKind, name: str) -> list[str]:
        response = self._cloudwatch_logs.describe_log_streams(
            logGroupName=_LOG_GROUPS[kind], logStreamNamePrefix=f"{name}/"
        )
        return sorted(stream["logStreamName"] for stream in response["logStreams"])

    def _read_stream(self, log: _JobLog, group: str, stream: str) -> None:
        """Reads pages until the token stays the same, by which CloudWatch Logs marks the current end of a stream."""
        while True:
            token = log.tokens.get(stream)
            start: dict[str, Any] = {"nextToken": token} if token else {"startFromHead": True}
            page = self._cloudwatch_logs.get_log_events(logGroupName=group, logStreamName=stream, **start)
            log.lines.extend(event["message"].rstrip("\n") for event in page["events"])
            log.tokens[stream] = page["nextForwardToken"]
            if page["nextForwardToken"] == token or not page["events"]:
                return

    @property
    def _sagemaker(self) -> Any:
        return self._session.client("sagemaker")

    @property
    def _cloudwatch_logs(self) -> Any:
        return self._session.client("logs")


def _to_utc(time: datetime | None) -> datetime | None:
    return time.astimezone(UTC) if time else None


def vpc_config(network: PlatformNetwork) -> dict[str, list[str]]:
    """Returns a network as the VpcConfig of SageMaker's requests.

    >>> vpc_config(PlatformNetwork(subnet_ids=("subnet-1",), security_group_ids=("sg-1",)))
    {'Subnets': ['subnet-1'], 'SecurityGroupIds': ['sg-1']}
    """
    return {"Subnets": list(network.subnet_ids), "SecurityGroupIds": list(network.security_group_ids)}


def _processing_request(request: ProcessingRequest) -> dict[str, Any]:
    """Returns the request of CreateProcessingJob."""
    output_key = {"KmsKeyId": request.kms_key_arn} if request.kms_key_arn else {}
    volume_key = {"VolumeKmsKeyId": request.kms_key_arn} if request.kms_key_arn else {}
    entrypoint = {"ContainerEntrypoint": list(request.command)} if request.command else {}
    return {
        "ProcessingJobName": request.name,
        "RoleArn": request.role_arn,
        "AppSpecification": {"ImageUri": request.image_uri, **entrypoint},
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
                {"OutputName": name, "S3Output": {"S3Uri": uri, "LocalPath": path, "S3UploadMode": "EndOfJob"}}
                for name, (path, uri) in request.outputs.items()
            ],
            **output_key,
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": request.instance_type,
                "VolumeSizeInGB": PROCESSING_VOLUME_GB,
                **volume_key,
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": request.max_runtime_s},
        **({"NetworkConfig": {"VpcConfig": vpc_config(request.network)}} if request.network else {}),
        "Tags": tag_list(request.tags),
    }
