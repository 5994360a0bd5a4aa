"""SageMaker's Model Registry: model package groups with their resource policies, and versioned model packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from bedplate.local.hooks import Record
from bedplate.local.services.installation import AwsApiError
from bedplate.local.services.records import to_plain
from bedplate.local.services.sagemaker.operations import SageMakerOperations, describe_operation, list_operation

_APPROVAL_STATUSES = ("Approved", "Rejected", "PendingManualApproval")
_UPDATABLE_FIELDS = (
    "ModelApprovalStatus", "ApprovalDescription", "InferenceSpecification", "SourceUri", "ModelCard", "ModelLifeCycle",
)  # fmt: skip


class RegistryOperations(SageMakerOperations):
    describe_model_package_group = describe_operation("model-package-group")
    list_model_package_groups = list_operation("model-package-group")

    def create_model_package_group(self) -> ActionResult:
        return self._create("model-package-group", ModelPackageGroupStatus="Completed", CreatedBy={})[1]

    def delete_model_package_group(self) -> ActionResult:
        group = self._find("model-package-group")
        if self._packages_of(group["ModelPackageGroupName"]):
            message = f"Model Package Group {group['ModelPackageGroupArn']} still has model packages."
            raise AwsApiError("ConflictException", message)
        return self._delete("model-package-group")

    def put_model_package_group_policy(self) -> ActionResult:
        group = self._find("model-package-group")
        group["ResourcePolicy"] = self._request["ResourcePolicy"]
        return self._arn_response("model-package-group", group)

    def get_model_package_group_policy(self) -> ActionResult:
        group = self._find("model-package-group")
        if "ResourcePolicy" not in group:
            message = f"Cannot find resource policy for: {group['ModelPackageGroupArn']}"
            raise AwsApiError("ValidationException", message)
        return ActionResult({"ResourcePolicy": group["ResourcePolicy"]})

    def delete_model_package_group_policy(self) -> ActionResult:
        group = self._find("model-package-group")
        group.pop("ResourcePolicy", None)
        return EmptyResult()

    def create_model_package(self) -> ActionResult:
        group_name, name = self._request.get("ModelPackageGroupName"), self._request.get("ModelPackageName")
        if bool(group_name) == bool(name):
            message = "Exactly one of ModelPackageName and ModelPackageGroupName is required."
            raise AwsApiError("ValidationException", message)
        self._check_approval(self._request)
        extra_fields: dict[str, Any] = {
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        }
        if group_name:
            group = self._records.get("model-package-group", group_name)
            token = self._request.get("ClientToken")
            for package in self._packages_of(group["ModelPackageGroupName"]) if token else ():
                if package.get("ClientToken") == token:  # a repeated request: AWS creates one package for one token
                    return self._arn_response("model-package", package)
            # AWS does not give the version number of a deleted package to another one.
            group["LastVersion"] = version = group.get("LastVersion", 0) + 1
            arn = self._records.arn("model-package", f"{group['ModelPackageGroupName']}/{version}")
            extra_fields |= {
                # A request may name its group by ARN; a package shows the group's name.
                "ModelPackageGroupName": group["ModelPackageGroupName"],
                "ModelPackageVersion": version,
                "ModelApprovalStatus": self._request.get("ModelApprovalStatus") or "PendingManualApproval",
            }
        else:
            arn = self._records.arn("model-package", str(name))
        record, response = self._create("model-package", ModelPackageArn=arn, **extra_fields)
        self.platform.emit_state_change("model-package", record)
        return response

    def describe_model_package(self) -> ActionResult:
        return ActionResult(self._find_package(self._request["ModelPackageName"]))

    def list_model_packages(self) -> ActionResult:
        group = self._request.get("ModelPackageGroupName")
        if group:
            rows = self._packages_of(self._records.get("model-package-group", group)["ModelPackageGroupName"])
        else:
            # Without a group and a type AWS lists only the packages that have no version.
            package_type = self._request.get("ModelPackageType") or "Unversioned"
            versioned = {"Versioned": (True,), "Unversioned": (False,), "Both": (True, False)}[package_type]
            rows = [r for r in self._records["model-package"].values() if ("ModelPackageVersion" in r) in versioned]
        return self._list("model-package", rows)

    def update_model_package(self) -> ActionResult:
        record = self._find_package(self._request["ModelPackageArn"])
        self._check_approval(self._request)
        previous_status = record.get("ModelApprovalStatus")
        changes = {k: self._request[k] for k in _UPDATABLE_FIELDS if self._request.get(k) is not None}
        # AWS merges new metadata into the old, and removes keys only through CustomerMetadataPropertiesToRemove.
        metadata = {
            **record.get("CustomerMetadataProperties", {}),
            **(self._request.get("CustomerMetadataProperties") or {}),
        }
        for key in self._request.get("CustomerMetadataPropertiesToRemove") or ():
            metadata.pop(key, None)
        specifications = [
            *record.get("AdditionalInferenceSpecifications", ()),
            *to_plain(self._request.get("AdditionalInferenceSpecificationsToAdd") or []),
        ]
        record = self._records.update(
            "model-package",
            record["ModelPackageArn"],
            {
                **changes,
                "CustomerMetadataProperties": metadata or None,
                "AdditionalInferenceSpecifications": specifications or None,
                "LastModifiedBy": {},
            },
        )
        if record.get("ModelApprovalStatus") != previous_status:
            self.platform.emit_state_change("model-package", record)
        return self._arn_response("model-package", record)

    def delete_model_package(self) -> ActionResult:
        self._records.delete("model-package", self._find_package(self._request["ModelPackageName"])["ModelPackageArn"])
        return EmptyResult()

    def batch_describe_model_package(self) -> ActionResult:
        packages, arns = self._records["model-package"], self._request["ModelPackageArnList"]
        missing = {"ErrorCode": "ValidationException", "ErrorResponse": "ModelPackage does not exist."}
        return ActionResult(
            {
                "ModelPackageSummaries": {arn: packages[arn] for arn in arns if arn in packages},
                "BatchDescribeModelPackageErrorMap": {arn: missing for arn in arns if arn not in packages},
            }
        )

    def _find_package(self, name: str) -> Record:
        """Returns a package by its ARN, or an unversioned package by its name."""
        return self._records.get("model-package", self._records.arn("model-package", name))

    def _packages_of(self, group: str) -> list[Record]:
        return [r for r in self._records["model-package"].values() if r.get("ModelPackageGroupName") == group]

    def _check_approval(self, request: Mapping[str, Any]) -> None:
        status = request.get("ModelApprovalStatus")
        if status is not None and status not in _APPROVAL_STATUSES:
            message = (
                f"1 validation error detected: Value '{status}' at 'modelApprovalStatus' failed to satisfy constraint: "
                f"Member must satisfy enum value set: [{', '.join(_APPROVAL_STATUSES)}]"
            )
            raise AwsApiError("ValidationException", message)
