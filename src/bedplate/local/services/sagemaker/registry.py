"""SageMaker's model registry: model package groups with their policies, and versioned model packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from bedplate.local.hooks import Record
from bedplate.local.services.installation import AwsApiError
from bedplate.local.services.records import plain
from bedplate.local.services.sagemaker.operations import SageMakerOperations

_STATUSES = ("Approved", "Rejected", "PendingManualApproval")
_REPLACED = ("ModelApprovalStatus", "ApprovalDescription", "InferenceSpecification", "SourceUri", "ModelCard",
             "ModelLifeCycle")  # fmt: skip


class RegistryOperations(SageMakerOperations):
    def create_model_package_group(self) -> ActionResult:
        return self._created("model-package-group", ModelPackageGroupStatus="Completed", CreatedBy={})[1]

    def describe_model_package_group(self) -> ActionResult:
        return self._described("model-package-group")

    def list_model_package_groups(self) -> ActionResult:
        return self._listed("model-package-group")

    def delete_model_package_group(self) -> ActionResult:
        group = self._records.get("model-package-group", self._name("model-package-group"))
        if self._packages_of(group["ModelPackageGroupName"]):
            message = f"Model Package Group {group['ModelPackageGroupArn']} still has model packages."
            raise AwsApiError("ConflictException", message)
        return self._deleted("model-package-group")

    def put_model_package_group_policy(self) -> ActionResult:
        group = self._records.get("model-package-group", self._name("model-package-group"))
        group["ResourcePolicy"] = self._request["ResourcePolicy"]
        return self._arn_of("model-package-group", group)

    def get_model_package_group_policy(self) -> ActionResult:
        group = self._records.get("model-package-group", self._name("model-package-group"))
        if "ResourcePolicy" not in group:
            message = f"Cannot find resource policy for: {group['ModelPackageGroupArn']}"
            raise AwsApiError("ValidationException", message)
        return ActionResult({"ResourcePolicy": group["ResourcePolicy"]})

    def delete_model_package_group_policy(self) -> ActionResult:
        group = self._records.get("model-package-group", self._name("model-package-group"))
        group.pop("ResourcePolicy", None)
        return EmptyResult()

    def create_model_package(self) -> ActionResult:
        group_name, name = self._request.get("ModelPackageGroupName"), self._request.get("ModelPackageName")
        if bool(group_name) == bool(name):
            message = "Exactly one of ModelPackageName and ModelPackageGroupName is needed."
            raise AwsApiError("ValidationException", message)
        self._check_approval(self._request)
        made: dict[str, Any] = {"ModelPackageStatus": "Completed", "ModelPackageStatusDetails": _DONE}
        if group_name:
            group = self._records.get("model-package-group", group_name)
            token = self._request.get("ClientToken")
            for package in self._packages_of(group["ModelPackageGroupName"]) if token else ():
                if package.get("ClientToken") == token:  # the same request again: AWS makes it once
                    return self._arn_of("model-package", package)
            group["LastVersion"] = version = group.get("LastVersion", 0) + 1
            arn = self._records.arn("model-package", f"{group['ModelPackageGroupName']}/{version}")
            made |= {"ModelPackageGroupName": group["ModelPackageGroupName"], "ModelPackageVersion": version}
            made["ModelApprovalStatus"] = self._request.get("ModelApprovalStatus") or "PendingManualApproval"
        else:
            arn = self._records.arn("model-package", str(name))
        record, answer = self._created("model-package", ModelPackageArn=arn, **made)
        self._announce(record)
        return answer

    def describe_model_package(self) -> ActionResult:
        return ActionResult(self._package(self._request["ModelPackageName"]))

    def list_model_packages(self) -> ActionResult:
        group = self._request.get("ModelPackageGroupName")
        if group:
            rows = self._packages_of(self._records.get("model-package-group", group)["ModelPackageGroupName"])
        else:
            kind = self._request.get("ModelPackageType") or "Unversioned"
            versioned = {"Versioned": (True,), "Unversioned": (False,), "Both": (True, False)}[kind]
            rows = [r for r in self._records["model-package"].values() if ("ModelPackageVersion" in r) in versioned]
        return self._listed("model-package", rows)

    def update_model_package(self) -> ActionResult:
        record = self._package(self._request["ModelPackageArn"])
        self._check_approval(self._request)
        before = record.get("ModelApprovalStatus")
        changes = {k: self._request[k] for k in _REPLACED if self._request.get(k) is not None}
        kept = record.get("CustomerMetadataProperties", {}) | dict(
            self._request.get("CustomerMetadataProperties") or {}
        )
        for key in self._request.get("CustomerMetadataPropertiesToRemove") or ():
            kept.pop(key, None)
        more = plain(self._request.get("AdditionalInferenceSpecificationsToAdd") or [])
        record = self._records.update(
            "model-package",
            record["ModelPackageArn"],
            {
                **changes,
                "CustomerMetadataProperties": kept or None,
                "AdditionalInferenceSpecifications": [*record.get("AdditionalInferenceSpecifications", ()), *more]
                or None,
                "LastModifiedBy": {},
            },
        )
        if record.get("ModelApprovalStatus") != before:
            self._announce(record)
        return self._arn_of("model-package", record)

    def delete_model_package(self) -> ActionResult:
        self._records.delete("model-package", self._package(self._request["ModelPackageName"])["ModelPackageArn"])
        return EmptyResult()

    def batch_describe_model_package(self) -> ActionResult:
        known = self._records["model-package"]
        asked = self._request["ModelPackageArnList"]
        missing = {"ErrorCode": "ValidationException", "ErrorResponse": "ModelPackage does not exist."}
        return ActionResult(
            {
                "ModelPackageSummaries": {arn: known[arn] for arn in asked if arn in known},
                "BatchDescribeModelPackageErrorMap": {arn: missing for arn in asked if arn not in known},
            }
        )

    def _package(self, name: str) -> Record:
        """By ARN, or by the name of an unversioned package."""
        return self._records.get("model-package", self._records.arn("model-package", name))

    def _packages_of(self, group: str) -> list[Record]:
        return [r for r in self._records["model-package"].values() if r.get("ModelPackageGroupName") == group]

    def _check_approval(self, request: Mapping[str, Any]) -> None:
        status = request.get("ModelApprovalStatus")
        if status is not None and status not in _STATUSES:
            message = (
                f"1 validation error detected: Value '{status}' at 'modelApprovalStatus' failed to satisfy constraint: "
                f"Member must satisfy enum value set: [{', '.join(_STATUSES)}]"
            )
            raise AwsApiError("ValidationException", message)

    def _announce(self, record: Record) -> None:
        self.platform.announce("model-package", record)


_DONE: dict[str, list[Any]] = {"ValidationStatuses": [], "ImageScanStatuses": []}
