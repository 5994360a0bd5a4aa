"""Reads a monitoring job's request from the environment variables that SageMaker sets in its container."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bedplate.container import paths
from bedplate.domain.names import SCHEDULE_KINDS

INPUT, OUTPUT = "/opt/ml/processing/input/endpoint", "/opt/ml/processing/output"
LABELS = "/opt/ml/processing/input/labels"
BASELINE = "/opt/ml/processing/baseline"


class MonitoringRequestError(Exception):
    """The job cannot run; the message, one sentence that names the cause, becomes the exit message."""


@dataclass(frozen=True, slots=True)
class MonitoringRequest:
    """The request of one run, with relocated paths. The run reads requests with an inference time in [start, end)."""

    mode: str
    source: Path
    labels: Path
    output: Path
    statistics: Path
    constraints: Path
    spec: Path | None
    start: datetime | None
    end: datetime | None
    endpoint: str
    schedule: str
    version: str | None
    publish: bool

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], root: Path) -> MonitoringRequest:
        """Raises MonitoringRequestError for an unknown BEDPLATE_MODE."""

        def path(name: str, default: str) -> Path:
            return paths.relocate(environment.get(name) or default, root)

        mode = environment.get("BEDPLATE_MODE") or "monitor"
        modes = ("baseline", "monitor", *SCHEDULE_KINDS)
        if mode not in modes:
            raise MonitoringRequestError(f"BEDPLATE_MODE: expected one of {', '.join(modes)}, found {mode!r}")
        spec = environment.get("BEDPLATE_SPEC")
        return cls(
            mode=mode,
            source=path("dataset_source", INPUT),
            labels=paths.relocate(LABELS, root),
            output=path("output_path", OUTPUT),
            statistics=path("baseline_statistics", f"{BASELINE}/stats/statistics.json"),
            constraints=path("baseline_constraints", f"{BASELINE}/constraints/constraints.json"),
            spec=paths.relocate(spec, root) if spec else None,
            start=_parse_time(environment.get("start_time")),
            end=_parse_time(environment.get("end_time")),
            endpoint=environment.get("sagemaker_endpoint_name") or environment.get("BEDPLATE_ENDPOINT") or "",
            schedule=environment.get("sagemaker_monitoring_schedule_name") or "",
            version=environment.get("BEDPLATE_VERSION") or None,
            publish=environment.get("publish_cloudwatch_metrics", "Enabled").lower() in ("enabled", "true"),
        )

    def write_outputs(self, contents: Mapping[str, Any]) -> None:
        """Writes each content as a JSON file of that name to the output folder."""
        self.output.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (self.output / name).write_text(json.dumps(content), encoding="utf-8")


def _parse_time(text: str | None) -> datetime | None:
    """Returns an ISO 8601 time, in UTC where it has no offset; None for any other text.

    >>> _parse_time("2013-07-01T00:00:00Z").isoformat(), _parse_time(""), _parse_time("None")
    ('2013-07-01T00:00:00+00:00', None, None)
    """
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
