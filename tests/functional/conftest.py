"""Running local platforms that several tests share; each is started once per session in its own folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bedplate.local import lifecycle
from inbox import Inbox
from local_stage import Stage, start_stage
from platform_client import client_of
from provisioned_site import Site, site_environment, start_site
from serving_stage import prepare_endpoint


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a platform that all tests of the session share: use resource names that no other test uses."""
    project = tmp_path_factory.mktemp("platform")
    yield str(lifecycle.start(project, port=0).url)
    lifecycle.stop(project)


@pytest.fixture
def client(platform: str) -> Callable[[str], Any]:
    """boto3 clients of the shared platform, by service name."""
    return lambda service: client_of(platform, service)


@pytest.fixture(scope="session")
def fault_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage that accepts injected faults. Each test leaves the endpoint without an update in flight."""
    with start_stage(tmp_path_factory.mktemp("fault-stage"), faults=True) as stage:
        prepare_endpoint(stage)
        yield stage


@pytest.fixture(scope="session")
def _session_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with start_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def site(_session_site: Site) -> Iterator[Site]:
    """A provisioned stack with one model. Each test restores what it changes."""
    with site_environment(_session_site.project):
        yield _session_site


@pytest.fixture
def inbox(client: Callable[[str], Any], request: pytest.FixtureRequest) -> Inbox:
    return Inbox(client, request.node.name.split("[")[0][-60:])
