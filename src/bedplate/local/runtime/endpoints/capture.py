"""Data capture: which requests are kept, and how a record looks, in SageMaker's JSON Lines."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bedplate.local.runtime.outbox import QueuedObject
from bedplate.local.runtime.transfer import split_uri

_JSON = frozenset({"application/json", "application/jsonlines", "application/x-jsonlines"})
_CSV = frozenset({"text/csv"})


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """`sampling` is the share of requests kept, 0 to 1; `prefix` ends with a slash or is empty."""

    bucket: str
    prefix: str
    sampling: float
    inputs: bool
    outputs: bool
    json_types: frozenset[str]
    csv_types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One answered request. `moment` is epoch seconds."""

    endpoint: str
    variant: str
    moment: float
    request_type: str
    request: bytes
    answer_type: str
    answer: bytes
    inference_id: str | None
    attributes: str | None
    event_id: str


def capture_settings(config: Mapping[str, Any] | None) -> CaptureSettings | None:
    """From an endpoint configuration's DataCaptureConfig; None where nothing is captured."""
    if not config or not config.get("EnableCapture", True):
        return None
    bucket, prefix = split_uri(config["DestinationS3Uri"])
    modes = {option["CaptureMode"] for option in config.get("CaptureOptions") or ()}
    types = config.get("CaptureContentTypeHeader") or {}
    return CaptureSettings(
        bucket=bucket,
        prefix=f"{prefix.rstrip('/')}/" if prefix.strip("/") else "",
        sampling=float(config.get("InitialSamplingPercentage", 100)) / 100,
        inputs=bool(modes & {"Input", "InputAndOutput"}),
        outputs=bool(modes & {"Output", "InputAndOutput"}),
        json_types=_JSON | set(types.get("JsonContentTypes") or ()),
        csv_types=_CSV | set(types.get("CsvContentTypes") or ()),
    )


def captured(settings: CaptureSettings, exchange: Exchange) -> QueuedObject:
    """The record of an exchange, on its way to `<prefix><endpoint>/<variant>/yyyy/mm/dd/hh/mm-ss-mmm-<uuid>.jsonl`."""
    moment = datetime.fromtimestamp(exchange.moment, UTC)

    def name() -> str:
        return f"{moment:%M-%S}-{moment.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"

    return QueuedObject(
        bucket=settings.bucket,
        prefix=f"{settings.prefix}{exchange.endpoint}/{exchange.variant}/{moment:%Y/%m/%d/%H}/",
        name=name,
        line=lambda: capture_line(settings, exchange),
    )


def capture_line(settings: CaptureSettings, exchange: Exchange) -> bytes:
    """One record, with its line's end."""
    data: dict[str, Any] = {}
    if settings.inputs:
        data["endpointInput"] = _side(settings, exchange.request_type, "INPUT", exchange.request)
    if settings.outputs:
        data["endpointOutput"] = _side(settings, exchange.answer_type, "OUTPUT", exchange.answer)
    moment = datetime.fromtimestamp(exchange.moment, UTC)
    metadata: dict[str, Any] = {"eventId": exchange.event_id}
    if exchange.inference_id:
        metadata["inferenceId"] = exchange.inference_id
    if exchange.attributes:
        metadata["customAttributes"] = [exchange.attributes]
    metadata["inferenceTime"] = f"{moment:%Y-%m-%dT%H:%M:%S}Z"
    record = {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _side(settings: CaptureSettings, content_type: str, mode: str, body: bytes) -> dict[str, str]:
    kind = content_type.split(";", 1)[0].strip().lower()
    encoding = "JSON" if kind in settings.json_types else "CSV" if kind in settings.csv_types else "BASE64"
    try:
        text = base64.b64encode(body).decode() if encoding == "BASE64" else body.decode("utf-8")
    except UnicodeDecodeError:
        encoding, text = "BASE64", base64.b64encode(body).decode()
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}
