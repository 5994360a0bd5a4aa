"""What a monitoring job is asked for, read from the environment that SageMaker gives its container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bedplate.container import paths
from bedplate.domain.names import SCHEDULE_KINDS as LIVE

INPUT, OUTPUT = "/opt/ml/processing/input/endpoint", "/opt/ml/processing/output"
LABELS = "/opt/ml/processing/input/labels"
BASELINE = "/opt/ml/processing/baseline"


class MonitoringRequestError(Exception):
    """What is missing, in a sentence for the exit message."""


@dataclass(frozen=True, slots=True)
class MonitoringRequest:
    """The environment of one run, with its paths relocated. `start` and `end` bound when requests were answered."""

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
    def of(cls, environment: Mapping[str, str], root: Path) -> MonitoringRequest:
        """Raises CannotMonitor for a mode nobody knows."""

        def path(name: str, default: str) -> Path:
            return paths.relocated(environment.get(name) or default, root)

        mode = environment.get("BEDPLATE_MODE") or "monitor"
        if mode not in ("baseline", "monitor", *LIVE):
            raise MonitoringRequestError(f"BEDPLATE_MODE is {mode!r}; baseline, monitor, {', '.join(LIVE)} expected")
        spec = environment.get("BEDPLATE_SPEC")
        return cls(
            mode=mode,
            source=path("dataset_source", INPUT),
            labels=paths.relocated(LABELS, root),
            output=path("output_path", OUTPUT),
            statistics=path("baseline_statistics", f"{BASELINE}/stats/statistics.json"),
            constraints=path("baseline_constraints", f"{BASELINE}/constraints/constraints.json"),
            spec=paths.relocated(spec, root) if spec else None,
            start=_time(environment.get("start_time")),
            end=_time(environment.get("end_time")),
            endpoint=environment.get("sagemaker_endpoint_name") or environment.get("BEDPLATE_ENDPOINT") or "",
            schedule=environment.get("sagemaker_monitoring_schedule_name") or "",
            version=environment.get("BEDPLATE_VERSION") or None,
            publish=environment.get("publish_cloudwatch_metrics", "Enabled").lower() in ("enabled", "true"),
        )


def _time(text: str | None) -> datetime | None:
    """
    >>> _time("2013-07-01T00:00:00Z").isoformat(), _time(""), _time("None")
    ('2013-07-01T00:00:00+00:00', None, None)
    """
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
