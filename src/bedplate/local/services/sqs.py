"""SQS: a redrive policy that reads back as it was written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import moto.sqs.models as models

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform


class SqsQueue(models.Queue):  # type: ignore[misc]
    @property
    def attributes(self) -> dict[str, Any]:
        shown: dict[str, Any] = super().attributes
        if shown.get("RedrivePolicy"):
            shown["RedrivePolicy"] = json.dumps(json.loads(shown["RedrivePolicy"]), separators=(",", ":"))
        return shown


def install(platform: LocalPlatform) -> None:
    del platform
    models.Queue = SqsQueue
