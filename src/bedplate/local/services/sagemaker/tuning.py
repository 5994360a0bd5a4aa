"""SageMaker's tuning jobs, as records; the runtime chooses the trials and runs them."""

from __future__ import annotations

import copy

from moto.core.responses import ActionResult, EmptyResult

from bedplate.domain.versions.tuning import points
from bedplate.local.hooks import Kind
from bedplate.local.runtime.jobs.tuning import summary
from bedplate.local.runtime.jobs.tuning_search import ranges_of
from bedplate.local.services.installation import AwsApiError
from bedplate.local.services.sagemaker.jobs import JobOperations

_KIND: Kind = "hyper-parameter-tuning-job"
_STRATEGIES = ("Random", "Grid", "Bayesian")


class TuningOperations(JobOperations):
    def create_hyper_parameter_tuning_job(self) -> ActionResult:
        self._must_be_within_budget("sagemaker:CreateHyperParameterTuningJob", _KIND)
        self._must_be_possible()
        none = {"Completed": 0, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0}
        record, answer = self._created(
            _KIND,
            HyperParameterTuningJobStatus="InProgress",
            TrainingJobStatusCounters=none,
            ObjectiveStatusCounters={"Succeeded": 0, "Pending": 0, "Failed": 0},
        )
        self.platform.hooks.tuning_started(copy.deepcopy(record))
        return answer

    def describe_hyper_parameter_tuning_job(self) -> ActionResult:
        return self._described(_KIND)

    def list_hyper_parameter_tuning_jobs(self) -> ActionResult:
        return self._listed(_KIND)

    def list_training_jobs_for_hyper_parameter_tuning_job(self) -> ActionResult:
        tuning = self._records.get(_KIND, self._name(_KIND))
        jobs = self._records["training-job"]
        rows = [
            summary(jobs[name], tuning, point)
            for name, point in (tuning.get("bedplate:Trials") or {}).items()
            if name in jobs
        ]
        return self._listed("training-job", rows)

    def stop_hyper_parameter_tuning_job(self) -> ActionResult:
        name = self._name(_KIND)
        if self._records.get(_KIND, name)["HyperParameterTuningJobStatus"] == "InProgress":
            self._records.update(_KIND, name, {"HyperParameterTuningJobStatus": "Stopping"})
            self.platform.hooks.tuning_stopped(name)
        return EmptyResult()

    def delete_hyper_parameter_tuning_job(self) -> ActionResult:
        return self._deleted_when_done(_KIND)

    def _must_be_possible(self) -> None:
        config = self._request["HyperParameterTuningJobConfig"]
        if config["Strategy"] not in _STRATEGIES:
            message = f"The local platform tunes by {', '.join(_STRATEGIES)}, not by {config['Strategy']}."
            raise AwsApiError("ValidationException", message)
        if not self._request.get("TrainingJobDefinition"):
            raise AwsApiError("ValidationException", "The local platform tunes one TrainingJobDefinition.")
        if config["Strategy"] == "Grid":
            try:
                size = sum(1 for _ in points(ranges_of(dict(self._request))))
            except ValueError as exc:
                raise AwsApiError("ValidationException", f"Strategy Grid takes categorical ranges only: {exc}") from exc
            asked = config["ResourceLimits"].get("MaxNumberOfTrainingJobs", size)
            if asked != size:
                message = f"MaxNumberOfTrainingJobs is {asked}, and the grid has {size} points."
                raise AwsApiError("ValidationException", message)
