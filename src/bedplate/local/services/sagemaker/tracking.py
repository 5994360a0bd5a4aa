"""SageMaker's managed MLflow tracking servers, as records; the runtime runs a real one for each."""

from __future__ import annotations

import copy

from moto.core.responses import ActionResult

from bedplate.local.hooks import Kind
from bedplate.local.services.installation import AwsApiError
from bedplate.local.services.sagemaker.operations import SageMakerOperations

_KIND: Kind = "mlflow-tracking-server"


class TrackingOperations(SageMakerOperations):
    def create_mlflow_tracking_server(self) -> ActionResult:
        record, answer = self._created(
            _KIND, TrackingServerStatus="Creating", IsActive="Inactive", MlflowVersion=_mlflow_version()
        )
        record.setdefault("TrackingServerSize", "Small")
        record.setdefault("AutomaticModelRegistration", False)
        self.platform.hooks.tracking_wanted(copy.deepcopy(record))
        return answer

    def describe_mlflow_tracking_server(self) -> ActionResult:
        return self._described(_KIND)

    def list_mlflow_tracking_servers(self) -> ActionResult:
        return self._listed(_KIND)

    def update_mlflow_tracking_server(self) -> ActionResult:
        changes = {k: v for k, v in self._request.items() if k != "TrackingServerName"}
        return self._arn_of(_KIND, self._records.update(_KIND, self._name(_KIND), changes))

    def delete_mlflow_tracking_server(self) -> ActionResult:
        record = self._records.delete(_KIND, self._name(_KIND))
        self.platform.hooks.tracking_deleted(record["TrackingServerName"])
        return self._arn_of(_KIND, record)

    def create_presigned_mlflow_tracking_server_url(self) -> ActionResult:
        """A laptop's server asks nobody who he is: its own address."""
        record = self._records.get(_KIND, self._name(_KIND))
        if record["TrackingServerStatus"] != "Created":
            raise AwsApiError(
                "ValidationException", f"Tracking server is {record['TrackingServerStatus']}, not Created."
            )
        return ActionResult({"AuthorizedUrl": record["TrackingServerUrl"]})


def _mlflow_version() -> str:
    from importlib.metadata import version

    return version("mlflow")
