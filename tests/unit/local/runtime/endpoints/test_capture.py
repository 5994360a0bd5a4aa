"""Captured requests have the sides and encodings of the DataCaptureConfig."""

from __future__ import annotations

import json

from bedplate.local.runtime.endpoints.capture import Exchange, capture_line, capture_settings

CAPTURE = {
    "DestinationS3Uri": "s3://b/p/",
    "InitialSamplingPercentage": 30,
    "CaptureOptions": [{"CaptureMode": "Input"}],
}


def test_capture_is_off_without_configuration_or_when_disabled() -> None:
    assert capture_settings(None) is None
    assert capture_settings({**CAPTURE, "EnableCapture": False}) is None


def test_capture_has_only_configured_sides_and_encodes_binary_data_as_base64() -> None:
    settings = capture_settings(CAPTURE)
    assert settings is not None
    assert (settings.prefix, settings.sampling, settings.captures_output) == ("p/", 0.3, False)
    exchange = Exchange("e", "v", 0.0, "text/csv", b"\xff", "text/csv", b"1", None, None, "id")
    record = json.loads(capture_line(settings, exchange))
    assert set(record["captureData"]) == {"endpointInput"}
    assert record["captureData"]["endpointInput"]["encoding"] == "BASE64"
    assert record["eventMetadata"] == {"eventId": "id", "inferenceTime": "1970-01-01T00:00:00Z"}
