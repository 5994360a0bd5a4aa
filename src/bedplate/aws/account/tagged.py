"""Finds what carries certain tags, by the Resource Groups Tagging API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bedplate.aws.errors import translated
from bedplate.aws.session import Session
from bedplate.ports import TaggedResource


class TaggedResources:
    """The `Tagged` port. AWS's API sees what was ever tagged in this region; IAM's roles and policies it does not."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def carrying(self, tags: Mapping[str, str]) -> Sequence[TaggedResource]:
        client: Any = self._session.client("resourcegroupstaggingapi")
        filters = [{"Key": key, "Values": [value]} for key, value in tags.items()]
        with translated("Cannot look for resources by their tags"):
            pages = client.get_paginator("get_resources").paginate(TagFilters=filters)
            found = [each for page in pages for each in page["ResourceTagMappingList"]]
        return sorted(
            (TaggedResource(e["ResourceARN"], {t["Key"]: t["Value"] for t in e["Tags"]}) for e in found),
            key=lambda each: each.arn,
        )
