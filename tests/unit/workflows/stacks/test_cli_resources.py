"""What goes with a stack besides what Pulumi made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bedplate.errors import UsageError
from bedplate.ports import Release
from bedplate.workflows.stacks.cli_resources import list_cli_resources, remove_releases, remove_versions
from bedplate.workflows.stacks.data_at_risk import confirm_data_loss, count_data, remove_data
from builders import a_package, a_stack_context
from fakes import EPOCH, FakeStackContext

E = "bedplate-local-churn"


@pytest.fixture
def platform(tmp_path: Path) -> FakeStackContext:
    made = a_stack_context(tmp_path)
    made.registry.packages[E] = [a_package(1), a_package(2)]
    made.endpoints.releases[f"{E}-v1-0a1b2c3d"] = Release(f"{E}-v1-0a1b2c3d", None, {}, EPOCH)
    return made


def test_versions_releases_and_guard_alarms_go(platform: FakeStackContext) -> None:
    platform.metrics.guard_alarms[f"{E}-v1-0a1b2c3d-predictions"] = None  # type: ignore[assignment]
    held = list_cli_resources(platform)
    assert [(b.model, len(b.versions), b.releases) for b in held] == [("churn", 2, (f"{E}-v1-0a1b2c3d",))]
    remove_versions(platform, held)
    remove_releases(platform, held)
    assert list_cli_resources(platform) == ()
    assert platform.metrics.guard_alarms == {}


def protecting(platform: FakeStackContext) -> FakeStackContext:
    protected = platform.settings.storage.model_copy(update={"force_destroy": False})
    platform.settings = platform.settings.model_copy(update={"storage": protected})
    return platform


def test_a_stack_that_protects_its_data_is_destroyed_only_with_the_flag(platform: FakeStackContext) -> None:
    protecting(platform).objects.contents["s3://bedplate-local-ledger-123456789012/ledger/1.json"] = b"{}"
    data = count_data(platform, list_cli_resources(platform))
    with pytest.raises(UsageError, match=r"holds 2 versions, 1 record of the ledger") as told:
        confirm_data_loss(platform, data, including_data=False)
    assert "--including-data" in (told.value.next_step or "")
    confirm_data_loss(platform, data, including_data=True)
    assert remove_data(platform) == 0
    assert platform.objects.contents == {}


def test_nothing_held_is_nothing_to_protect(platform: FakeStackContext) -> None:
    nothing = [replace(b, versions=()) for b in list_cli_resources(protecting(platform))]
    confirm_data_loss(platform, count_data(platform, nothing), including_data=False)
