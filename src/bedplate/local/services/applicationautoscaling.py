"""Patches moto's Application Auto Scaling: adds tags to scalable targets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import moto.applicationautoscaling.urls
from moto.applicationautoscaling.models import ApplicationAutoscalingBackend
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse

from bedplate.local.services.installation import AwsApiError, patch_service

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform


class Backend(ApplicationAutoscalingBackend):  # type: ignore[misc]
    _url_module = moto.applicationautoscaling.urls

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.target_tags: dict[str, dict[str, str]] = {}


class Response(ApplicationAutoScalingResponse):  # type: ignore[misc]
    def register_scalable_target(self) -> str:
        response: str = super().register_scalable_target()
        tags = self._get_param("Tags")
        if tags:
            self._target_tags(json.loads(response)["ScalableTargetARN"]).update(tags)
        return response

    def list_tags_for_resource(self) -> str:
        return json.dumps({"Tags": self._target_tags(self._get_param("ResourceARN"))})

    def tag_resource(self) -> str:
        self._target_tags(self._get_param("ResourceARN")).update(self._get_param("Tags"))
        return "{}"

    def untag_resource(self) -> str:
        tags = self._target_tags(self._get_param("ResourceARN"))
        for key in self._get_param("TagKeys"):
            tags.pop(key, None)
        return "{}"

    def _target_tags(self, arn: str) -> dict[str, str]:
        backend = self.applicationautoscaling_backend
        if arn not in {target.arn for targets in backend.targets.values() for target in targets.values()}:
            message = f"The resource with Resource ARN {arn} does not exist."
            raise AwsApiError("ResourceNotFoundException", message)
        return backend.target_tags.setdefault(arn, {})  # type: ignore[no-any-return]


def install(platform: LocalPlatform) -> None:
    del platform
    patch_service("applicationautoscaling", response=Response, backend=Backend)
