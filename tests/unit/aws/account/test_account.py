"""The account adapter's requests to service endpoints: direct, through a proxy, and failing; and the Date header."""

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
    """Responds to every request itself, and records the requested paths."""

    paths: list[str]
    date: str | None


class ProxyHandler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.send_response_only(403)
        if self.server.date:
            self.send_header("Date", self.server.date)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Logs nothing."""


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    server = Proxy(("127.0.0.1", 0), ProxyHandler)
    server.paths, server.date = [], "Sat, 21 Nov 2026 07:00:00 GMT"
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
    response = AwsAccount(Session.aws("us-east-1")).get_server_time("http://sts.nowhere.example/")
    assert proxy.paths == ["http://sts.nowhere.example/"], "status 403 is a response, too"
    assert response.server_time == datetime(2026, 11, 21, 7, tzinfo=UTC)


def test_the_local_platform_is_never_reached_through_a_proxy(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    url = f"http://127.0.0.1:{proxy.server_port}"
    AwsAccount(Session.local("us-east-1", url)).get_server_time(f"{url}/")
    assert proxy.paths == ["/"]


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_a_server_without_a_valid_date_has_no_server_time(proxy: Proxy, date: str | None) -> None:
    proxy.date = date
    account = AwsAccount(Session.aws("us-east-1"))
    assert account.get_server_time(f"http://127.0.0.1:{proxy.server_port}/").server_time is None


def test_an_unknown_profile_is_an_error_with_the_command_that_lists_profiles() -> None:
    with pytest.raises(PlatformError, match="no-such-profile") as error:
        AwsAccount(Session.aws("us-east-1", profile="no-such-profile")).list_service_urls(("sts",))
    assert error.value.next_step == "aws configure list-profiles"


def test_an_unreachable_endpoint_is_named(proxy: Proxy) -> None:
    with pytest.raises(PlatformError, match=r"http://127\.0\.0\.1:9/"):
        AwsAccount(Session.aws("us-east-1")).get_server_time("http://127.0.0.1:9/")
