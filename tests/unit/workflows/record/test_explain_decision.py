from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bedplate.domain.ledger import Kind
from bedplate.errors import NotFound
from bedplate.settings import DataContract
from bedplate.workflows.record.explain_decision import HIDDEN, DecisionTrace, explain
from bedplate.workflows.record.ledger import Ledger
from builders import a_package, a_platform
from fakes import EPOCH, FakeStackContext

ENDPOINT = "bedplate-local-churn"
V1, V2 = f"{ENDPOINT}-v1-0a1b2c3d", f"{ENDPOINT}-v2-0a1b2c3d"


@pytest.fixture
def at(tmp_path: Path) -> FakeStackContext:
    """v1 live since minute 3; v2 being deployed from minute 8 on, approved again at minute 20."""
    made = a_platform(tmp_path)
    made.registry.held[ENDPOINT] = [a_package(1, metadata={"data_sha256": "da7a"}), a_package(2)]
    acts: list[tuple[int, Kind, int, dict[str, Any]]] = [
        (0, "trained", 1, {}),
        (1, "evaluated", 1, {"verdict": "PASS"}),
        (2, "approved", 1, {"reason": "good"}),
        (3, "deployed", 1, {"release": V1, "live": V1}),
        (8, "deploying", 2, {"release": V2, "live": V1}),
        (20, "evaluated", 1, {"verdict": "FAIL"}),
    ]
    for minute, kind, version, data in acts:
        made.clock.at = EPOCH + timedelta(minutes=minute)
        Ledger(made.objects, "ledger", made.clock).record(
            kind, kind, actor="ada@example.com", model="churn", version=version, data=data
        )
    made.clock.at = EPOCH + timedelta(minutes=30)
    return made


def capture(
    at: FakeStackContext, event: str, release: str, *, minute: int, inference_id: str | None = None
) -> datetime:
    moment = EPOCH + timedelta(minutes=minute)
    meta = {
        "eventId": event,
        "inferenceId": inference_id,
        "customAttributes": [f"release={release};version=1"],
        "inferenceTime": moment.isoformat(),
    }
    data = {
        "endpointInput": {"data": '{"age": 40}\n{"age": 50}', "encoding": "JSON"},
        "endpointOutput": {"data": '{"prediction": 0.4}\n{"prediction": 0.5}', "encoding": "JSON"},
    }
    uri = f"s3://capture/capture/churn/{ENDPOINT}/live/{moment:%Y/%m/%d/%H/%M-%S}-000-{event}.jsonl"
    at.objects.put(uri, json.dumps({"captureData": data, "eventMetadata": meta, "eventVersion": "0"}).encode())
    return moment


def explained(at: FakeStackContext, event: str, **options: Any) -> DecisionTrace:
    return explain(at, "churn", event, **options)


def test_an_answer_leads_to_row_version_verdict_and_approver(at: FakeStackContext) -> None:
    capture(at, "e1", V1, minute=5)
    found = explained(at, "e1")
    assert (found.event.rows[1], found.event.answers[1]) == ({"age": 50}, 0.5)
    assert found.grounds.version == 1
    assert found.package is not None
    assert found.package.metadata["data_sha256"] == "da7a"
    assert [r.data["reason"] for r in found.grounds.approvals] == ["good"]
    assert [r.seq for r in found.grounds.records] == [1, 2, 3, 4]
    assert found.grounds.agree


def test_what_was_recorded_afterwards_is_no_ground(at: FakeStackContext) -> None:
    capture(at, "early", V1, minute=5)
    capture(at, "late", V1, minute=25)
    verdicts = [explained(at, e).grounds.evaluated for e in ("early", "late")]
    assert [r.data["verdict"] for r in verdicts if r] == ["PASS", "FAIL"]


def test_a_canarys_answer_is_said_to_be_no_answer_of_the_live_release(at: FakeStackContext) -> None:
    capture(at, "canary", V2, minute=9)
    grounds = explained(at, "canary").grounds
    assert (grounds.version, grounds.live, grounds.agree) == (2, V1, False)
    assert [r.kind for r in grounds.moves] == ["deploying"]


def test_the_fallback_has_no_training_and_no_approver(at: FakeStackContext) -> None:
    capture(at, "first", f"{ENDPOINT}-v0", minute=2)
    found = explained(at, "first")
    assert (found.grounds.version, found.package, found.grounds.approvals) == (0, None, ())
    assert found.grounds.agree


def test_a_callers_own_id_finds_the_newest_of_its_requests(at: FakeStackContext) -> None:
    capture(at, "a", V1, minute=4, inference_id="order-1")
    capture(at, "b", V1, minute=6, inference_id="order-1")
    assert explained(at, "order-1").event.event_id == "b"


def test_a_day_that_does_not_hold_the_event_does_not_find_it(at: FakeStackContext) -> None:
    moment = capture(at, "e1", V1, minute=5)
    day = moment.replace(hour=0, minute=0)
    assert explained(at, "e1", since=day, until=day + timedelta(days=1)).event.event_id == "e1"
    with pytest.raises(NotFound, match="eventId or inferenceId 'e1'"):
        explained(at, "e1", since=day - timedelta(days=1), until=day)


def test_a_version_that_is_registered_no_more_is_still_explained_by_the_ledger(at: FakeStackContext) -> None:
    capture(at, "e1", V1, minute=5)
    at.registry.held[ENDPOINT] = []
    found = explained(at, "e1")
    assert found.package is None
    assert found.grounds.trained is not None


def test_an_answer_of_an_unknown_release_rests_on_nothing(at: FakeStackContext) -> None:
    capture(at, "odd", "something-else", minute=5)
    grounds = explained(at, "odd").grounds
    assert (grounds.version, grounds.records) == (None, ())


def test_a_column_that_must_not_be_used_for_debugging_is_not_shown(at: FakeStackContext) -> None:
    data = at.specs["churn"].data.model_dump()
    age = {**data["columns"]["age"], "purposes": ["training", "inference", "monitoring"]}
    contract = DataContract.model_validate({**data, "columns": {**data["columns"], "age": age}})
    at.specs["churn"] = at.specs["churn"].model_copy(update={"data": contract})
    capture(at, "e1", V1, minute=5)
    assert explained(at, "e1").event.rows == ({"age": HIDDEN}, {"age": HIDDEN})
