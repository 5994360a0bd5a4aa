"""Patches moto's SQS: GetQueueAttributes returns a redrive policy without spaces, as AWS does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import moto.sqs.models as models

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform


class SqsQueue(models.Queue):  # type: ignore[misc]
    @property
    def attributes(self) -> dict[str, Any]:
        attributes: dict[str, Any] = super().attributes
        if attributes.get("RedrivePolicy"):
            # AWS returns compact JSON; moto's has spaces, which Pulumi would report as a changed policy.
            attributes["RedrivePolicy"] = json.dumps(json.loads(attributes["RedrivePolicy"]), separators=(",", ":"))
        return attributes


def install(platform: LocalPlatform) -> None:
    del platform
    models.Queue = SqsQueue
