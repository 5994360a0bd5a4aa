from __future__ import annotations

import json
import socket

import pytest

from bedplate.aws.account.identity import whoami
from bedplate.aws.account.outputs import load_outputs
from bedplate.aws.errors import translated
from bedplate.aws.session import Session
from bedplate.aws.storage.objects import S3Objects
from bedplate.errors import Conflict, Denied, NotFound, PlatformError, SettingsError, UsageError
from builders import outputs


def test_each_client_is_made_once(session: Session) -> None:
    assert session.client("s3") is session.client("s3")


def test_an_environment_full_of_aws_settings_does_not_reach_the_local_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    client = Session.local("us-east-1", "http://127.0.0.1:4599").client("s3")
    assert client.meta.endpoint_url == "http://127.0.0.1:4599"
    assert client.meta.config.proxies == {}


def test_a_platform_that_does_not_answer_names_the_command_that_starts_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(PlatformError, match="local platform does not answer") as silent:
            S3Objects(Session.local("us-east-1", url)).get("s3://b/x")
    assert silent.value.next_step == "bedplate local start"


def test_another_account_than_the_stacks_is_refused_before_any_call(session: Session) -> None:
    wrong = Session("us-east-1", credentials=session.credentials, expected_account="000000000001")
    with pytest.raises(UsageError, match="may only touch 000000000001"):
        wrong.client("s3")
    right = Session("us-east-1", credentials=session.credentials, expected_account="123456789012")
    assert right.client("s3").list_buckets()["Buckets"] == []


def test_on_aws_the_person_is_who_sts_says(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDPLATE_ACTOR", "mallory@example.com")
    me = whoami(session)
    assert (me.account_id, me.local_url) == ("123456789012", None)
    assert me.person != "mallory@example.com"


def test_the_outputs_are_read_and_their_absence_names_up(session: Session) -> None:
    with pytest.raises(NotFound, match="not up") as down:
        load_outputs(session, "bedplate", "dev")
    assert down.value.next_step == "bedplate up --stack dev"
    ssm = session.client("ssm")
    ssm.put_parameter(Name="/bedplate/dev/platform-outputs", Type="String", Value=outputs().model_dump_json())
    assert load_outputs(session, "bedplate", "dev") == outputs()


@pytest.mark.parametrize(("text", "error"), [("no json", PlatformError), (json.dumps({"project": "x"}), SettingsError)])
def test_outputs_that_cannot_be_read_are_said(session: Session, text: str, error: type[Exception]) -> None:
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
def test_refusals_change_language_once(code: str, message: str, error: type[Exception]) -> None:
    from botocore.exceptions import ClientError

    with (
        pytest.raises(PlatformError if error is not NotFound else NotFound, match="Cannot do it") as told,
        translated("Cannot do it"),
    ):
        raise ClientError({"Error": {"Code": code, "Message": message}}, "Op")
    assert type(told.value) is error
    assert isinstance(told.value.__cause__, ClientError)
