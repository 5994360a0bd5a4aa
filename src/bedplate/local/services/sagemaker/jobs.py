"""SageMaker's training and processing jobs as records; the runtime runs their containers."""

from __future__ import annotations

import copy
from collections.abc import Callable

from moto.core.responses import ActionResult, EmptyResult

from bedplate.local.hooks import KindName
from bedplate.local.services.installation import AwsApiError
from bedplate.local.services.records import RECORD_KINDS
from bedplate.local.services.sagemaker.operations import SageMakerOperations, describe_operation, list_operation


class JobOperations(SageMakerOperations):
    describe_training_job = describe_operation("training-job")
    list_training_jobs = list_operation("training-job")
    describe_processing_job = describe_operation("processing-job")
    list_processing_jobs = list_operation("processing-job")

    def create_training_job(self) -> ActionResult:
        self._require_budget("sagemaker:CreateTrainingJob", "training-job")
        output = self._request["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        now = self.platform.now()
        record, response = self._create(
            "training-job",
            TrainingJobStatus="InProgress",
            SecondaryStatus="Starting",
            SecondaryStatusTransitions=[
                {"Status": "Starting", "StartTime": now, "StatusMessage": "Launching requested ML instances"}
            ],
            ModelArtifacts={"S3ModelArtifacts": f"{output}/{self._name('training-job')}/output/model.tar.gz"},
        )
        self.platform.hooks.training_started(copy.deepcopy(record))
        return response

    def stop_training_job(self) -> ActionResult:
        return self._stop("training-job", self.platform.hooks.training_stopped)

    def delete_training_job(self) -> ActionResult:
        return self._delete_finished("training-job")

    def create_processing_job(self) -> ActionResult:
        self._require_budget("sagemaker:CreateProcessingJob", "processing-job")
        record, response = self._create("processing-job", ProcessingJobStatus="InProgress")
        self.platform.hooks.processing_started(copy.deepcopy(record))
        return response

    def stop_processing_job(self) -> ActionResult:
        return self._stop("processing-job", self.platform.hooks.processing_stopped)

    def delete_processing_job(self) -> ActionResult:
        return self._delete_finished("processing-job")

    def _require_budget(self, action: str, kind: KindName) -> None:
        """Raises AWS's AccessDeniedException when the policy of an executed budget action denies the call."""
        arn = f"arn:aws:sagemaker:{self.region}:{self.current_account}:{kind}/{self._name(kind)}"
        tags = {tag["Key"]: tag["Value"] for tag in self._request.get("Tags") or ()}
        if self.platform.find_blocking_budget(action, arn, tags):
            caller = f"arn:aws:iam::{self.current_account}:root"
            raise AwsApiError(
                "AccessDeniedException",
                f"User: {caller} is not authorized to perform: {action} on resource: {arn} "
                "with an explicit deny in an identity-based policy",
            )

    def _stop(self, kind: KindName, hook: Callable[[str], None]) -> ActionResult:
        name, record, status = self._name(kind), self._find(kind), RECORD_KINDS[kind].status_field
        if record[status] == "InProgress":
            self._records.update(kind, name, {status: "Stopping"})
            hook(name)
        elif record[status] != "Stopping":
            noun = kind.replace("-", " ")
            message = f"The request was rejected because the {noun} is in status {record[status]}."
            raise AwsApiError("ValidationException", message)
        return EmptyResult()

    def _delete_finished(self, kind: KindName) -> ActionResult:
        record = self._find(kind)
        if record[RECORD_KINDS[kind].status_field] in ("InProgress", "Stopping"):
            raise AwsApiError("ResourceInUse", f"{record[RECORD_KINDS[kind].arn_field]} is still running.")
        return self._delete(kind)
