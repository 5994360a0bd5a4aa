"""The Resource Groups Tagging API: tags set through it are kept with the service that has the resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from moto.core.responses import ActionResult
from moto.resourcegroupstaggingapi.responses import ResourceGroupsTaggingAPIResponse

from bedplate.local.services.installation import lay

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform


class Response(ResourceGroupsTaggingAPIResponse):  # type: ignore[misc]
    platform: ClassVar[LocalPlatform]

    def tag_resources(self) -> ActionResult:
        answer = super().tag_resources()
        self.platform.save()
        return answer

    def untag_resources(self) -> ActionResult:
        answer = super().untag_resources()
        self.platform.save()
        return answer


def install(platform: LocalPlatform) -> None:
    """Lay this over moto's tagging API."""
    Response.platform = platform
    lay("resourcegroupstaggingapi", response=Response)
