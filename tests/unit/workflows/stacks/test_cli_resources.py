"""A destroy also removes what the CLI created."""

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
def stack(tmp_path: Path) -> FakeStackContext:
    stack = a_stack_context(tmp_path)
    stack.registry.packages[E] = [a_package(1), a_package(2)]
    stack.endpoints.releases[f"{E}-v1-0a1b2c3d"] = Release(f"{E}-v1-0a1b2c3d", None, {}, EPOCH)
    return stack


def test_versions_releases_and_guard_alarms_are_removed(stack: FakeStackContext) -> None:
    stack.metrics.guard_alarms[f"{E}-v1-0a1b2c3d-predictions"] = None  # type: ignore[assignment]
    resources = list_cli_resources(stack)
    assert [(item.model, len(item.versions), item.releases) for item in resources] == [
        ("churn", 2, (f"{E}-v1-0a1b2c3d",))
    ]
    remove_versions(stack, resources)
    remove_releases(stack, resources)
    assert list_cli_resources(stack) == ()
    assert stack.metrics.guard_alarms == {}


def protecting(stack: FakeStackContext) -> FakeStackContext:
    protected = stack.settings.storage.model_copy(update={"force_destroy": False})
    stack.settings = stack.settings.model_copy(update={"storage": protected})
    return stack


def test_protected_data_needs_the_flag(stack: FakeStackContext) -> None:
    protecting(stack).objects.contents["s3://bedplate-local-ledger-123456789012/ledger/1.json"] = b"{}"
    data = count_data(stack, list_cli_resources(stack))
    with pytest.raises(UsageError, match=r"holds 2 versions, 1 record of the ledger") as error:
        confirm_data_loss(stack, data, including_data=False)
    assert "--including-data" in (error.value.next_step or "")
    confirm_data_loss(stack, data, including_data=True)
    assert remove_data(stack) == 0
    assert stack.objects.contents == {}


def test_a_stack_without_data_needs_no_flag(stack: FakeStackContext) -> None:
    empty = [replace(b, versions=()) for b in list_cli_resources(protecting(stack))]
    confirm_data_loss(stack, count_data(stack, empty), including_data=False)
