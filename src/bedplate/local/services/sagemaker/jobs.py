"""SageMaker's training and processing jobs, as records; the runtime does the work."""

from __future__ import annotations

import copy
from collections.abc import Callable

from moto.core.responses import ActionResult, EmptyResult

from bedplate.local.hooks import Kind
from bedplate.local.services.installation import AwsApiError
from bedplate.local.services.records import NOUNS
from bedplate.local.services.sagemaker.operations import SageMakerOperations


class JobOperations(SageMakerOperations):
    def create_training_job(self) -> ActionResult:
        self._must_be_within_budget("sagemaker:CreateTrainingJob", "training-job")
        output = self._request["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        now = self.platform.now()
        record, answer = self._created(
            "training-job",
            TrainingJobStatus="InProgress",
            SecondaryStatus="Starting",
            SecondaryStatusTransitions=[
                {"Status": "Starting", "StartTime": now, "StatusMessage": "Launching requested ML instances"}
            ],
            ModelArtifacts={"S3ModelArtifacts": f"{output}/{self._name('training-job')}/output/model.tar.gz"},
        )
        self.platform.hooks.training_started(copy.deepcopy(record))
        return answer

    def describe_training_job(self) -> ActionResult:
        return self._described("training-job")

    def list_training_jobs(self) -> ActionResult:
        return self._listed("training-job")

    def stop_training_job(self) -> ActionResult:
        return self._stopped("training-job", self.platform.hooks.training_stopped)

    def delete_training_job(self) -> ActionResult:
        return self._deleted_when_done("training-job")

    def create_processing_job(self) -> ActionResult:
        self._must_be_within_budget("sagemaker:CreateProcessingJob", "processing-job")
        record, answer = self._created("processing-job", ProcessingJobStatus="InProgress")
        self.platform.hooks.processing_started(copy.deepcopy(record))
        return answer

    def describe_processing_job(self) -> ActionResult:
        return self._described("processing-job")

    def list_processing_jobs(self) -> ActionResult:
        return self._listed("processing-job")

    def stop_processing_job(self) -> ActionResult:
        return self._stopped("processing-job", self.platform.hooks.processing_stopped)

    def delete_processing_job(self) -> ActionResult:
        return self._deleted_when_done("processing-job")

    def _must_be_within_budget(self, action: str, kind: Kind) -> None:
        """A budget action that was executed has attached a policy which may deny this; the words are AWS's."""
        arn = f"arn:aws:sagemaker:{self.region}:{self.current_account}:{kind}/{self._name(kind)}"
        tags = {tag["Key"]: tag["Value"] for tag in self._request.get("Tags") or ()}
        if self.platform.stopped_by_budget(action, arn, tags):
            caller = f"arn:aws:iam::{self.current_account}:root"
            raise AwsApiError(
                "AccessDeniedException",
                f"User: {caller} is not authorized to perform: {action} on resource: {arn} "
                "with an explicit deny in an identity-based policy",
            )

    def _stopped(self, kind: Kind, hook: Callable[[str], None]) -> ActionResult:
        name, status = self._name(kind), NOUNS[kind].status
        record = self._records.get(kind, name)
        if record[status] == "InProgress":
            self._records.update(kind, name, {status: "Stopping"})
            hook(name)
        elif record[status] != "Stopping":
            words = kind.replace("-", " ")
            message = f"The request was rejected because the {words} is in status {record[status]}."
            raise AwsApiError("ValidationException", message)
        return EmptyResult()

    def _deleted_when_done(self, kind: Kind) -> ActionResult:
        record = self._records.get(kind, self._name(kind))
        if record[NOUNS[kind].status] in ("InProgress", "Stopping"):
            raise AwsApiError("ResourceInUse", f"{record[NOUNS[kind].arn]} is still running.")
        return self._deleted(kind)
