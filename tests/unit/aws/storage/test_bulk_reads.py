"""Bulk reads without boto3's client: addresses, signatures, and the cases in which boto3's client reads."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from bedplate.aws.session import LOCAL_CREDENTIALS, Session
from bedplate.aws.storage.bulk_reads import BulkReader, _bucket_address
from bedplate.aws.storage.objects import S3Objects


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_bucket_is_a_host_on_aws_and_a_path_with_dots_or_an_endpoint_url(session: Session) -> None:
    host = _bucket_address(session, "bkt")
    assert (host.scheme, host.path) == ("https", "/")
    assert host.netloc.startswith("bkt.s3.")
    assert host.netloc.endswith(".amazonaws.com")
    assert _bucket_address(session, "a.b").path == "/a.b/"
    local_session = Session("us-east-1", "http://127.0.0.1:4566", LOCAL_CREDENTIALS)
    assert _bucket_address(local_session, "bkt").geturl() == "http://127.0.0.1:4566/bkt/"


def test_boto3s_client_reads_after_a_connection_error(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.client("s3").create_bucket(Bucket="bkt")
    objects = S3Objects(session)
    objects.put("s3://bkt/x", b"hello")
    requests: list[str] = []

    def fail(_: Any, method: str, path: str, **__: Any) -> None:
        requests.append(f"{method} {path}")
        raise ConnectionRefusedError

    monkeypatch.setattr(http.client.HTTPSConnection, "request", fail)
    assert list(objects.get_many(["s3://bkt/x"])) == [b"hello"]
    assert requests == ["GET /x"]


def test_requests_are_signed_for_s3_with_the_sessions_keys(session: Session) -> None:
    signed = BulkReader(session, "bkt")._sign("https://bkt.s3.us-east-1.amazonaws.com/x%20y")
    assert "/us-east-1/s3/aws4_request" in signed.headers["Authorization"]
    assert signed.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=test/")
    assert signed.headers["X-Amz-Content-SHA256"]


def test_behind_a_proxy_only_boto3s_client_reads(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    reader = BulkReader(session, "bkt")
    assert reader.get("x") is None
    assert reader._connections == []
