"""Patches moto's CloudTrail: looks up the platform's event history, and trails deliver it to their bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import moto.cloudtrail.models
import moto.cloudtrail.urls
from moto.cloudtrail.models import CloudTrailBackend, Trail
from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource

from bedplate.local.services.installation import AwsApiError, patch_service
from bedplate.local.trail.event_history import Event

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

Json = dict[str, Any]
_LOOKUP_ATTRIBUTES = (
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
    """A trail whose description has `HasCustomEventSelectors`, which moto always leaves false."""

    def description(self, include_region: bool = False) -> Json:
        has_selectors = bool(self.event_selectors or self.advanced_event_selectors)
        return {**super().description(include_region), "HasCustomEventSelectors": has_selectors}


class Response(CloudTrailResponse):  # type: ignore[misc]
    platform: ClassVar[LocalPlatform]

    def put_event_selectors(self) -> str:
        response = str(super().put_event_selectors())
        self.platform.trail_delivery.deliver()  # reads the new selectors, so that data events are kept from now on
        return response

    def start_logging(self) -> str:
        response = str(super().start_logging())
        self.platform.trail_delivery.deliver()
        return response

    def lookup_events(self) -> str:
        request: Json = json.loads(self.body or "{}")
        attributes = [(a["AttributeKey"], a["AttributeValue"]) for a in request.get("LookupAttributes") or ()]
        for key, _ in attributes:
            if key not in _LOOKUP_ATTRIBUTES:
                message = f"{key} is not one of {', '.join(_LOOKUP_ATTRIBUTES)}"
                raise AwsApiError("InvalidLookupAttributesException", message)
        limit = int(request.get("MaxResults") or 50)
        if not 1 <= limit <= 50:
            raise AwsApiError("InvalidMaxResultsException", "MaxResults must be between 1 and 50")
        before = request.get("NextToken")
        events = self.platform.trail.lookup(
            attributes,
            since=request.get("StartTime"),
            until=request.get("EndTime"),
            limit=limit + 1,
            before=int(before) if before else None,
        )
        next_page = {"NextToken": str(events[limit - 1].seq)} if len(events) > limit else {}
        return json.dumps({"Events": [_format_event(event) for event in events[:limit]], **next_page})


def _format_event(event: Event) -> Json:
    body = event.body
    identity = body["userIdentity"]
    return {
        "EventId": body["eventID"],
        "EventName": body["eventName"],
        "ReadOnly": "false",
        "AccessKeyId": identity["accessKeyId"],
        "EventTime": event.time,
        "EventSource": body["eventSource"],
        "Username": str(identity.get("userName") or identity.get("principalId", "").rpartition(":")[2]),
        "Resources": [{"ResourceType": kind, "ResourceName": name} for kind, name in event.resources],
        "CloudTrailEvent": json.dumps(body),
    }


def install(platform: LocalPlatform) -> None:
    Response.platform = platform
    patch_service("cloudtrail", response=Response, backend=Backend)
    moto.cloudtrail.models.Trail = TrailDescription
