"""Orders the tests, and runs tests that share a local platform in the same process.

`make test` runs two processes. Otherwise each of them would start its own copy of every platform that the tests of a
module or session share. The groups are a table of files, because xdist 3.8's own groups (`xdist_group`) have no effect
under pytest 9.2: xdist writes them into an attribute that pytest no longer reads.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    "functional/test_failures.py": "fault stage",
    "functional/test_schedules.py": "fault stage",
    "functional/test_multi_variant_endpoints.py": "fault stage",
    "functional/test_doctor.py": "site",
    "functional/test_platform_commands.py": "site",
    "functional/test_endpoint_modes.py": "platform",
    "functional/test_ledger_writers.py": "platform",
    "functional/test_local_pipelines.py": "platform",
    "functional/test_local_cloudwatch.py": "platform",
    "functional/test_local_costs.py": "platform",
    "functional/test_local_platform.py": "platform",
    "functional/test_local_s3.py": "platform",
    "functional/test_local_sagemaker.py": "platform",
    "functional/test_tagging.py": "platform",
    "functional/test_data_versions.py": "data versions",
    "functional/test_real_engine.py": "real engine",
    "functional/test_train_and_approve.py": "train and approve",
    "functional/test_deploy_and_rollback.py": "deploy and roll back",
    "functional/test_local_runtime.py": "runtime",
    "functional/test_terminal.py": "terminal",
    "functional/test_trainings.py": "trainings",
    "unit/engine/provider/test_tables.py": "every type",
    "unit/engine/provider/test_drift_and_kills.py": "every type",
}
"""Files whose tests share a platform, and the name of their group. Any other test runs in the next free process."""
LONGEST_FIRST = (
    "test_tutorial",
    "fault stage",
    "site",
    "test_readme",
    "deploy and roll back",
    "trainings",
    "train and approve",
)
"""Groups, and beginnings of test names, that start first, so that both processes end at about the same time. They are
followed by the other groups, the other functional tests, and the thousands of tests that take milliseconds."""


class TogetherScheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid) or nodeid


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # otherwise groups of many tests start first, however short they are


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TogetherScheduling | None:
    return TogetherScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _sort_key(item.nodeid))  # stable: the tests of a group keep their order


def _group(nodeid: str) -> str | None:
    return TOGETHER.get(nodeid.partition("::")[0].removeprefix("tests/"))


def _sort_key(nodeid: str) -> tuple[int, str]:
    group = _group(nodeid)
    name = group or nodeid.partition("::")[2]
    position = next((i for i, prefix in enumerate(LONGEST_FIRST) if name.startswith(prefix)), None)
    if position is not None:
        return position, name
    rank = 0 if group else 1 if nodeid.startswith(("tests/functional/", "tests/infra/")) else 2
    return len(LONGEST_FIRST) + rank, group or ""
