"""A real local platform for the tests that need one: started once a session in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bedplate.local import lifecycle
from inbox import Inbox
from local_stage import Stage, build
from platform_client import client_of
from serving_stage import serve
from standing_stack import Site, at_home, brought_up


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a platform that every test of the session shares: give what you make names of your own."""
    project = tmp_path_factory.mktemp("platform")
    yield str(lifecycle.start(project, port=0).url)
    lifecycle.stop(project)


@pytest.fixture
def client(platform: str) -> Callable[[str], Any]:
    """boto3 clients of the shared platform, by service name."""
    return lambda service: client_of(platform, service)


@pytest.fixture(scope="session")
def rough_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One model's platform for tests that treat it badly: each leaves the endpoint at rest, whatever answers."""
    project = tmp_path_factory.mktemp("rough")
    lifecycle.start(project, port=0, faults=True)
    made = build(project)
    try:
        serve(made)
        yield made
    finally:
        lifecycle.stop(project)


@pytest.fixture(scope="session")
def _standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with brought_up(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def site(_standing: Site) -> Iterator[Site]:
    """A stack with one model that is up; a test leaves it as it found it."""
    with at_home(_standing.project):
        yield _standing


@pytest.fixture
def inbox(client: Callable[[str], Any], request: pytest.FixtureRequest) -> Inbox:
    return Inbox(client, request.node.name.split("[")[0][-60:])
