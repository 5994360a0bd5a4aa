"""Reads many small objects of a bucket: signed by botocore, sent without what its clients do around each request.

A call of boto3's client costs a millisecond and a half of Python (endpoint rules, parameter checks, events, parsing),
which is what a long ledger is waiting for. Whatever is not a plain 200 is left to the client: retries, redirects,
proxies, errors.
"""

from __future__ import annotations

import http.client
import threading
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from bedplate.aws.session import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, Session


class BulkReader:
    """GETs of one bucket, over a connection for each thread."""

    def __init__(self, session: Session, bucket: str) -> None:
        from botocore.utils import get_environ_proxies

        self._region = session.region
        self._at = _address(session, bucket)
        self._base = self._at.geturl()
        self._credentials = session.boto3_session().get_credentials()
        self._refused = self._credentials is None or bool(not session.endpoint_url and get_environ_proxies(self._base))
        self._tls = _tls(session.ca_bundle()) if self._at.scheme == "https" else None
        self._headers = {"User-Agent": f"bedplate{session.agent_suffix}", "Accept-Encoding": "identity"}
        self._own = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    def get(self, key: str) -> bytes | None:
        """The object's bytes; None where the ordinary way must be gone."""
        if self._refused:
            return None
        signed = self._signed(self._base + quote(key, safe="/~"))
        connection = self._connection()
        try:
            connection.request("GET", urlsplit(signed.url).path, headers=dict(signed.headers))
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()  # the next request opens it again
            return None
        return body if answer.status == http.client.OK else None

    def close(self) -> None:
        for connection in self._opened:
            connection.close()

    def _signed(self, url: str) -> Any:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest

        request: Any = AWSRequest("GET", url, headers=self._headers)
        S3SigV4Auth(self._credentials.get_frozen_credentials(), "s3", self._region).add_auth(request)
        return request

    def _connection(self) -> http.client.HTTPConnection:
        held: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if held is None:
            host, port = self._at.hostname or "", self._at.port
            if self._tls is None:
                held = http.client.HTTPConnection(host, port, timeout=CONNECT_TIMEOUT_S)
            else:
                held = http.client.HTTPSConnection(host, port, timeout=READ_TIMEOUT_S, context=self._tls)
            self._own.connection = held
            self._opened.append(held)
        return held


def _address(session: Session, bucket: str) -> SplitResult:
    """`https://<bucket>.s3.<region>.amazonaws.com/`; by the path where the endpoint is ours, or the name has dots."""
    address = urlsplit(session.address("s3"))
    if session.endpoint_url or "." in bucket:
        return address._replace(path=f"/{bucket}/")
    return address._replace(netloc=f"{bucket}.{address.netloc}", path="/")


def _tls(ca_bundle: str | None) -> Any:
    """Certificates are checked against what botocore checks them against."""
    import ssl

    from botocore.httpsession import get_cert_path

    return ssl.create_default_context(cafile=get_cert_path(ca_bundle or True))
