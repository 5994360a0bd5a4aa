"""Clients, credentials and outputs of a session, and the mapping of its errors."""

from __future__ import annotations

import json
import socket

import pytest

from bedplate.aws.account.identity import get_identity
from bedplate.aws.account.outputs import load_outputs
from bedplate.aws.errors import map_client_errors
from bedplate.aws.session import Session
from bedplate.aws.storage.objects import S3Objects
from bedplate.errors import Conflict, Denied, NotFound, PlatformError, SettingsError, UsageError
from builders import outputs


def test_each_client_is_created_once(session: Session) -> None:
    assert session.client("s3") is session.client("s3")


def test_aws_settings_of_the_environment_do_not_affect_the_local_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    client = Session.local("us-east-1", "http://127.0.0.1:4599").client("s3")
    assert client.meta.endpoint_url == "http://127.0.0.1:4599"
    assert client.meta.config.proxies == {}


def test_a_local_platform_that_is_down_is_an_error_with_the_command_that_starts_it() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound, but not listening: connections are refused
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(PlatformError, match="local platform does not respond") as error:
            S3Objects(Session.local("us-east-1", url)).get("s3://b/x")
    assert error.value.next_step == "bedplate local start"


def test_credentials_of_another_account_are_rejected_before_any_call(session: Session) -> None:
    wrong = Session("us-east-1", credentials=session.credentials, expected_account="000000000001")
    with pytest.raises(UsageError, match="this stack is in account 000000000001"):
        wrong.client("s3")
    right = Session("us-east-1", credentials=session.credentials, expected_account="123456789012")
    assert right.client("s3").list_buckets()["Buckets"] == []


def test_on_aws_the_actor_comes_from_sts(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDPLATE_ACTOR", "mallory@example.com")
    identity = get_identity(session)
    assert (identity.account_id, identity.local_url) == ("123456789012", None)
    assert identity.actor != "mallory@example.com"


def test_missing_outputs_are_an_error_with_the_command_that_creates_them(session: Session) -> None:
    with pytest.raises(NotFound, match="not up") as error:
        load_outputs(session, "bedplate", "dev")
    assert error.value.next_step == "bedplate up --stack dev"
    ssm = session.client("ssm")
    ssm.put_parameter(Name="/bedplate/dev/platform-outputs", Type="String", Value=outputs().model_dump_json())
    assert load_outputs(session, "bedplate", "dev") == outputs()


@pytest.mark.parametrize(("text", "error"), [("no json", PlatformError), (json.dumps({"project": "x"}), SettingsError)])
def test_invalid_outputs_are_an_error(session: Session, text: str, error: type[Exception]) -> None:
    session.client("ssm").put_parameter(Name="/bedplate/dev/platform-outputs", Type="String", Value=text)
    with pytest.raises(error):
        load_outputs(session, "bedplate", "dev")


@pytest.mark.parametrize(
    ("code", "message", "error"),
    [
        ("NoSuchKey", "x", NotFound),
        ("ValidationException", "Could not find endpoint x", NotFound),
        ("ValidationException", "Value is too long", PlatformError),
        ("ResourceInUse", "x", Conflict),
        ("PreconditionFailed", "x", Conflict),
        ("AccessDeniedException", "x", Denied),
        ("ExpiredToken", "x", PlatformError),
        ("ThrottlingException", "x", PlatformError),
    ],
)
def test_client_errors_are_mapped_to_the_error_tree(code: str, message: str, error: type[Exception]) -> None:
    from botocore.exceptions import ClientError

    with pytest.raises(error, match="Cannot do it") as raised, map_client_errors("Cannot do it"):
        raise ClientError({"Error": {"Code": code, "Message": message}}, "Op")
    assert type(raised.value) is error
    assert isinstance(raised.value.__cause__, ClientError)
