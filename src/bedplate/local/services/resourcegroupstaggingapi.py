"""Patches moto's Resource Groups Tagging API: tags that it sets are saved with the service of the resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from moto.core.responses import ActionResult
from moto.resourcegroupstaggingapi.responses import ResourceGroupsTaggingAPIResponse

from bedplate.local.services.installation import patch_service

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform


class Response(ResourceGroupsTaggingAPIResponse):  # type: ignore[misc]
    platform: ClassVar[LocalPlatform]

    def tag_resources(self) -> ActionResult:
        response = super().tag_resources()
        self.platform.save()  # the resources may belong to any service
        return response

    def untag_resources(self) -> ActionResult:
        response = super().untag_resources()
        self.platform.save()
        return response


def install(platform: LocalPlatform) -> None:
    Response.platform = platform
    patch_service("resourcegroupstaggingapi", response=Response)
