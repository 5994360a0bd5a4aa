"""SageMaker pipelines of processing steps: kept as records, run as processing jobs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.core.responses import ActionResult

from bedplate.local.hooks import Record
from bedplate.local.services.installation import AwsApiError
from bedplate.local.services.records import Records
from bedplate.local.services.sagemaker.operations import SageMakerOperations
from bedplate.local.services.sagemaker.pipeline_definition import PipelineDefinitionError, status_of, steps_of

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_STEP_STATUS = {"InProgress": "Executing", "Completed": "Succeeded", "Failed": "Failed"}


class PipelineOperations(SageMakerOperations):
    def create_pipeline(self) -> ActionResult:
        return self._created("pipeline", PipelineStatus="Active")[1]

    def describe_pipeline(self) -> ActionResult:
        return self._described("pipeline")

    def update_pipeline(self) -> ActionResult:
        changes = {k: v for k, v in self._request.items() if k != "PipelineName"}
        return self._arn_of("pipeline", self._records.update("pipeline", self._name("pipeline"), changes))

    def delete_pipeline(self) -> ActionResult:
        record = self._records.delete("pipeline", self._name("pipeline"))
        return self._arn_of("pipeline", record)

    def list_pipelines(self) -> ActionResult:
        return self._listed("pipeline")

    def start_pipeline_execution(self) -> ActionResult:
        given = {p["Name"]: p["Value"] for p in self._request.get("PipelineParameters") or ()}
        return ActionResult({"PipelineExecutionArn": start(self.platform, self._name("pipeline"), given)})

    def describe_pipeline_execution(self) -> ActionResult:
        return ActionResult(self._seen(self._records.get("pipeline-execution", self._request["PipelineExecutionArn"])))

    def list_pipeline_executions(self) -> ActionResult:
        pipeline = self._records.get("pipeline", self._request["PipelineName"])["PipelineArn"]
        rows = [r for r in self._records["pipeline-execution"].values() if r["PipelineArn"] == pipeline]
        return self._listed("pipeline-execution", [self._seen(row) for row in rows])

    def list_pipeline_execution_steps(self) -> ActionResult:
        execution = self._records.get("pipeline-execution", self._request["PipelineExecutionArn"])
        steps = []
        for step in execution["bedplate:Steps"]:
            job = self._records["processing-job"].get(step["job"], {})
            status = job.get("ProcessingJobStatus", "Failed")
            shown = {
                "StepName": step["name"],
                "StartTime": job.get("CreationTime"),
                "EndTime": job.get("ProcessingEndTime"),
                "StepStatus": _STEP_STATUS.get(status, status),
                "FailureReason": job.get("FailureReason"),
                "Metadata": {"ProcessingJob": {"Arn": job.get("ProcessingJobArn", "")}},
            }
            steps.append({key: value for key, value in shown.items() if value is not None})
        return ActionResult({"PipelineExecutionSteps": steps})

    def _seen(self, execution: Record) -> Record:
        jobs = [self._records["processing-job"].get(s["job"], {}) for s in execution["bedplate:Steps"]]
        status = status_of([job.get("ProcessingJobStatus", "Failed") for job in jobs])
        return {**execution, "PipelineExecutionStatus": status}


def start(platform: LocalPlatform, name: str, given: Mapping[str, str]) -> str:
    """Start a pipeline's steps; the execution's ARN. Hold the platform's lock. Raises Refused."""
    records: Records = platform.backend("sagemaker").records
    pipeline = records.get("pipeline", name)
    try:
        steps = steps_of(pipeline["PipelineDefinition"], given)
    except (PipelineDefinitionError, ValueError, KeyError) as exc:
        raise AwsApiError("ValidationException", f"Pipeline {name} cannot run: {exc}") from exc
    run = uuid4().hex[:12]
    arn = f"{pipeline['PipelineArn']}/execution/{run}"
    jobs = []
    for step in steps:
        job = f"pipelines-{run}-{step['Name']}"
        arguments: dict[str, Any] = {**step["Arguments"], "ProcessingJobName": job}
        tags = [{"Key": k, "Value": v} for k, v in records.tags.get(pipeline["PipelineArn"], {}).items()]
        record = records.create("processing-job", {**arguments, "Tags": tags}, ProcessingJobStatus="InProgress")
        platform.hooks.processing_started(copy.deepcopy(record))
        jobs.append({"name": step["Name"], "job": job})
    parameters = [{"Name": k, "Value": v} for k, v in given.items()]
    records.add(
        "pipeline-execution",
        arn,
        {"PipelineArn": pipeline["PipelineArn"], "PipelineParameters": parameters, "bedplate:Steps": jobs},
    )
    platform.store.mark("sagemaker")
    return arn
