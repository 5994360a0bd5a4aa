"""An in-memory AWS: moto responds instead of the network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bedplate.aws.session import Credentials, Session

REGION = "us-east-1"


@pytest.fixture
def session() -> Iterator[Session]:
    from moto import mock_aws

    with mock_aws():
        yield Session(REGION, credentials=Credentials("test", "test"))
