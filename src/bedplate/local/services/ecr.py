"""Patches moto's ECR: the Resource Groups Tagging API finds repositories by their tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import moto.ecr.urls
from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource
from moto.ecr.models import ECRBackend

from bedplate.local.services.installation import patch_service

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform


class Backend(TaggableResourcesMixin, ECRBackend):  # type: ignore[misc]
    _url_module = moto.ecr.urls
    SERVICE_NAMESPACE = "ecr"

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        for repository in self.repositories.values():
            tags = self.tagger.get_tag_dict_for_resource(repository.arn)
            yield TaggedResource(repository.arn, tags, "ecr:repository")

    # ECR's own TagResource passes tags as a list; the tagging API calls the same method with a dict.
    def tag_resource(self, arn: str, tags: object) -> None:
        tag_list = [{"Key": key, "Value": value} for key, value in tags.items()] if isinstance(tags, dict) else tags
        ECRBackend.tag_resource(self, arn, tag_list)

    def untag_resource(self, arn: str, tag_keys: list[str]) -> None:
        ECRBackend.untag_resource(self, arn, tag_keys)


def install(_platform: LocalPlatform) -> None:
    patch_service("ecr", backend=Backend)
