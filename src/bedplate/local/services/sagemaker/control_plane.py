"""Patches moto's SageMaker: every kind of resource that Bedplate uses is a plain record with tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import moto.sagemaker.urls
from moto.core.resource_tagging import TaggedResource
from moto.core.responses import ActionResult
from moto.sagemaker.models import SageMakerModelBackend

from bedplate.local.services.installation import patch_service
from bedplate.local.services.records import RECORD_KINDS, Records
from bedplate.local.services.sagemaker.monitoring import MonitoringOperations
from bedplate.local.services.sagemaker.pipelines import PipelineOperations
from bedplate.local.services.sagemaker.registry import RegistryOperations
from bedplate.local.services.sagemaker.serving import ServingOperations
from bedplate.local.services.sagemaker.tracking import TrackingOperations
from bedplate.local.services.sagemaker.tuning import TuningOperations

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform


class Backend(SageMakerModelBackend):  # type: ignore[misc]
    _url_module = moto.sagemaker.urls

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.records = Records(region_name, account_id)

    # The Resource Groups Tagging API calls these methods of every service.

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        yield from super().iter_tagged_resources()  # moto's own resources, none of ours
        for arn, tags in self.records.tags.items():
            yield TaggedResource(arn, dict(tags), f"sagemaker:{_kind_of(arn)}")

    def tag_resource(self, arn: str, tags: Mapping[str, str]) -> None:
        if _kind_of(arn) not in RECORD_KINDS:
            super().tag_resource(arn, tags)
            return
        self.records.get(_kind_of(arn), arn)
        self.records.tag(arn, [{"Key": key, "Value": value} for key, value in tags.items()])

    def untag_resource(self, arn: str, tag_keys: Sequence[str]) -> None:
        if _kind_of(arn) not in RECORD_KINDS:
            super().untag_resource(arn, tag_keys)
            return
        self.records.untag(arn, tag_keys)


class Response(
    ServingOperations,
    TuningOperations,
    RegistryOperations,
    MonitoringOperations,
    PipelineOperations,
    TrackingOperations,
):
    def list_tags(self) -> ActionResult:
        arn = self._request["ResourceArn"]
        if not self._is_ours(arn):
            return super().list_tags()
        return ActionResult({"Tags": [{"Key": k, "Value": v} for k, v in self._records.tags.get(arn, {}).items()]})

    def add_tags(self) -> ActionResult:
        arn = self._request["ResourceArn"]
        if not self._is_ours(arn):
            return super().add_tags()
        self._records.tag(arn, self._request["Tags"])
        return self.list_tags()

    def delete_tags(self) -> ActionResult:
        arn = self._request["ResourceArn"]
        if not self._is_ours(arn):
            return super().delete_tags()
        self._records.untag(arn, self._request["TagKeys"])
        return ActionResult({})

    def _is_ours(self, arn: str) -> bool:
        """Returns whether Bedplate stores this kind of resource, and not moto.

        Like AWS, raises an error for a resource of such a kind that does not exist.
        """
        kind = _kind_of(arn)
        if kind not in RECORD_KINDS:
            return False
        self._records.get(kind, arn)
        return True


def _kind_of(arn: str) -> Any:
    """Returns the kind in a SageMaker ARN; it is in `RECORD_KINDS` when Bedplate stores resources of the kind."""
    return arn.split(":", 5)[-1].split("/", 1)[0]


def install(platform: LocalPlatform) -> None:
    Response.platform = Records.platform = platform
    patch_service("sagemaker", response=Response, backend=Backend)
