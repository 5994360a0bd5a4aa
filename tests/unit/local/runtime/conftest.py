"""A runtime over in-memory services and a fake container."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from in_memory_services import InMemoryServices
from runtime_driver import RuntimeDriver


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[RuntimeDriver]:
    driver = RuntimeDriver(InMemoryServices(tmp_path))
    yield driver
    driver.close()
