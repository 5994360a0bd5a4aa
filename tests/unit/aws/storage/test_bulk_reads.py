"""Reading many objects without a client's ceremony: where it asks, and when it leaves that to the client."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from bedplate.aws.session import MADE_UP, Session
from bedplate.aws.storage.bulk_reads import BulkReader, _address
from bedplate.aws.storage.objects import S3Objects


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_bucket_is_a_host_on_aws_and_a_path_where_its_name_or_the_endpoint_wants_it(session: Session) -> None:
    host = _address(session, "bkt")
    assert (host.scheme, host.path) == ("https", "/")
    assert host.netloc.startswith("bkt.s3.")
    assert host.netloc.endswith(".amazonaws.com")
    assert _address(session, "a.b").path == "/a.b/"
    ours = Session("us-east-1", "http://127.0.0.1:4566", MADE_UP)
    assert _address(ours, "bkt").geturl() == "http://127.0.0.1:4566/bkt/"


def test_what_cannot_be_read_this_way_is_read_by_the_client(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.client("s3").create_bucket(Bucket="bkt")
    objects = S3Objects(session)
    objects.put("s3://bkt/x", b"hello")
    asked: list[str] = []

    def refuse(_: Any, method: str, path: str, **__: Any) -> None:
        asked.append(f"{method} {path}")
        raise ConnectionRefusedError

    monkeypatch.setattr(http.client.HTTPSConnection, "request", refuse)
    assert list(objects.get_many(["s3://bkt/x"])) == [b"hello"]
    assert asked == ["GET /x"]


def test_requests_are_signed_for_s3_with_the_sessions_keys(session: Session) -> None:
    signed = BulkReader(session, "bkt")._signed("https://bkt.s3.us-east-1.amazonaws.com/x%20y")
    assert "/us-east-1/s3/aws4_request" in signed.headers["Authorization"]
    assert signed.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=test/")
    assert signed.headers["X-Amz-Content-SHA256"]


def test_behind_a_proxy_the_client_is_left_to_it(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    reader = BulkReader(session, "bkt")
    assert reader.get("x") is None
    assert reader._opened == []
