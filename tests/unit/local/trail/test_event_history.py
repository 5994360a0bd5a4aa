"""The event history: what a request is read as, who made it, and how it is found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bedplate.local.trail import event_history as trail_module
from bedplate.local.trail.calls import ApiRequest, read
from bedplate.local.trail.event_history import EventHistory

SIGNED = "AWS4-HMAC-SHA256 Credential=AKIAANYBODY/20260101/us-east-1/sagemaker/aws4_request"


@pytest.fixture
def trail(tmp_path: Path) -> EventHistory:
    return EventHistory(tmp_path / "trail.db", "123456789012", lambda: 1000.0)


def a_request(action: str = "UpdateEndpoint", at: float = 1000.0, **changes: object) -> ApiRequest:
    values = {"service": "sagemaker", "authorization": SIGNED, "body": b'{"EndpointName": "churn"}', **changes}
    return ApiRequest(at=at, action=action, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "name", "resource"),
    [
        (a_request("CreateEndpoint"), "CreateEndpoint", "churn"),
        (a_request("DeleteAlarms", service="cloudwatch", body=b'{"AlarmNames": ["a", "b"]}'), "DeleteAlarms", "b"),
        (
            a_request("CreateBudget", service="budgets", body=b'{"Budget": {"BudgetName": "monthly"}}'),
            "CreateBudget",
            "monthly",
        ),
        (a_request("PutRule", service="events", body=b'{"Name": "nightly"}'), "PutRule", "nightly"),
        (
            a_request("CreateKey", service="kms", body=b"{}", answer=b'{"KeyMetadata": {"KeyId": "1234"}}'),
            "CreateKey",
            "1234",
        ),
        (
            a_request(
                "CreateSubnet",
                service="ec2",
                body=b"Action=CreateSubnet",
                answer=b"<r><subnetId>subnet-1</subnetId></r>",
            ),
            "CreateSubnet",
            "subnet-1",
        ),
        (a_request("", service="s3", method="PUT", path="/logs", query="policy"), "PutBucketPolicy", "logs"),
        (a_request("", service="s3", method="DELETE", path="/logs"), "DeleteBucket", "logs"),
    ],
)
def test_a_call_names_its_operation_and_what_it_touched(request_: ApiRequest, name: str, resource: str) -> None:
    call = read(request_)
    assert call is not None
    assert call.name == name
    assert resource in [found for _, found in call.resources]


def test_a_role_that_a_model_runs_as_is_not_what_was_changed() -> None:
    role = "arn:aws:iam::123456789012:role/execution"
    call = read(a_request("CreateModel", body=json.dumps({"ModelName": "m", "ExecutionRoleArn": role}).encode()))
    assert call is not None
    assert [name for _, name in call.resources] == ["m"]


def test_an_arn_is_also_found_by_the_name_in_it(trail: EventHistory) -> None:
    arn = "arn:aws:sns:us-east-1:123456789012:alerts"
    trail.note(a_request("SetTopicAttributes", service="sns", body=json.dumps({"TopicArn": arn}).encode()))
    assert len(trail.lookup([("ResourceName", arn)])) == len(trail.lookup([("ResourceName", "alerts")])) == 1


@pytest.mark.parametrize(
    ("agent", "person", "expected"),
    [
        ("Boto3/1 bedplate bedplate-actor/ada%40example.com", None, "ada@example.com"),
        ("aws-cli/2", None, "AKIAANYBODY"),
        ("bedplate-actor/ada", {"type": "AssumedRole", "principalId": "AROA1:grace", "arn": "a"}, "grace"),
    ],
)
def test_who_it_was_is_the_keys_owner_then_the_named_person_then_the_key(
    trail: EventHistory, agent: str, person: dict[str, str] | None, expected: str
) -> None:
    trail.person = lambda _: person
    trail.note(a_request(user_agent=agent))
    (event,) = trail.lookup([("Username", expected)])
    assert event.body["userIdentity"]["accountId"] == "123456789012"


def test_a_refused_call_is_kept_with_its_error(trail: EventHistory) -> None:
    trail.note(a_request(error="ValidationException"))
    assert trail.lookup()[0].body["errorCode"] == "ValidationException"


def test_data_that_moves_is_in_no_history(trail: EventHistory) -> None:
    trail.note(a_request("PutMetricData", service="cloudwatch"))
    trail.note(a_request("", service="s3", method="PUT", path="/bucket/key"))
    assert trail.lookup() == []


def test_newest_first_by_time_and_page_by_page(trail: EventHistory) -> None:
    for second in range(5):
        trail.note(a_request(f"UpdateEndpoint{second}", at=float(second)))
    page = trail.lookup([("ResourceName", "churn")], since=1, until=3, limit=2)
    rest = trail.lookup([("ResourceName", "churn")], since=1, until=3, limit=2, before=page[-1].seq)
    assert [e.body["eventName"] for e in page + rest] == ["UpdateEndpoint3", "UpdateEndpoint2", "UpdateEndpoint1"]


def test_long_and_secret_parameters_are_not_kept() -> None:
    body = json.dumps({"EndpointName": "churn", "AuthToken": "abc", "Notes": "x" * 5000}).encode()
    call = read(a_request(body=body))
    assert call is not None
    assert call.parameters["AuthToken"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    assert len(call.parameters["Notes"]) < 600


def test_it_is_bounded_and_survives_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail_module, "KEPT", 3)
    monkeypatch.setattr(trail_module, "_PRUNE_EVERY", 5)
    first = EventHistory(tmp_path / "trail.db", "123456789012", lambda: 1000.0)
    for number in range(5):
        first.note(a_request(f"Update{number}"))
    first.close()
    again = EventHistory(tmp_path / "trail.db", "123456789012", lambda: 1000.0)
    assert [e.body["eventName"] for e in again.lookup()] == ["Update4", "Update3", "Update2"]
    again.close()
