"""Creates, updates and deletes SageMaker Model Monitor's schedules and job definitions, and lists executions."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from bedplate.aws.errors import map_client_errors
from bedplate.aws.sagemaker.jobs import vpc_config
from bedplate.aws.session import Session
from bedplate.aws.tags import tag_list
from bedplate.domain.names import ScheduleKind
from bedplate.errors import Conflict, NotFound
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

    def list_executions(self, schedule: str, *, limit: int = 20) -> Sequence[MonitoringExecution]:
        """Raises NotFound for a schedule that does not exist."""
        with map_client_errors(f"Cannot list the runs of {schedule}", next_step="bedplate up"):
            # SageMaker returns an empty list for an unknown schedule
            self._sagemaker.describe_monitoring_schedule(MonitoringScheduleName=schedule)
            response = self._sagemaker.list_monitoring_executions(
                MonitoringScheduleName=schedule, SortBy="ScheduledTime", SortOrder="Descending", MaxResults=limit
            )
        return [
            MonitoringExecution(
                scheduled_at=run["ScheduledTime"],
                status=run["MonitoringExecutionStatus"],
                job=(run.get("ProcessingJobArn") or "").rpartition("/")[2] or None,
                failure_reason=run.get("FailureReason") or None,
            )
            for run in response["MonitoringExecutionSummaries"]
        ]

    def definition_name(self, draft: ScheduleDraft) -> str:
        """Returns the schedule's name with a hash of the content, because job definitions are immutable."""
        content = json.dumps(definition_request(draft), sort_keys=True).encode()
        digest = hashlib.sha256(content).hexdigest()[:_DIGEST]
        return f"{draft.name[: _NAME_LENGTH - _DIGEST - 1].rstrip('-')}-{digest}"

    def put(self, draft: ScheduleDraft) -> None:
        """Completes an interrupted earlier call: the job definition may exist already.

        Raises PlatformError.
        """
        name, existing = self.definition_name(draft), self.find(draft.kind, draft.name)
        tags = tag_list(draft.tags)
        create = getattr(self._sagemaker, f"create_{_CALLS[draft.kind]}_job_definition")
        with contextlib.suppress(Conflict), map_client_errors(f"Cannot create job definition {name}"):
            create(JobDefinitionName=name, **definition_request(draft), Tags=tags)
        config = {
            "ScheduleConfig": {"ScheduleExpression": draft.cron},
            "MonitoringJobDefinitionName": name,
            "MonitoringType": _TYPES[draft.kind],
        }
        with map_client_errors(f"Cannot schedule {draft.name}"):
            if existing is None:
                self._sagemaker.create_monitoring_schedule(
                    MonitoringScheduleName=draft.name, MonitoringScheduleConfig=config, Tags=tags
                )
            else:
                self._sagemaker.update_monitoring_schedule(
                    MonitoringScheduleName=draft.name, MonitoringScheduleConfig=config
                )
        if existing is not None and existing.job_definition != name:
            self._delete_definition(draft.kind, existing.job_definition)

    def find(self, kind: ScheduleKind, name: str) -> ExistingSchedule | None:
        try:
            with map_client_errors(f"Cannot describe schedule {name}"):
                response = self._sagemaker.describe_monitoring_schedule(MonitoringScheduleName=name)
        except NotFound:
            return None
        config = response["MonitoringScheduleConfig"]
        return ExistingSchedule(
            kind,
            name,
            response["MonitoringScheduleStatus"],
            config.get("ScheduleConfig", {}).get("ScheduleExpression", ""),
            config.get("MonitoringJobDefinitionName", ""),
            response.get("FailureReason") or None,
        )

    def delete(self, kind: ScheduleKind, name: str) -> bool:
        existing = self.find(kind, name)
        if existing is None:
            return False
        with map_client_errors(f"Cannot delete schedule {name}"):
            self._sagemaker.delete_monitoring_schedule(MonitoringScheduleName=name)
        self._delete_definition(kind, existing.job_definition)
        return True

    def clarify_image(self) -> str:
        """Takes the image's account and tag in the region from the SageMaker SDK."""
        from sagemaker.core import image_uris

        return str(image_uris.retrieve("clarify", self._session.region))

    def _delete_definition(self, kind: ScheduleKind, name: str) -> None:
        with contextlib.suppress(NotFound), map_client_errors(f"Cannot delete job definition {name}"):
            getattr(self._sagemaker, f"delete_{_CALLS[kind]}_job_definition")(JobDefinitionName=name)

    @property
    def _sagemaker(self) -> Any:
        return self._session.client("sagemaker")


def definition_request(draft: ScheduleDraft) -> Mapping[str, Any]:
    """Returns the request that creates a job definition, without name and tags; its name is derived from this."""
    kind = _TYPES[draft.kind]
    app: dict[str, Any] = {"ImageUri": draft.image_uri, "Environment": dict(draft.environment)}
    if draft.config_uri:
        app["ConfigUri"] = draft.config_uri
    else:
        app["ProblemType"] = "BinaryClassification" if draft.is_binary else "Regression"
    endpoint_input: dict[str, Any] = {
        "EndpointName": draft.endpoint,
        "LocalPath": f"{_PROCESSING}/input/endpoint",
        "S3InputMode": "File",
        "S3DataDistributionType": "FullyReplicated",
        "FeaturesAttribute": f"[{','.join(draft.features)}]",
    }
    is_probability = draft.is_binary and draft.kind != "explainability"
    endpoint_input["ProbabilityAttribute" if is_probability else "InferenceAttribute"] = "prediction"
    for side, hours in (("Start", draft.start_offset_h), ("End", draft.end_offset_h)):
        if hours:
            endpoint_input[f"{side}TimeOffset"] = f"-PT{hours}H"
    job_input: dict[str, Any] = {"EndpointInput": endpoint_input}
    if draft.ground_truth_uri:
        job_input["GroundTruthS3Input"] = {"S3Uri": draft.ground_truth_uri}
    output = {"S3Output": {"S3Uri": draft.output_uri, "LocalPath": f"{_PROCESSING}/output", "S3UploadMode": "EndOfJob"}}
    output_key = {"KmsKeyId": draft.kms_key_arn} if draft.kms_key_arn else {}
    cluster: dict[str, Any] = {
        "InstanceType": draft.instance_type,
        "InstanceCount": 1,
        "VolumeSizeInGB": _VOLUME_GB,
        **({"VolumeKmsKeyId": draft.kms_key_arn} if draft.kms_key_arn else {}),
    }
    network: dict[str, Any] = {"EnableNetworkIsolation": draft.network_isolation}
    if draft.network:
        network["VpcConfig"] = vpc_config(draft.network)
    return {
        f"{kind}AppSpecification": app,
        f"{kind}BaselineConfig": {"ConstraintsResource": {"S3Uri": draft.constraints_uri}},
        f"{kind}JobInput": job_input,
        f"{kind}JobOutputConfig": {"MonitoringOutputs": [output], **output_key},
        "JobResources": {"ClusterConfig": cluster},
        "NetworkConfig": network,
        "RoleArn": draft.role_arn,
        "StoppingCondition": {"MaxRuntimeInSeconds": draft.max_runtime_s},
    }
