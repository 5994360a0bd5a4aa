"""The event history: parsing requests, identifying callers, and looking up events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bedplate.local.trail import event_history as trail_module
from bedplate.local.trail.calls import ApiRequest, parse_call
from bedplate.local.trail.event_history import EventHistory

SIGNED = "AWS4-HMAC-SHA256 Credential=AKIAANYBODY/20260101/us-east-1/sagemaker/aws4_request"


@pytest.fixture
def trail(tmp_path: Path) -> EventHistory:
    return EventHistory(tmp_path / "trail.db", "123456789012", lambda: 1000.0)


def build_request(action: str = "UpdateEndpoint", at: float = 1000.0, **changes: object) -> ApiRequest:
    values = {"service": "sagemaker", "authorization": SIGNED, "body": b'{"EndpointName": "churn"}', **changes}
    return ApiRequest(time=at, action=action, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "name", "resource"),
    [
        (build_request("CreateEndpoint"), "CreateEndpoint", "churn"),
        (build_request("DeleteAlarms", service="cloudwatch", body=b'{"AlarmNames": ["a", "b"]}'), "DeleteAlarms", "b"),
        (
            build_request("CreateBudget", service="budgets", body=b'{"Budget": {"BudgetName": "monthly"}}'),
            "CreateBudget",
            "monthly",
        ),
        (build_request("PutRule", service="events", body=b'{"Name": "nightly"}'), "PutRule", "nightly"),
        (
            build_request("CreateKey", service="kms", body=b"{}", response=b'{"KeyMetadata": {"KeyId": "1234"}}'),
            "CreateKey",
            "1234",
        ),
        (
            build_request(
                "CreateSubnet",
                service="ec2",
                body=b"Action=CreateSubnet",
                response=b"<r><subnetId>subnet-1</subnetId></r>",
            ),
            "CreateSubnet",
            "subnet-1",
        ),
        (build_request("", service="s3", method="PUT", path="/logs", query="policy"), "PutBucketPolicy", "logs"),
        (build_request("", service="s3", method="DELETE", path="/logs"), "DeleteBucket", "logs"),
    ],
)
def test_a_call_has_its_operation_and_its_resources(request_: ApiRequest, name: str, resource: str) -> None:
    call = parse_call(request_)
    assert call is not None
    assert call.name == name
    assert resource in [pair[1] for pair in call.resources]


def test_a_models_execution_role_is_not_a_resource_of_the_call() -> None:
    role = "arn:aws:iam::123456789012:role/execution"
    call = parse_call(
        build_request("CreateModel", body=json.dumps({"ModelName": "m", "ExecutionRoleArn": role}).encode())
    )
    assert call is not None
    assert [name for _, name in call.resources] == ["m"]


def test_an_arns_event_is_also_found_by_the_name_in_the_arn(trail: EventHistory) -> None:
    arn = "arn:aws:sns:us-east-1:123456789012:alerts"
    trail.record(build_request("SetTopicAttributes", service="sns", body=json.dumps({"TopicArn": arn}).encode()))
    assert len(trail.lookup([("ResourceName", arn)])) == len(trail.lookup([("ResourceName", "alerts")])) == 1


@pytest.mark.parametrize(
    ("agent", "identity", "expected"),
    [
        ("Boto3/1 bedplate bedplate-actor/ada%40example.com", None, "ada@example.com"),
        ("aws-cli/2", None, "AKIAANYBODY"),
        ("bedplate-actor/ada", {"type": "AssumedRole", "principalId": "AROA1:grace", "arn": "a"}, "grace"),
    ],
)
def test_the_caller_is_the_keys_owner_else_the_user_agents_actor_else_the_key(
    trail: EventHistory, agent: str, identity: dict[str, str] | None, expected: str
) -> None:
    trail.find_identity = lambda _: identity
    trail.record(build_request(user_agent=agent))
    (event,) = trail.lookup([("Username", expected)])
    assert event.body["userIdentity"]["accountId"] == "123456789012"


def test_a_rejected_call_has_its_error_code(trail: EventHistory) -> None:
    trail.record(build_request(error="ValidationException"))
    assert trail.lookup()[0].body["errorCode"] == "ValidationException"


def test_data_events_are_not_in_the_history(trail: EventHistory) -> None:
    trail.record(build_request("PutMetricData", service="cloudwatch"))
    trail.record(build_request("", service="s3", method="PUT", path="/bucket/key"))
    assert trail.lookup() == []


def test_lookup_returns_the_newest_first_within_times_and_in_pages(trail: EventHistory) -> None:
    for second in range(5):
        trail.record(build_request(f"UpdateEndpoint{second}", at=float(second)))
    page = trail.lookup([("ResourceName", "churn")], since=1, until=3, limit=2)
    next_page = trail.lookup([("ResourceName", "churn")], since=1, until=3, limit=2, before=page[-1].seq)
    assert [e.body["eventName"] for e in page + next_page] == ["UpdateEndpoint3", "UpdateEndpoint2", "UpdateEndpoint1"]


def test_long_parameters_are_cut_and_secret_ones_hidden() -> None:
    body = json.dumps({"EndpointName": "churn", "AuthToken": "abc", "Notes": "x" * 5000}).encode()
    call = parse_call(build_request(body=body))
    assert call is not None
    assert call.parameters["AuthToken"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    assert len(call.parameters["Notes"]) < 600


def test_the_history_is_bounded_and_survives_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail_module, "MAX_EVENTS", 3)
    monkeypatch.setattr(trail_module, "_PRUNE_EVERY", 5)
    first = EventHistory(tmp_path / "trail.db", "123456789012", lambda: 1000.0)
    for number in range(5):
        first.record(build_request(f"Update{number}"))
    first.close()
    reopened = EventHistory(tmp_path / "trail.db", "123456789012", lambda: 1000.0)
    assert [e.body["eventName"] for e in reopened.lookup()] == ["Update4", "Update3", "Update2"]
    reopened.close()
