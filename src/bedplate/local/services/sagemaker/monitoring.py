"""SageMaker's monitoring: the four kinds of job definition, monitoring schedules and their executions."""

from __future__ import annotations

import copy
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from bedplate.local.hooks import Kind, Record
from bedplate.local.services.records import plain
from bedplate.local.services.sagemaker.operations import SageMakerOperations

_DEFINITION_OF: dict[str, Kind] = {
    "DataQuality": "data-quality-job-definition",
    "ModelQuality": "model-quality-job-definition",
    "ModelBias": "model-bias-job-definition",
    "ModelExplainability": "model-explainability-job-definition",
}


class MonitoringOperations(SageMakerOperations):
    def create_data_quality_job_definition(self) -> ActionResult:
        return self._created("data-quality-job-definition")[1]

    def describe_data_quality_job_definition(self) -> ActionResult:
        return self._described("data-quality-job-definition")

    def delete_data_quality_job_definition(self) -> ActionResult:
        return self._deleted("data-quality-job-definition")

    def list_data_quality_job_definitions(self) -> ActionResult:
        return self._definitions("data-quality-job-definition")

    def create_model_quality_job_definition(self) -> ActionResult:
        return self._created("model-quality-job-definition")[1]

    def describe_model_quality_job_definition(self) -> ActionResult:
        return self._described("model-quality-job-definition")

    def delete_model_quality_job_definition(self) -> ActionResult:
        return self._deleted("model-quality-job-definition")

    def list_model_quality_job_definitions(self) -> ActionResult:
        return self._definitions("model-quality-job-definition")

    def create_model_bias_job_definition(self) -> ActionResult:
        return self._created("model-bias-job-definition")[1]

    def describe_model_bias_job_definition(self) -> ActionResult:
        return self._described("model-bias-job-definition")

    def delete_model_bias_job_definition(self) -> ActionResult:
        return self._deleted("model-bias-job-definition")

    def list_model_bias_job_definitions(self) -> ActionResult:
        return self._definitions("model-bias-job-definition")

    def create_model_explainability_job_definition(self) -> ActionResult:
        return self._created("model-explainability-job-definition")[1]

    def describe_model_explainability_job_definition(self) -> ActionResult:
        return self._described("model-explainability-job-definition")

    def delete_model_explainability_job_definition(self) -> ActionResult:
        return self._deleted("model-explainability-job-definition")

    def list_model_explainability_job_definitions(self) -> ActionResult:
        return self._definitions("model-explainability-job-definition")

    def create_monitoring_schedule(self) -> ActionResult:
        config = self._request["MonitoringScheduleConfig"]
        record, answer = self._created("monitoring-schedule", **self._schedule_view(config))
        record["MonitoringScheduleStatus"] = "Scheduled"
        self.platform.hooks.schedule_changed(copy.deepcopy(record))
        return answer

    def describe_monitoring_schedule(self) -> ActionResult:
        record = self._records.get("monitoring-schedule", self._name("monitoring-schedule"))
        runs = self._executions(MonitoringScheduleName=record["MonitoringScheduleName"])
        last = max(runs, key=lambda r: r.get("ScheduledTime", 0), default=None)
        return ActionResult({**record, "LastMonitoringExecutionSummary": last})

    def list_monitoring_schedules(self) -> ActionResult:
        wanted = {
            "EndpointName": self._request.get("EndpointName"),
            "MonitoringJobDefinitionName": self._request.get("MonitoringJobDefinitionName"),
            "MonitoringType": self._request.get("MonitoringTypeEquals"),
        }
        rows = [
            r
            for r in self._records["monitoring-schedule"].values()
            if all(v is None or r.get(k) == v for k, v in wanted.items())
        ]
        return self._listed("monitoring-schedule", rows)

    def update_monitoring_schedule(self) -> ActionResult:
        config = self._request["MonitoringScheduleConfig"]
        changes = {"MonitoringScheduleConfig": plain(config), **self._schedule_view(config)}
        return self._schedule_set(changes)

    def start_monitoring_schedule(self) -> ActionResult:
        self._schedule_set({"MonitoringScheduleStatus": "Scheduled"})
        return EmptyResult()

    def stop_monitoring_schedule(self) -> ActionResult:
        self._schedule_set({"MonitoringScheduleStatus": "Stopped"})
        return EmptyResult()

    def delete_monitoring_schedule(self) -> ActionResult:
        name = self._name("monitoring-schedule")
        self._deleted("monitoring-schedule")
        for arn in [r["ProcessingJobArn"] for r in self._executions(MonitoringScheduleName=name)]:
            del self._records["monitoring-execution"][arn]
        self.platform.hooks.schedule_deleted(name)
        return EmptyResult()

    def list_monitoring_executions(self) -> ActionResult:
        rows = self._executions(
            MonitoringScheduleName=self._request.get("MonitoringScheduleName"),
            EndpointName=self._request.get("EndpointName"),
            MonitoringJobDefinitionName=self._request.get("MonitoringJobDefinitionName"),
            MonitoringType=self._request.get("MonitoringTypeEquals"),
        )
        return self._listed("monitoring-execution", rows)

    def _schedule_set(self, changes: dict[str, Any]) -> ActionResult:
        record = self._records.update("monitoring-schedule", self._name("monitoring-schedule"), changes)
        self.platform.hooks.schedule_changed(copy.deepcopy(record))
        return self._arn_of("monitoring-schedule", record)

    def _executions(self, **wanted: str | None) -> list[Record]:
        rows = self._records["monitoring-execution"].values()
        return [r for r in rows if all(v is None or r.get(k) == v for k, v in wanted.items())]

    def _schedule_view(self, config: dict[str, Any]) -> dict[str, Any]:
        """What AWS shows beside the configuration: the type, the definition's name and the endpoint it watches."""
        kind = config.get("MonitoringType", "DataQuality")
        name = config.get("MonitoringJobDefinitionName")
        definition = self._records[_DEFINITION_OF[kind]].get(name, {}) if name else {}
        job_input: dict[str, Any] = next((v for k, v in definition.items() if k.endswith("JobInput")), {})
        inline = (config.get("MonitoringJobDefinition") or {}).get("MonitoringInputs") or [{}]
        endpoint = (job_input or inline[0]).get("EndpointInput") or {}
        return {
            "MonitoringType": kind,
            "MonitoringJobDefinitionName": name,
            "EndpointName": endpoint.get("EndpointName"),
        }

    def _definitions(self, kind: Kind) -> ActionResult:
        rows = [
            {
                **record,
                "MonitoringJobDefinitionName": record["JobDefinitionName"],
                "MonitoringJobDefinitionArn": record["JobDefinitionArn"],
                "EndpointName": _endpoint_of(record),
            }
            for record in self._records[kind].values()
        ]
        wanted = self._request.get("EndpointName")
        rows = [r for r in rows if not wanted or r["EndpointName"] == wanted]
        found, token = self._records.page(kind, self._request, rows)
        return ActionResult({"JobDefinitionSummaries": found, "NextToken": token})


def _endpoint_of(record: Record) -> str | None:
    job_input: dict[str, Any] = next((v for k, v in record.items() if k.endswith("JobInput")), {})
    name: str | None = (job_input.get("EndpointInput") or {}).get("EndpointName")
    return name
