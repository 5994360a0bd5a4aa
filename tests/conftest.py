"""In which order the tests run, and which stay together: what shares a platform runs in the process where that is.

`make test` runs two processes. Each would otherwise start its own copy of every platform that a module or the session
shares. A table of files, since xdist 3.8's own groups (`xdist_group`) have no effect under pytest 9.2: it writes them
into an attribute that pytest does not read any more.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    "functional/test_failures.py": "rough",
    "functional/test_schedules.py": "rough",
    "functional/test_splits.py": "rough",
    "functional/test_doctor.py": "site",
    "functional/test_platform_commands.py": "site",
    "functional/test_endpoint_modes.py": "platform",
    "functional/test_ledger_writers.py": "platform",
    "functional/test_local_pipelines.py": "platform",
    "functional/test_local_cloudwatch.py": "platform",
    "functional/test_local_money.py": "platform",
    "functional/test_local_platform.py": "platform",
    "functional/test_local_s3.py": "platform",
    "functional/test_local_sagemaker.py": "platform",
    "functional/test_tagging.py": "platform",
    "functional/test_data_versions.py": "data versions",
    "functional/test_real_engine.py": "real engine",
    "functional/test_release_first_half.py": "first half",
    "functional/test_release_second_half.py": "second half",
    "functional/test_runtime_life.py": "runtime",
    "functional/test_terminal.py": "terminal",
    "functional/test_trainings.py": "trainings",
    "unit/engine/provider/test_every_type.py": "every type",
    "unit/engine/provider/test_world.py": "every type",
}
"""Files whose tests share a platform, and the group's name. Any other test goes to whichever process is free."""
LONGEST_FIRST = ("test_the_tutorial", "rough", "site", "test_readme", "second half", "trainings", "first half")
"""Groups, and beginnings of single tests, so that both processes end together; then what else is in a group, then the
functional tests, then the thousands that take milliseconds."""


class TogetherScheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid) or nodeid


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # else groups of many tests go first, however short they are


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TogetherScheduling | None:
    return TogetherScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _turn(item.nodeid))  # stable: a group's tests keep their order


def _group(nodeid: str) -> str | None:
    return TOGETHER.get(nodeid.partition("::")[0].removeprefix("tests/"))


def _turn(nodeid: str) -> tuple[int, str]:
    group = _group(nodeid)
    name = group or nodeid.partition("::")[2]
    first = next((i for i, known in enumerate(LONGEST_FIRST) if name.startswith(known)), None)
    if first is not None:
        return first, name
    rank = 0 if group else 1 if nodeid.startswith(("tests/functional/", "tests/infra/")) else 2
    return len(LONGEST_FIRST) + rank, group or ""
