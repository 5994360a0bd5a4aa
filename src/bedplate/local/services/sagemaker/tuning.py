"""SageMaker's hyper-parameter tuning jobs as records; the runtime chooses the trials and runs them."""

from __future__ import annotations

import copy

from moto.core.responses import ActionResult, EmptyResult

from bedplate.domain.versions.tuning import list_grid_points
from bedplate.local.hooks import KindName
from bedplate.local.runtime.jobs.tuning import trial_summary
from bedplate.local.runtime.jobs.tuning_search import parse_ranges
from bedplate.local.services.installation import AwsApiError
from bedplate.local.services.sagemaker.jobs import JobOperations
from bedplate.local.services.sagemaker.operations import describe_operation, list_operation

_KIND: KindName = "hyper-parameter-tuning-job"
_STRATEGIES = ("Random", "Grid", "Bayesian")
_TRAINING_COUNTERS = ("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped")


class TuningOperations(JobOperations):
    describe_hyper_parameter_tuning_job = describe_operation(_KIND)
    list_hyper_parameter_tuning_jobs = list_operation(_KIND)

    def create_hyper_parameter_tuning_job(self) -> ActionResult:
        self._require_budget("sagemaker:CreateHyperParameterTuningJob", _KIND)
        self._require_supported()
        record, response = self._create(
            _KIND,
            HyperParameterTuningJobStatus="InProgress",
            TrainingJobStatusCounters=dict.fromkeys(_TRAINING_COUNTERS, 0),
            ObjectiveStatusCounters={"Succeeded": 0, "Pending": 0, "Failed": 0},
        )
        self.platform.hooks.tuning_started(copy.deepcopy(record))
        return response

    def list_training_jobs_for_hyper_parameter_tuning_job(self) -> ActionResult:
        tuning = self._find(_KIND)
        jobs = self._records["training-job"]
        rows = [
            trial_summary(jobs[name], tuning, point)
            for name, point in (tuning.get("bedplate:Trials") or {}).items()
            if name in jobs
        ]
        return self._list("training-job", rows)

    def stop_hyper_parameter_tuning_job(self) -> ActionResult:
        name = self._name(_KIND)
        if self._find(_KIND)["HyperParameterTuningJobStatus"] == "InProgress":
            self._records.update(_KIND, name, {"HyperParameterTuningJobStatus": "Stopping"})
            self.platform.hooks.tuning_stopped(name)
        return EmptyResult()

    def delete_hyper_parameter_tuning_job(self) -> ActionResult:
        return self._delete_finished(_KIND)

    def _require_supported(self) -> None:
        """Raises a ValidationException for a job that the local platform cannot run, or that AWS would reject."""
        config = self._request["HyperParameterTuningJobConfig"]
        if config["Strategy"] not in _STRATEGIES:
            message = f"The local platform tunes by {', '.join(_STRATEGIES)}, not by {config['Strategy']}."
            raise AwsApiError("ValidationException", message)
        if not self._request.get("TrainingJobDefinition"):
            raise AwsApiError("ValidationException", "The local platform tunes one TrainingJobDefinition.")
        if config["Strategy"] == "Grid":
            try:
                size = sum(1 for _ in list_grid_points(parse_ranges(dict(self._request))))
            except ValueError as exc:
                raise AwsApiError("ValidationException", f"Strategy Grid takes categorical ranges only: {exc}") from exc
            # Grid search trains every point once, so AWS rejects any other number of training jobs.
            max_jobs = config["ResourceLimits"].get("MaxNumberOfTrainingJobs", size)
            if max_jobs != size:
                message = f"MaxNumberOfTrainingJobs is {max_jobs}, but the grid has {size} points."
                raise AwsApiError("ValidationException", message)
