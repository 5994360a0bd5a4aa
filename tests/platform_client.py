"""Plain boto3 clients of a local platform for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ClientFactory = Callable[[str], Any]
"""Returns a boto3 client for the name of a service, as the fixture `client` does."""


def client_of(url: str, service: str) -> Any:
    """Returns a client without retries, so that a failing call fails at once."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=60)
    keys = {"aws_access_key_id": "anybody", "aws_secret_access_key": "whatever"}
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", config=config, **keys)


def error_code_of(call: Callable[..., Any], **arguments: Any) -> str:
    """Returns the error code with which a call fails. Fails the test when the call succeeds."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return str(raised.value.response["Error"]["Code"])
