"""SageMaker's managed MLflow tracking servers as records; the runtime runs an MLflow server for each."""

from __future__ import annotations

import copy
from importlib.metadata import version

from moto.core.responses import ActionResult

from bedplate.local.hooks import KindName
from bedplate.local.services.installation import AwsApiError
from bedplate.local.services.sagemaker.operations import (
    SageMakerOperations,
    describe_operation,
    list_operation,
    update_operation,
)

_KIND: KindName = "mlflow-tracking-server"


class TrackingOperations(SageMakerOperations):
    describe_mlflow_tracking_server = describe_operation(_KIND)
    list_mlflow_tracking_servers = list_operation(_KIND)
    update_mlflow_tracking_server = update_operation(_KIND)

    def create_mlflow_tracking_server(self) -> ActionResult:
        record, response = self._create(
            _KIND, TrackingServerStatus="Creating", IsActive="Inactive", MlflowVersion=version("mlflow")
        )
        record.setdefault("TrackingServerSize", "Small")
        record.setdefault("AutomaticModelRegistration", False)
        self.platform.hooks.tracking_started(copy.deepcopy(record))
        return response

    def delete_mlflow_tracking_server(self) -> ActionResult:
        record = self._records.delete(_KIND, self._name(_KIND))
        self.platform.hooks.tracking_deleted(record["TrackingServerName"])
        return self._arn_response(_KIND, record)

    def create_presigned_mlflow_tracking_server_url(self) -> ActionResult:
        """Returns the server's own address: a local MLflow server has no sign-in, so the URL needs no signature."""
        record = self._find(_KIND)
        if record["TrackingServerStatus"] != "Created":
            message = f"Tracking server is {record['TrackingServerStatus']}, not Created."
            raise AwsApiError("ValidationException", message)
        return ActionResult({"AuthorizedUrl": record["TrackingServerUrl"]})
