"""SageMaker Model Monitor: the four kinds of job definition, monitoring schedules and their executions."""

from __future__ import annotations

import copy
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from bedplate.local.hooks import KindName, Record
from bedplate.local.services.records import to_plain
from bedplate.local.services.sagemaker.operations import (
    Operation,
    SageMakerOperations,
    create_operation,
    delete_operation,
    describe_operation,
)

_DEFINITION_KINDS: dict[str, KindName] = {
    "DataQuality": "data-quality-job-definition",
    "ModelQuality": "model-quality-job-definition",
    "ModelBias": "model-bias-job-definition",
    "ModelExplainability": "model-explainability-job-definition",
}


def _list_definitions_operation(kind: KindName) -> Operation:
    def list_definitions(self: SageMakerOperations) -> ActionResult:
        endpoint = self._request.get("EndpointName")
        rows = [
            {
                **record,
                # AWS names a definition JobDefinitionName when described, and MonitoringJobDefinitionName when listed.
                "MonitoringJobDefinitionName": record["JobDefinitionName"],
                "MonitoringJobDefinitionArn": record["JobDefinitionArn"],
                "EndpointName": _endpoint_of(record),
            }
            for record in self._records[kind].values()
        ]
        return self._list(kind, [row for row in rows if not endpoint or row["EndpointName"] == endpoint])

    return list_definitions


def _endpoint_of(definition: Record) -> str | None:
    """Returns the endpoint of a job definition's input (`DataQualityJobInput`, `ModelBiasJobInput`, ...)."""
    job_input: dict[str, Any] = next((v for k, v in definition.items() if k.endswith("JobInput")), {})
    name: str | None = (job_input.get("EndpointInput") or {}).get("EndpointName")
    return name


class MonitoringOperations(SageMakerOperations):
    create_data_quality_job_definition = create_operation("data-quality-job-definition")
    describe_data_quality_job_definition = describe_operation("data-quality-job-definition")
    delete_data_quality_job_definition = delete_operation("data-quality-job-definition")
    list_data_quality_job_definitions = _list_definitions_operation("data-quality-job-definition")

    create_model_quality_job_definition = create_operation("model-quality-job-definition")
    describe_model_quality_job_definition = describe_operation("model-quality-job-definition")
    delete_model_quality_job_definition = delete_operation("model-quality-job-definition")
    list_model_quality_job_definitions = _list_definitions_operation("model-quality-job-definition")

    create_model_bias_job_definition = create_operation("model-bias-job-definition")
    describe_model_bias_job_definition = describe_operation("model-bias-job-definition")
    delete_model_bias_job_definition = delete_operation("model-bias-job-definition")
    list_model_bias_job_definitions = _list_definitions_operation("model-bias-job-definition")

    create_model_explainability_job_definition = create_operation("model-explainability-job-definition")
    describe_model_explainability_job_definition = describe_operation("model-explainability-job-definition")
    delete_model_explainability_job_definition = delete_operation("model-explainability-job-definition")
    list_model_explainability_job_definitions = _list_definitions_operation("model-explainability-job-definition")

    def create_monitoring_schedule(self) -> ActionResult:
        config = self._request["MonitoringScheduleConfig"]
        record, response = self._create("monitoring-schedule", **self._schedule_view(config))
        record["MonitoringScheduleStatus"] = "Scheduled"
        self.platform.hooks.schedule_changed(copy.deepcopy(record))
        return response

    def describe_monitoring_schedule(self) -> ActionResult:
        record = self._find("monitoring-schedule")
        runs = self._select("monitoring-execution", MonitoringScheduleName=record["MonitoringScheduleName"])
        last_run = max(runs, key=lambda r: r.get("ScheduledTime", 0), default=None)
        return ActionResult({**record, "LastMonitoringExecutionSummary": last_run})

    def list_monitoring_schedules(self) -> ActionResult:
        return self._list_filtered("monitoring-schedule")

    def update_monitoring_schedule(self) -> ActionResult:
        config = self._request["MonitoringScheduleConfig"]
        changes = {"MonitoringScheduleConfig": to_plain(config), **self._schedule_view(config)}
        return self._update_schedule(changes)

    def start_monitoring_schedule(self) -> ActionResult:
        self._update_schedule({"MonitoringScheduleStatus": "Scheduled"})
        return EmptyResult()

    def stop_monitoring_schedule(self) -> ActionResult:
        self._update_schedule({"MonitoringScheduleStatus": "Stopped"})
        return EmptyResult()

    def delete_monitoring_schedule(self) -> ActionResult:
        name = self._name("monitoring-schedule")
        self._delete("monitoring-schedule")
        for execution in self._select("monitoring-execution", MonitoringScheduleName=name):
            del self._records["monitoring-execution"][execution["ProcessingJobArn"]]
        self.platform.hooks.schedule_deleted(name)
        return EmptyResult()

    def list_monitoring_executions(self) -> ActionResult:
        return self._list_filtered("monitoring-execution")

    def _update_schedule(self, changes: dict[str, Any]) -> ActionResult:
        record = self._records.update("monitoring-schedule", self._name("monitoring-schedule"), changes)
        self.platform.hooks.schedule_changed(copy.deepcopy(record))
        return self._arn_response("monitoring-schedule", record)

    def _list_filtered(self, kind: KindName) -> ActionResult:
        """Lists the records that the request's schedule, endpoint, job definition and monitoring type select."""
        fields = ("MonitoringScheduleName", "EndpointName", "MonitoringJobDefinitionName")
        filters = {field: self._request.get(field) for field in fields}
        return self._list(kind, self._select(kind, MonitoringType=self._request.get("MonitoringTypeEquals"), **filters))

    def _select(self, kind: KindName, **filters: str | None) -> list[Record]:
        """Returns the records with these field values; a filter of None selects all."""
        rows = self._records[kind].values()
        return [row for row in rows if all(value in (None, row.get(field)) for field, value in filters.items())]

    def _schedule_view(self, config: dict[str, Any]) -> dict[str, Any]:
        """Returns what AWS shows beside the configuration: the type, the definition's name and the endpoint."""
        monitoring_type = config.get("MonitoringType", "DataQuality")
        name = config.get("MonitoringJobDefinitionName")
        definition = self._records[_DEFINITION_KINDS[monitoring_type]].get(name, {}) if name else {}
        # A schedule has the name of a job definition, or a whole definition inline with a list of inputs.
        inline_inputs = (config.get("MonitoringJobDefinition") or {}).get("MonitoringInputs") or [{}]
        return {
            "MonitoringType": monitoring_type,
            "MonitoringJobDefinitionName": name,
            "EndpointName": _endpoint_of(definition or {"JobInput": inline_inputs[0]}),
        }
