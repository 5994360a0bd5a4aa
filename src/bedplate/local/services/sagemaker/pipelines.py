"""SageMaker pipelines of processing steps: stored as records, executed as processing jobs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.core.responses import ActionResult

from bedplate.local.hooks import Record
from bedplate.local.services.installation import AwsApiError
from bedplate.local.services.records import Records
from bedplate.local.services.sagemaker.operations import (
    SageMakerOperations,
    describe_operation,
    list_operation,
    update_operation,
)
from bedplate.local.services.sagemaker.pipeline_definition import PipelineDefinitionError, execution_status, parse_steps

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_STEP_STATUS = {"InProgress": "Executing", "Completed": "Succeeded", "Failed": "Failed"}


class PipelineOperations(SageMakerOperations):
    describe_pipeline = describe_operation("pipeline")
    update_pipeline = update_operation("pipeline")
    list_pipelines = list_operation("pipeline")

    def create_pipeline(self) -> ActionResult:
        return self._create("pipeline", PipelineStatus="Active")[1]

    def delete_pipeline(self) -> ActionResult:
        return self._arn_response("pipeline", self._records.delete("pipeline", self._name("pipeline")))

    def start_pipeline_execution(self) -> ActionResult:
        parameters = {p["Name"]: p["Value"] for p in self._request.get("PipelineParameters") or ()}
        arn = start_execution(self.platform, self._name("pipeline"), parameters)
        return ActionResult({"PipelineExecutionArn": arn})

    def describe_pipeline_execution(self) -> ActionResult:
        return ActionResult(self._with_status(self._find("pipeline-execution")))

    def list_pipeline_executions(self) -> ActionResult:
        pipeline = self._find("pipeline")["PipelineArn"]
        rows = [r for r in self._records["pipeline-execution"].values() if r["PipelineArn"] == pipeline]
        return self._list("pipeline-execution", [self._with_status(row) for row in rows])

    def list_pipeline_execution_steps(self) -> ActionResult:
        execution = self._find("pipeline-execution")
        steps = []
        for step in execution["bedplate:Steps"]:
            job = self._records["processing-job"].get(step["job"], {})
            status = job.get("ProcessingJobStatus", "Failed")
            row = {
                "StepName": step["name"],
                "StartTime": job.get("CreationTime"),
                "EndTime": job.get("ProcessingEndTime"),
                "StepStatus": _STEP_STATUS.get(status, status),
                "FailureReason": job.get("FailureReason"),
                "Metadata": {"ProcessingJob": {"Arn": job.get("ProcessingJobArn", "")}},
            }
            steps.append({key: value for key, value in row.items() if value is not None})
        return ActionResult({"PipelineExecutionSteps": steps})

    def _with_status(self, execution: Record) -> Record:
        jobs = [self._records["processing-job"].get(s["job"], {}) for s in execution["bedplate:Steps"]]
        status = execution_status([job.get("ProcessingJobStatus", "Failed") for job in jobs])
        return {**execution, "PipelineExecutionStatus": status}


def start_execution(platform: LocalPlatform, name: str, parameters: Mapping[str, str]) -> str:
    """Starts a pipeline's steps and returns the execution's ARN. The caller holds the platform's lock.

    Raises AwsApiError for an unknown pipeline and for one that cannot run.
    """
    records: Records = platform.backend("sagemaker").records
    pipeline = records.get("pipeline", name)
    try:
        steps = parse_steps(pipeline["PipelineDefinition"], parameters)
    except (PipelineDefinitionError, ValueError, KeyError) as exc:
        raise AwsApiError("ValidationException", f"Pipeline {name} cannot run: {exc}") from exc
    execution_id = uuid4().hex[:12]
    arn = f"{pipeline['PipelineArn']}/execution/{execution_id}"
    tags = [{"Key": k, "Value": v} for k, v in records.tags.get(pipeline["PipelineArn"], {}).items()]
    jobs = []
    for step in steps:
        job = f"pipelines-{execution_id}-{step['Name']}"
        arguments: dict[str, Any] = {**step["Arguments"], "ProcessingJobName": job}
        record = records.create("processing-job", {**arguments, "Tags": tags}, ProcessingJobStatus="InProgress")
        platform.hooks.processing_started(copy.deepcopy(record))
        jobs.append({"name": step["Name"], "job": job})
    execution = {
        "PipelineArn": pipeline["PipelineArn"],
        "PipelineParameters": [{"Name": k, "Value": v} for k, v in parameters.items()],
        "bedplate:Steps": jobs,
    }
    records.add("pipeline-execution", arn, execution)
    platform.store.mark("sagemaker")
    return arn
