"""Finds resources by their tags with the Resource Groups Tagging API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bedplate.aws.errors import map_client_errors
from bedplate.aws.session import Session
from bedplate.ports import TaggedResource


class ResourceTagging:
    """The `Tagging` port. The API covers this region's resources that were ever tagged, without IAM's."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list_resources(self, tags: Mapping[str, str]) -> Sequence[TaggedResource]:
        client: Any = self._session.client("resourcegroupstaggingapi")
        filters = [{"Key": key, "Values": [value]} for key, value in tags.items()]
        with map_client_errors("Cannot find resources by their tags"):
            pages = client.get_paginator("get_resources").paginate(TagFilters=filters)
            mappings = [mapping for page in pages for mapping in page["ResourceTagMappingList"]]
        resources = (TaggedResource(m["ResourceARN"], {t["Key"]: t["Value"] for t in m["Tags"]}) for m in mappings)
        return sorted(resources, key=lambda resource: resource.arn)
