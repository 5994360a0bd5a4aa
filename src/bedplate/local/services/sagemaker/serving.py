"""SageMaker's models, endpoint configurations and endpoints as records; the runtime serves the endpoints."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from bedplate.local.hooks import PENDING_UPDATE, Record
from bedplate.local.services.installation import AwsApiError
from bedplate.local.services.sagemaker.operations import (
    SageMakerOperations,
    delete_operation,
    describe_operation,
    list_operation,
)

# AWS rejects an update of an endpoint in one of these statuses.
_BUSY_STATUSES = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


class ServingOperations(SageMakerOperations):
    describe_model = describe_operation("model")
    list_models = list_operation("model")
    delete_model = delete_operation("model")
    describe_endpoint_config = describe_operation("endpoint-config")
    list_endpoint_configs = list_operation("endpoint-config")
    delete_endpoint_config = delete_operation("endpoint-config")
    describe_endpoint = describe_operation("endpoint")
    list_endpoints = list_operation("endpoint")

    def create_model(self) -> ActionResult:
        for container in (self._request.get("PrimaryContainer"), *(self._request.get("Containers") or ())):
            if container:
                container.setdefault("Mode", "SingleModel")  # AWS's default, which DescribeModel shows
        return self._create("model")[1]

    def create_endpoint_config(self) -> ActionResult:
        _check_variants(self._request)
        for variant in _variants(self._request):
            if variant.get("ModelName"):
                self._records.get("model", variant["ModelName"])
        return self._create("endpoint-config")[1]

    def create_endpoint(self) -> ActionResult:
        config = self._records.get("endpoint-config", self._request["EndpointConfigName"])
        view = build_endpoint_view(config, self._request.get("DeploymentConfig"))
        record, response = self._create("endpoint", EndpointStatus="Creating", **view)
        record.pop("DeploymentConfig", None)  # DescribeEndpoint shows it as LastDeploymentConfig
        self.platform.hooks.endpoint_created(copy.deepcopy(record))
        return response

    def delete_endpoint(self) -> ActionResult:
        name = self._name("endpoint")
        self._delete("endpoint")
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
            "ProductionVariants": build_variant_summaries(config["ProductionVariants"]),
            "StartTime": self.platform.now(),
        }
        record = self._records.update(
            "endpoint",
            record["EndpointName"],
            {
                "EndpointStatus": "Updating",
                "PendingDeploymentSummary": pending,
                "FailureReason": None,
                PENDING_UPDATE: request,
            },
        )
        self.platform.hooks.endpoint_updated(copy.deepcopy(record), request)
        return self._arn_response("endpoint", record)

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
            for target in (d for d in desired if d["VariantName"] == variant["VariantName"]):
                variant.update({k: v for k, v in target.items() if k.startswith("Desired") and v is not None})
        record = self._records.update("endpoint", record["EndpointName"], {"EndpointStatus": "Updating"})
        self.platform.hooks.endpoint_weights_changed(copy.deepcopy(record), desired)
        return self._arn_response("endpoint", record)

    def _idle_endpoint(self, verb: str) -> Record:
        """Returns the endpoint of the request. Raises AWS's error while another operation changes it."""
        record = self._find("endpoint")
        if record["EndpointStatus"] in _BUSY_STATUSES:
            message = f'Cannot {verb} in-progress endpoint "{record["EndpointArn"]}".'
            raise AwsApiError("ValidationException", message)
        return record


def build_endpoint_view(config: Mapping[str, Any], deployment: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the fields of DescribeEndpoint for the live configuration; None removes a field from the record."""
    capture = config.get("DataCaptureConfig")
    shadows = config.get("ShadowProductionVariants")
    return {
        "EndpointConfigName": config["EndpointConfigName"],
        "ProductionVariants": build_variant_summaries(config["ProductionVariants"]),
        "ShadowProductionVariants": build_variant_summaries(shadows) if shadows else None,
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


def build_variant_summaries(variants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns a ProductionVariantSummary of each variant of a configuration, at its initial weight and count."""
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
    """Rejects duplicate names, and a shadow variant beside anything but exactly one production variant, as AWS does."""
    names = [v["VariantName"] for v in _variants(request)]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        message = f"Variant names must be unique: {', '.join(duplicates)} is used twice."
        raise AwsApiError("ValidationException", message)
    shadows = request.get("ShadowProductionVariants") or ()
    if shadows and (len(request["ProductionVariants"]) != 1 or len(shadows) != 1):
        message = (
            "With ShadowProductionVariants there can be only one ProductionVariant and one ShadowProductionVariant."
        )
        raise AwsApiError("ValidationException", message)


def _check_same_variants(record: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Rejects other variants with a DeploymentConfig.

    Deployment guardrails move traffic only between fleets of the same variants (SageMaker developer guide, Exclusions).
    """
    old, new = (sorted(v["VariantName"] for v in source["ProductionVariants"]) for source in (record, config))
    if old != new:
        message = (
            f"With a DeploymentConfig the new endpoint configuration must have the same variants as the old one: "
            f"{', '.join(old)} is live, {config['EndpointConfigName']} has {', '.join(new)}."
        )
        raise AwsApiError("ValidationException", message)


def _variants(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the production and the shadow variants of an endpoint configuration."""
    return [*request.get("ProductionVariants", ()), *(request.get("ShadowProductionVariants") or ())]
