"""How far an endpoint is reached: directly, through a proxy, not at all; and what a Date header says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from bedplate.aws.account.account import AwsAccount
from bedplate.aws.session import Session
from bedplate.errors import PlatformError


class Proxy(HTTPServer):
    """Answers every request itself, and remembers what it was asked for."""

    asked: list[str]
    date: str | None


class Answers(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response_only(403)
        if self.server.date:
            self.send_header("Date", self.server.date)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    server = Proxy(("127.0.0.1", 0), Answers)
    server.asked, server.date = [], "Sat, 21 Nov 2026 07:00:00 GMT"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_endpoint_is_reached_through_the_proxy_of_the_environment(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
    found = AwsAccount(Session.aws("us-east-1")).reach("http://sts.nowhere.example/")
    assert proxy.asked == ["http://sts.nowhere.example/"], "a refusal is an answer too"
    assert found.there == datetime(2026, 11, 21, 7, tzinfo=UTC)


def test_an_endpoint_of_ours_is_never_asked_through_a_proxy(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    url = f"http://127.0.0.1:{proxy.server_port}"
    AwsAccount(Session.local("us-east-1", url)).reach(f"{url}/")
    assert proxy.asked == ["/"]


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_a_server_without_a_legible_date_is_reached_all_the_same(proxy: Proxy, date: str | None) -> None:
    proxy.date = date
    assert AwsAccount(Session.aws("us-east-1")).reach(f"http://127.0.0.1:{proxy.server_port}/").there is None


def test_a_profile_that_does_not_exist_is_told_with_the_way_to_list_them() -> None:
    with pytest.raises(PlatformError, match="nobody-s-profile") as told:
        AwsAccount(Session.aws("us-east-1", profile="nobody-s-profile")).addresses(("sts",))
    assert told.value.next_step == "aws configure list-profiles"


def test_what_does_not_answer_is_named(proxy: Proxy) -> None:
    with pytest.raises(PlatformError, match=r"http://127\.0\.0\.1:9/"):
        AwsAccount(Session.aws("us-east-1")).reach("http://127.0.0.1:9/")
