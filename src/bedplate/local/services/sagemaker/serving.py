"""SageMaker's models, endpoint configurations and endpoints, as records; the runtime does the serving."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from bedplate.local.hooks import UNDER_WAY, Record
from bedplate.local.services.installation import AwsApiError
from bedplate.local.services.sagemaker.operations import SageMakerOperations

_BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


class ServingOperations(SageMakerOperations):
    def create_model(self) -> ActionResult:
        for container in (self._request.get("PrimaryContainer"), *(self._request.get("Containers") or ())):
            if container:
                container.setdefault("Mode", "SingleModel")
        return self._created("model")[1]

    def describe_model(self) -> ActionResult:
        return self._described("model")

    def list_models(self) -> ActionResult:
        return self._listed("model")

    def delete_model(self) -> ActionResult:
        return self._deleted("model")

    def create_endpoint_config(self) -> ActionResult:
        _check_variants(self._request)
        for variant in _variants(self._request):
            if variant.get("ModelName"):
                self._records.get("model", variant["ModelName"])
        return self._created("endpoint-config")[1]

    def describe_endpoint_config(self) -> ActionResult:
        return self._described("endpoint-config")

    def list_endpoint_configs(self) -> ActionResult:
        return self._listed("endpoint-config")

    def delete_endpoint_config(self) -> ActionResult:
        return self._deleted("endpoint-config")

    def create_endpoint(self) -> ActionResult:
        config = self._records.get("endpoint-config", self._request["EndpointConfigName"])
        view = endpoint_view(config, self._request.get("DeploymentConfig"))
        record, answer = self._created("endpoint", EndpointStatus="Creating", **view)
        record.pop("DeploymentConfig", None)
        self.platform.hooks.endpoint_created(copy.deepcopy(record))
        return answer

    def describe_endpoint(self) -> ActionResult:
        return self._described("endpoint")

    def list_endpoints(self) -> ActionResult:
        return self._listed("endpoint")

    def delete_endpoint(self) -> ActionResult:
        name = self._name("endpoint")
        self._deleted("endpoint")
        self.platform.hooks.endpoint_deleted(name)
        return EmptyResult()

    def update_endpoint(self) -> ActionResult:
        record = self._idle_endpoint("update")
        config = self._records.get("endpoint-config", self._request["EndpointConfigName"])
        request = copy.deepcopy(dict(self._request))
        if request.get("RetainDeploymentConfig") and not request.get("DeploymentConfig"):
            request["DeploymentConfig"] = record.get("LastDeploymentConfig")
        if request.get("DeploymentConfig"):
            _check_same_variants(record, config)
        pending = {
            "EndpointConfigName": config["EndpointConfigName"],
            "ProductionVariants": variant_summaries(config["ProductionVariants"]),
            "StartTime": self.platform.now(),
        }
        record = self._records.update(
            "endpoint",
            record["EndpointName"],
            {
                "EndpointStatus": "Updating",
                "PendingDeploymentSummary": pending,
                "FailureReason": None,
                UNDER_WAY: request,
            },
        )
        self.platform.hooks.endpoint_updated(copy.deepcopy(record), request)
        return self._arn_of("endpoint", record)

    def update_endpoint_weights_and_capacities(self) -> ActionResult:
        record = self._idle_endpoint("update weights of")
        desired = [dict(d) for d in self._request["DesiredWeightsAndCapacities"]]
        names = {v["VariantName"] for v in record["ProductionVariants"]}
        unknown = [d["VariantName"] for d in desired if d["VariantName"] not in names]
        if unknown:
            message = (
                f'The variant name(s) "{", ".join(unknown)}" is/are not present within endpoint configuration '
                f'"{record["EndpointConfigName"]}".'
            )
            raise AwsApiError("ValidationException", message)
        for variant in record["ProductionVariants"]:
            for wish in (d for d in desired if d["VariantName"] == variant["VariantName"]):
                variant.update({k: v for k, v in wish.items() if k.startswith("Desired") and v is not None})
        record = self._records.update("endpoint", record["EndpointName"], {"EndpointStatus": "Updating"})
        self.platform.hooks.endpoint_weights_changed(copy.deepcopy(record), desired)
        return self._arn_of("endpoint", record)

    def _idle_endpoint(self, verb: str) -> Record:
        record = self._records.get("endpoint", self._name("endpoint"))
        if record["EndpointStatus"] in _BUSY:
            message = f'Cannot {verb} in-progress endpoint "{record["EndpointArn"]}".'
            raise AwsApiError("ValidationException", message)
        return record


def endpoint_view(config: Mapping[str, Any], deployment: Mapping[str, Any] | None) -> dict[str, Any]:
    """What DescribeEndpoint shows of the configuration that is live; None removes what it does not have."""
    capture = config.get("DataCaptureConfig")
    shadows = config.get("ShadowProductionVariants")
    return {
        "EndpointConfigName": config["EndpointConfigName"],
        "ProductionVariants": variant_summaries(config["ProductionVariants"]),
        "ShadowProductionVariants": variant_summaries(shadows) if shadows else None,
        "DataCaptureConfig": {
            "EnableCapture": bool(capture.get("EnableCapture")),
            "CaptureStatus": "Started" if capture.get("EnableCapture") else "Stopped",
            "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
            "DestinationS3Uri": capture["DestinationS3Uri"],
            "KmsKeyId": capture.get("KmsKeyId"),
        }
        if capture
        else None,
        "AsyncInferenceConfig": copy.deepcopy(config.get("AsyncInferenceConfig")),
        "LastDeploymentConfig": copy.deepcopy(dict(deployment)) if deployment else None,
    }


def variant_summaries(variants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """ProductionVariantSummary of each variant of a configuration, at its initial weight and count."""
    return [
        {
            "VariantName": v["VariantName"],
            "CurrentWeight": float(v.get("InitialVariantWeight", 1.0)),
            "DesiredWeight": float(v.get("InitialVariantWeight", 1.0)),
            "CurrentInstanceCount": int(v.get("InitialInstanceCount", 1)),
            "DesiredInstanceCount": int(v.get("InitialInstanceCount", 1)),
            "VariantStatus": [],
        }
        for v in variants
    ]


def _check_variants(request: Mapping[str, Any]) -> None:
    """Names are used once; a shadow copies the traffic of exactly one production variant."""
    names = [v["VariantName"] for v in _variants(request)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AwsApiError("ValidationException", f"Variant names must be unique: {', '.join(twice)} is used twice.")
    shadows = request.get("ShadowProductionVariants") or ()
    if shadows and (len(request["ProductionVariants"]) != 1 or len(shadows) != 1):
        message = (
            "With ShadowProductionVariants there can be only one ProductionVariant and one ShadowProductionVariant."
        )
        raise AwsApiError("ValidationException", message)


def _check_same_variants(record: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Deployment guardrails move traffic between fleets of the same variants only (the SageMaker guide, Exclusions)."""
    old, new = (sorted(v["VariantName"] for v in told["ProductionVariants"]) for told in (record, config))
    if old != new:
        message = (
            f"With a DeploymentConfig the new endpoint configuration must have the same variants as the old one: "
            f"{', '.join(old)} is live, {config['EndpointConfigName']} has {', '.join(new)}."
        )
        raise AwsApiError("ValidationException", message)


def _variants(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*request.get("ProductionVariants", ()), *(request.get("ShadowProductionVariants") or ())]
