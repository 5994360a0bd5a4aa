"""Helpers for tests that deploy releases to a stack in memory (the fixture `stack` of tests/unit/workflows)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from bedplate.domain.names import VARIANT
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release.deploy import DeployRequest, deploy, prepare
from bedplate.workflows.release.execute import ExecutionResult
from bedplate.workflows.stack_context import null_reporter
from builders import capture_record
from fakes import FakeStackContext, RollingEndpoints
from release_builders import ENDPOINT


def deploy_version(stack: FakeStackContext, **options: Any) -> ExecutionResult:
    """Deploys a version of `churn`, by default the newest approved one."""
    return deploy(prepare(stack, DeployRequest("churn", **options)), null_reporter)


def ledger_events(stack: FakeStackContext) -> list[tuple[str, str | None]]:
    """(kind, live release) of every record except approvals."""
    return [(r.kind, r.data.get("live")) for r in Ledger.of(stack).records() if r.kind != "approved"]


def event_kinds(stack: FakeStackContext) -> list[str]:
    return [kind for kind, _ in ledger_events(stack)]


def rolling_endpoints(stack: FakeStackContext) -> RollingEndpoints:
    assert isinstance(stack.endpoints, RollingEndpoints)
    return stack.endpoints


def capture_predictions(
    stack: FakeStackContext, release: str, predictions: list[float], *, minutes_ago: float = 1
) -> None:
    """Captures one request with a row for each prediction; the rows' ids are 0, 1, ..."""
    time = stack.clock.now() - timedelta(minutes=minutes_ago)
    rows = [{"id": str(i), "age": 1.0, "calls": 2, "plan": "pro"} for i in range(len(predictions))]
    event_id = f"event-{len(stack.objects.contents)}"
    put_capture(stack, capture_record(rows, predictions, release=release, time=time, eventId=event_id))


def put_capture(stack: FakeStackContext, record: dict[str, Any], *, variant: str = VARIANT) -> None:
    """Stores a capture record where SageMaker stores the captured requests of this variant of `churn`."""
    time = datetime.fromisoformat(record["eventMetadata"]["inferenceTime"])
    name = f"{time:%Y/%m/%d/%H/%M-%S}-000-{len(stack.objects.contents)}.jsonl"
    stack.objects.put(f"s3://capture/capture/churn/{ENDPOINT}/{variant}/{name}", json.dumps(record).encode())


def interrupt_at(event: str) -> Callable[[str, Any], None]:
    """A reporter that kills the command at its first event of this name."""

    def report(name: str, fields: Any) -> None:
        if name == event:
            raise KeyboardInterrupt

    return report
