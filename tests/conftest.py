"""In which order the tests run, and which of them stay together: what shares a platform runs where that platform is.

`make test` runs two processes. A test that belongs to no group goes to whichever is free; without groups each process
would start its own copy of every platform that a module or the session shares.
"""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
SHARED = {"rough_stage": "rough", "platform": "platform", "site": "site", "platform_url": "every-type"}
"""Fixtures of the whole session that start a platform, and the group of the tests that ask for them."""
LONGEST_FIRST = (
    "tutorial",
    "rough",
    "readme",
    "site",
    "test_release_second_half",
    "test_trainings",
    "test_release_first_half",
    "test_whole_stack",
    "test_killed",
    "test_local_platform_life",
    "every-type",
    "test_init",
)
"""So that both processes end together. Other groups follow, and then the thousands of tests that take milliseconds."""


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # else groups of many tests go first, however short they are


@pytest.hookimpl(tryfirst=True)  # before xdist's own, which reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        group = _group(item)
        if group and not any(item.iter_markers("xdist_group")):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_turn)


def _group(item: pytest.Item) -> str | None:
    below = item.path.relative_to(HERE).parts if item.path.is_relative_to(HERE) else ()
    if below[:1] not in (("functional",), ("infra",)) and below[:2] != ("unit", "engine_provider"):
        return None
    asked = getattr(item, "fixturenames", ())
    return next((group for fixture, group in SHARED.items() if fixture in asked), item.path.stem)


def _turn(item: pytest.Item) -> tuple[int, str]:
    """Groups in their order, each in one piece; a group's own tests stay in theirs, as `sort` is stable."""
    mark = item.get_closest_marker("xdist_group")
    if mark is None:
        return len(LONGEST_FIRST) + 1, ""
    group = str(mark.args[0])
    return (LONGEST_FIRST.index(group), group) if group in LONGEST_FIRST else (len(LONGEST_FIRST), group)
