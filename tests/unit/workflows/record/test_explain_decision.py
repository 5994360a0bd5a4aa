"""A captured prediction is traced to its release, version, evaluation and approvals."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bedplate.domain.ledger import Kind
from bedplate.errors import NotFound
from bedplate.settings import DataContract
from bedplate.workflows.record.explain_decision import HIDDEN, DecisionTrace, explain_decision
from bedplate.workflows.record.ledger import Ledger
from builders import a_package, a_stack_context, capture_record
from fakes import EPOCH, FakeStackContext
from release_builders import ENDPOINT, V1, V2
from release_stack import put_capture


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    """v1 live since minute 3; v2 being deployed from minute 8 on, approved again at minute 20."""
    context = a_stack_context(tmp_path)
    context.registry.packages[ENDPOINT] = [a_package(1, metadata={"data_sha256": "da7a"}), a_package(2)]
    events: list[tuple[int, Kind, int, dict[str, Any]]] = [
        (0, "trained", 1, {}),
        (1, "evaluated", 1, {"verdict": "PASS"}),
        (2, "approved", 1, {"reason": "good"}),
        (3, "deployed", 1, {"release": V1, "live": V1}),
        (8, "deployment-started", 2, {"release": V2, "live": V1}),
        (20, "evaluated", 1, {"verdict": "FAIL"}),
    ]
    for minute, kind, version, data in events:
        context.clock.at = EPOCH + timedelta(minutes=minute)
        Ledger(context.objects, "ledger", context.clock).record(
            kind, kind, actor="ada@example.com", model="churn", version=version, data=data
        )
    context.clock.at = EPOCH + timedelta(minutes=30)
    return context


def capture(stack: FakeStackContext, event_id: str, release: str, *, minute: int, **metadata: str) -> datetime:
    """Captures a request of two rows at this minute. Returns its time."""
    time = EPOCH + timedelta(minutes=minute)
    rows = [{"age": 40}, {"age": 50}]
    put_capture(stack, capture_record(rows, [0.4, 0.5], release=release, time=time, eventId=event_id, **metadata))
    return time


def trace_event(stack: FakeStackContext, event: str, **options: Any) -> DecisionTrace:
    return explain_decision(stack, "churn", event, **options)


def test_prediction_leads_to_row_version_verdict_and_approver(stack: FakeStackContext) -> None:
    capture(stack, "e1", V1, minute=5)
    trace = trace_event(stack, "e1")
    assert (trace.request.rows[1], trace.request.predictions[1]) == ({"age": 50}, 0.5)
    assert trace.evidence.version == 1
    assert trace.package is not None
    assert trace.package.metadata["data_sha256"] == "da7a"
    assert [r.data["reason"] for r in trace.evidence.approvals] == ["good"]
    assert [r.seq for r in trace.evidence.records] == [1, 2, 3, 4]
    assert trace.evidence.is_consistent


def test_later_records_are_not_evidence(stack: FakeStackContext) -> None:
    capture(stack, "early", V1, minute=5)
    capture(stack, "late", V1, minute=25)
    verdicts = [trace_event(stack, e).evidence.evaluated for e in ("early", "late")]
    assert [r.data["verdict"] for r in verdicts if r] == ["PASS", "FAIL"]


def test_canary_prediction_is_not_consistent_with_the_live_release(stack: FakeStackContext) -> None:
    capture(stack, "canary", V2, minute=9)
    evidence = trace_event(stack, "canary").evidence
    assert (evidence.version, evidence.live_release, evidence.is_consistent) == (2, V1, False)
    assert [r.kind for r in evidence.deployments] == ["deployment-started"]


def test_fallback_has_no_training_and_no_approver(stack: FakeStackContext) -> None:
    capture(stack, "first", f"{ENDPOINT}-v0", minute=2)
    trace = trace_event(stack, "first")
    assert (trace.evidence.version, trace.package, trace.evidence.approvals) == (0, None, ())
    assert trace.evidence.is_consistent


def test_inference_id_finds_the_newest_of_its_requests(stack: FakeStackContext) -> None:
    capture(stack, "a", V1, minute=4, inferenceId="order-1")
    capture(stack, "b", V1, minute=6, inferenceId="order-1")
    assert trace_event(stack, "order-1").request.event_id == "b"


def test_event_is_not_found_on_another_day(stack: FakeStackContext) -> None:
    time = capture(stack, "e1", V1, minute=5)
    day = time.replace(hour=0, minute=0)
    assert trace_event(stack, "e1", since=day, until=day + timedelta(days=1)).request.event_id == "e1"
    with pytest.raises(NotFound, match="eventId or inferenceId 'e1'"):
        trace_event(stack, "e1", since=day - timedelta(days=1), until=day)


def test_version_that_is_no_longer_registered_has_evidence_in_the_ledger(stack: FakeStackContext) -> None:
    capture(stack, "e1", V1, minute=5)
    stack.registry.packages[ENDPOINT] = []
    trace = trace_event(stack, "e1")
    assert trace.package is None
    assert trace.evidence.trained is not None


def test_prediction_of_an_unknown_release_has_no_evidence(stack: FakeStackContext) -> None:
    capture(stack, "odd", "something-else", minute=5)
    evidence = trace_event(stack, "odd").evidence
    assert (evidence.version, evidence.records) == (None, ())


def test_column_that_does_not_allow_debugging_is_hidden(stack: FakeStackContext) -> None:
    data = stack.specs["churn"].data.model_dump()
    age = {**data["columns"]["age"], "purposes": ["training", "inference", "monitoring"]}
    contract = DataContract.model_validate({**data, "columns": {**data["columns"], "age": age}})
    stack.specs["churn"] = stack.specs["churn"].model_copy(update={"data": contract})
    capture(stack, "e1", V1, minute=5)
    assert trace_event(stack, "e1").request.rows == ({"age": HIDDEN}, {"age": HIDDEN})
