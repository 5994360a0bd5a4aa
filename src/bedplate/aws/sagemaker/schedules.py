"""Monitoring schedules, their job definitions and their runs, in SageMaker Model Monitor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from bedplate.aws.errors import is_conflict, is_missing, translated
from bedplate.aws.sagemaker.jobs import vpc_config
from bedplate.aws.session import Session
from bedplate.domain.names import ScheduleKind
from bedplate.ports import ExistingSchedule, MonitoringExecution, ScheduleDraft

_TYPES = {"model-quality": "ModelQuality", "bias": "ModelBias", "explainability": "ModelExplainability"}
_CALLS = {"model-quality": "model_quality", "bias": "model_bias", "explainability": "model_explainability"}
_NAME_LENGTH = 63
_DIGEST = 8
_PROCESSING = "/opt/ml/processing"
_VOLUME_GB = 20


class MonitoringSchedules:
    """The `Schedules` port."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def executions(self, schedule: str, *, limit: int = 20) -> Sequence[MonitoringExecution]:
        """Raises NotFound for a schedule that does not exist."""
        with translated(f"Cannot list the runs of {schedule}", next_step="bedplate up"):
            # the list of an unknown schedule is empty
            self._sagemaker.describe_monitoring_schedule(MonitoringScheduleName=schedule)
            told = self._sagemaker.list_monitoring_executions(
                MonitoringScheduleName=schedule, SortBy="ScheduledTime", SortOrder="Descending", MaxResults=limit
            )
        return [
            MonitoringExecution(
                scheduled_at=run["ScheduledTime"],
                status=run["MonitoringExecutionStatus"],
                job=(run.get("ProcessingJobArn") or "").rpartition("/")[2] or None,
                failure_reason=run.get("FailureReason") or None,
            )
            for run in told["MonitoringExecutionSummaries"]
        ]

    def definition(self, draft: ScheduleDraft) -> str:
        """Job definitions cannot change, so the name is the schedule's with a hash of the content."""
        content = json.dumps(definition_request(draft), sort_keys=True).encode()
        digest = hashlib.sha256(content).hexdigest()[:_DIGEST]
        return f"{draft.name[: _NAME_LENGTH - _DIGEST - 1].rstrip('-')}-{digest}"

    def put(self, draft: ScheduleDraft) -> None:
        """A rerun after a break goes on where it broke off: every call may find its work done.

        Raises PlatformError.
        """
        name, before = self.definition(draft), self.standing(draft.kind, draft.name)
        tags = [{"Key": key, "Value": value} for key, value in draft.tags.items()]
        with translated(f"Cannot create job definition {name}"):
            self._once(
                f"create_{_CALLS[draft.kind]}_job_definition",
                JobDefinitionName=name,
                **definition_request(draft),
                Tags=tags,
            )
        config = {
            "ScheduleConfig": {"ScheduleExpression": draft.cron},
            "MonitoringJobDefinitionName": name,
            "MonitoringType": _TYPES[draft.kind],
        }
        with translated(f"Cannot schedule {draft.name}"):
            if before is None:
                self._sagemaker.create_monitoring_schedule(
                    MonitoringScheduleName=draft.name, MonitoringScheduleConfig=config, Tags=tags
                )
            else:
                self._sagemaker.update_monitoring_schedule(
                    MonitoringScheduleName=draft.name, MonitoringScheduleConfig=config
                )
        if before is not None and before.definition != name:
            self._delete_definition(draft.kind, before.definition)

    def standing(self, kind: ScheduleKind, name: str) -> ExistingSchedule | None:
        from botocore.exceptions import ClientError

        with translated(f"Cannot look at schedule {name}"):
            try:
                told = self._sagemaker.describe_monitoring_schedule(MonitoringScheduleName=name)
            except ClientError as exc:
                if is_missing(exc):
                    return None
                raise
        config = told["MonitoringScheduleConfig"]
        return ExistingSchedule(
            kind,
            name,
            told["MonitoringScheduleStatus"],
            config.get("ScheduleConfig", {}).get("ScheduleExpression", ""),
            config.get("MonitoringJobDefinitionName", ""),
            told.get("FailureReason") or None,
        )

    def remove(self, kind: ScheduleKind, name: str) -> bool:
        before = self.standing(kind, name)
        if before is None:
            return False
        with translated(f"Cannot delete schedule {name}"):
            self._sagemaker.delete_monitoring_schedule(MonitoringScheduleName=name)
        self._delete_definition(kind, before.definition)
        return True

    def explainer_image(self) -> str:
        """SageMaker Clarify's image, whose account and tag the SageMaker SDK knows for each region."""
        from sagemaker.core import image_uris

        found: str = image_uris.retrieve("clarify", self._session.region)
        return found

    def _delete_definition(self, kind: ScheduleKind, name: str) -> None:
        from botocore.exceptions import ClientError

        with translated(f"Cannot delete job definition {name}"):
            try:
                getattr(self._sagemaker, f"delete_{_CALLS[kind]}_job_definition")(JobDefinitionName=name)
            except ClientError as exc:
                if not is_missing(exc):
                    raise

    def _once(self, call: str, **request: Any) -> None:
        from botocore.exceptions import ClientError

        try:
            getattr(self._sagemaker, call)(**request)
        except ClientError as exc:
            if not is_conflict(exc):
                raise

    @property
    def _sagemaker(self) -> Any:
        return self._session.client("sagemaker")


