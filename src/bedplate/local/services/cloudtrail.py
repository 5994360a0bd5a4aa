"""CloudTrail: an event history of what really happened, and trails that deliver it to their bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import moto.cloudtrail.models
import moto.cloudtrail.urls
from moto.cloudtrail.models import CloudTrailBackend, Trail
from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource

from bedplate.local.services.installation import AwsApiError, lay
from bedplate.local.trail.event_history import Event

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

Json = dict[str, Any]
_ATTRIBUTES = (
    "EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId",
)  # fmt: skip


class Backend(TaggableResourcesMixin, CloudTrailBackend):  # type: ignore[misc]
    _url_module = moto.cloudtrail.urls
    SERVICE_NAMESPACE = "cloudtrail"

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        for trail in self.trails.values():
            tags = self.tagging_service.get_tag_dict_for_resource(trail.arn)
            yield TaggedResource(trail.arn, tags, "cloudtrail:trail")


class TrailDescription(Trail):  # type: ignore[misc]
    """A trail that says whether it selects events of its own."""

    def description(self, include_region: bool = False) -> Json:
        told: Json = super().description(include_region)
        custom = bool(self.event_selectors or self.advanced_event_selectors)
        return {**told, "HasCustomEventSelectors": custom}


class Response(CloudTrailResponse):  # type: ignore[misc]
    platform: ClassVar[LocalPlatform]

    def put_event_selectors(self) -> str:
        answer = str(super().put_event_selectors())
        self.platform.trail_delivery.step()  # data events count from now on
        return answer

    def start_logging(self) -> str:
        answer = str(super().start_logging())
        self.platform.trail_delivery.step()
        return answer

    def lookup_events(self) -> str:
        asked: Json = json.loads(self.body or "{}")
        attributes = [(a["AttributeKey"], a["AttributeValue"]) for a in asked.get("LookupAttributes") or ()]
        for key, _ in attributes:
            if key not in _ATTRIBUTES:
                raise AwsApiError("InvalidLookupAttributesException", f"{key} is none of {', '.join(_ATTRIBUTES)}")
        limit = int(asked.get("MaxResults") or 50)
        if not 1 <= limit <= 50:
            raise AwsApiError("InvalidMaxResultsException", "MaxResults is from 1 to 50")
        before = asked.get("NextToken")
        found = self.platform.trail.lookup(
            attributes,
            since=asked.get("StartTime"),
            until=asked.get("EndTime"),
            limit=limit + 1,
            before=int(before) if before else None,
        )
        more = {"NextToken": str(found[limit - 1].seq)} if len(found) > limit else {}
        return json.dumps({"Events": [_shown(event) for event in found[:limit]], **more})


def _shown(event: Event) -> Json:
    body = event.body
    identity = body["userIdentity"]
    return {
        "EventId": body["eventID"],
        "EventName": body["eventName"],
        "ReadOnly": "false",
        "AccessKeyId": identity["accessKeyId"],
        "EventTime": event.at,
        "EventSource": body["eventSource"],
        "Username": str(identity.get("userName") or identity.get("principalId", "").rpartition(":")[2]),
        "Resources": [{"ResourceType": kind, "ResourceName": name} for kind, name in event.resources],
        "CloudTrailEvent": json.dumps(body),
    }


def install(platform: LocalPlatform) -> None:
    """Lay this over moto's CloudTrail."""
    Response.platform = platform
    lay("cloudtrail", response=Response, backend=Backend)
    moto.cloudtrail.models.Trail = TrailDescription
