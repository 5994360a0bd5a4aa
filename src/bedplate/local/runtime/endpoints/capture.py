"""Formats captured requests as SageMaker's data capture does: JSON Lines below a prefix per variant and hour."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bedplate.local.runtime.outbox import QueuedCapture
from bedplate.local.runtime.transfer import split_uri

_JSON_TYPES = frozenset({"application/json", "application/jsonlines", "application/x-jsonlines"})
_CSV_TYPES = frozenset({"text/csv"})


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """A DataCaptureConfig. `sampling` is the share of requests to capture, 0 to 1; `prefix` is empty or ends with /."""

    bucket: str
    prefix: str
    sampling: float
    captures_input: bool
    captures_output: bool
    json_types: frozenset[str]
    csv_types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with its response. `timestamp` is in epoch seconds."""

    endpoint: str
    variant: str
    timestamp: float
    request_type: str
    request: bytes
    response_type: str
    response: bytes
    inference_id: str | None
    custom_attributes: str | None
    event_id: str


def capture_settings(config: Mapping[str, Any] | None) -> CaptureSettings | None:
    """Returns the settings of an endpoint configuration's DataCaptureConfig; None where capture is off."""
    if not config or not config.get("EnableCapture", True):
        return None
    bucket, prefix = split_uri(config["DestinationS3Uri"])
    modes = {option["CaptureMode"] for option in config.get("CaptureOptions") or ()}
    types = config.get("CaptureContentTypeHeader") or {}
    return CaptureSettings(
        bucket=bucket,
        prefix=f"{prefix.rstrip('/')}/" if prefix.strip("/") else "",
        sampling=float(config.get("InitialSamplingPercentage", 100)) / 100,
        captures_input=bool(modes & {"Input", "InputAndOutput"}),
        captures_output=bool(modes & {"Output", "InputAndOutput"}),
        json_types=_JSON_TYPES | set(types.get("JsonContentTypes") or ()),
        csv_types=_CSV_TYPES | set(types.get("CsvContentTypes") or ()),
    )


def build_capture(settings: CaptureSettings, exchange: Exchange) -> QueuedCapture:
    """Returns the captured request for `<prefix><endpoint>/<variant>/yyyy/mm/dd/hh/mm-ss-mmm-<uuid>.jsonl`."""
    time = datetime.fromtimestamp(exchange.timestamp, UTC)
    return QueuedCapture(
        bucket=settings.bucket,
        prefix=f"{settings.prefix}{exchange.endpoint}/{exchange.variant}/{time:%Y/%m/%d/%H}/",
        name=lambda: f"{time:%M-%S}-{time.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl",
        line=lambda: capture_line(settings, exchange),
    )


def capture_line(settings: CaptureSettings, exchange: Exchange) -> bytes:
    """Returns one capture record as a line with its line end."""
    data: dict[str, Any] = {}
    if settings.captures_input:
        data["endpointInput"] = _format_body(settings, exchange.request_type, "INPUT", exchange.request)
    if settings.captures_output:
        data["endpointOutput"] = _format_body(settings, exchange.response_type, "OUTPUT", exchange.response)
    time = datetime.fromtimestamp(exchange.timestamp, UTC)
    metadata: dict[str, Any] = {"eventId": exchange.event_id}
    if exchange.inference_id:
        metadata["inferenceId"] = exchange.inference_id
    if exchange.custom_attributes:
        metadata["customAttributes"] = [exchange.custom_attributes]
    metadata["inferenceTime"] = f"{time:%Y-%m-%dT%H:%M:%S}Z"
    record = {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _format_body(settings: CaptureSettings, content_type: str, mode: str, body: bytes) -> dict[str, str]:
    media_type = content_type.split(";", 1)[0].strip().lower()
    encoding = "JSON" if media_type in settings.json_types else "CSV" if media_type in settings.csv_types else "BASE64"
    try:
        text = base64.b64encode(body).decode() if encoding == "BASE64" else body.decode("utf-8")
    except UnicodeDecodeError:
        encoding, text = "BASE64", base64.b64encode(body).decode()
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}
