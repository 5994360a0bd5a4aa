"""A runtime over services in memory, with a container of the tests' own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.local.runtime.rig import Rig
from unit.local.runtime.world import World

CONTAINER = [sys.executable, str(Path(__file__).with_name("container.py"))]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(World(tmp_path), CONTAINER)
    yield made
    made.close()