def definition_request(draft: ScheduleDraft) -> Mapping[str, Any]:
    """What is asked of SageMaker, without name and tags: the content that a definition's name follows from."""
    kind = _TYPES[draft.kind]
    app: dict[str, Any] = {"ImageUri": draft.image_uri, "Environment": dict(draft.environment)}
    if draft.config_uri:
        app["ConfigUri"] = draft.config_uri
    else:
        app["ProblemType"] = "BinaryClassification" if draft.binary else "Regression"
    watched: dict[str, Any] = {
        "EndpointName": draft.endpoint,
        "LocalPath": f"{_PROCESSING}/input/endpoint",
        "S3InputMode": "File",
        "S3DataDistributionType": "FullyReplicated",
        "FeaturesAttribute": f"[{','.join(draft.features)}]",
    }
    answer = "ProbabilityAttribute" if draft.binary and draft.kind != "explainability" else "InferenceAttribute"
    watched[answer] = "prediction"
    for side, hours in (("Start", draft.start_offset_h), ("End", draft.end_offset_h)):
        if hours:
            watched[f"{side}TimeOffset"] = f"-PT{hours}H"
    job_input: dict[str, Any] = {"EndpointInput": watched}
    if draft.ground_truth_uri:
        job_input["GroundTruthS3Input"] = {"S3Uri": draft.ground_truth_uri}
    output = {"S3Output": {"S3Uri": draft.output_uri, "LocalPath": f"{_PROCESSING}/output", "S3UploadMode": "EndOfJob"}}
    key = {"KmsKeyId": draft.kms_key_arn} if draft.kms_key_arn else {}
    cluster = {"InstanceType": draft.instance_type, "InstanceCount": 1, "VolumeSizeInGB": _VOLUME_GB}
    network: dict[str, Any] = {"EnableNetworkIsolation": draft.isolated}
    if draft.network:
        network["VpcConfig"] = vpc_config(draft.network)
    return {
        f"{kind}AppSpecification": app,
        f"{kind}BaselineConfig": {"ConstraintsResource": {"S3Uri": draft.constraints_uri}},
        f"{kind}JobInput": job_input,
        f"{kind}JobOutputConfig": {"MonitoringOutputs": [output], **key},
        "JobResources": {
            "ClusterConfig": {**cluster, **({"VolumeKmsKeyId": draft.kms_key_arn} if draft.kms_key_arn else {})}
        },
        "NetworkConfig": network,
        "RoleArn": draft.role_arn,
        "StoppingCondition": {"MaxRuntimeInSeconds": draft.max_runtime_s},
    }
