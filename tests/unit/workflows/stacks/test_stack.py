"""Updates and destroys: what is confirmed, and when nothing is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bedplate.cli.views.stack_view import format_summary
from bedplate.domain.policy import POLICIES
from bedplate.errors import GateFailed
from bedplate.workflows.stacks.policy_cache import PolicyCache
from bedplate.workflows.stacks.stack import (
    OnProgress,
    bring_up,
    check_policies,
    require_compliant,
    review_plan,
    tear_down,
    unprotect,
)


@dataclass(frozen=True)
class FakeUpdateResult:
    counts: Mapping[str, int]
    steps: tuple[Any, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    resources: tuple[Any, ...] = ()
    duration_s: float = 1.5

    @property
    def has_changes(self) -> bool:
        return bool(set(self.counts) - {"same"})


@dataclass
class FakeStack:
    planned: FakeUpdateResult
    calls: list[str] = field(default_factory=list)

    def preview(self, *, on_progress: OnProgress | None = None, refresh: bool = False) -> FakeUpdateResult:
        self.calls.append("preview")
        return self.planned

    def preview_destroy(self, *, on_progress: OnProgress | None = None) -> FakeUpdateResult:
        self.calls.append("preview destroy")
        return self.planned

    def up(self, *, on_progress: OnProgress | None = None, refresh: bool = False) -> FakeUpdateResult:
        self.calls.append(f"up refresh={refresh}")
        return self.planned

    def destroy(self, *, on_progress: OnProgress | None = None) -> FakeUpdateResult:
        self.calls.append("destroy")
        return self.planned


def decline(planned: Any) -> None:
    raise KeyboardInterrupt


def test_without_confirm_the_update_runs() -> None:
    stack = FakeStack(FakeUpdateResult({"create": 3}))
    bring_up(stack, refresh=True)
    tear_down(stack)
    assert stack.calls == ["up refresh=True", "destroy"]


def test_a_declined_plan_is_not_applied() -> None:
    stack = FakeStack(FakeUpdateResult({"create": 3}))
    with pytest.raises(KeyboardInterrupt):
        bring_up(stack, confirm=decline)
    with pytest.raises(KeyboardInterrupt):
        tear_down(stack, confirm=decline)
    assert stack.calls == ["preview", "preview destroy"]


def test_a_plan_without_changes_is_not_confirmed() -> None:
    stack = FakeStack(FakeUpdateResult({"same": 3}))
    assert bring_up(stack, confirm=decline).counts == {"same": 3}
    assert stack.calls == ["preview"]


@pytest.mark.parametrize(
    ("counts", "planned", "line"),
    [
        ({"create": 2, "same": 1}, True, "2 to create, 1 unchanged, in 1.5 s"),
        ({"create": 2, "replace": 1, "delete": 4}, False, "2 created, 1 replaced, 4 deleted, in 1.5 s"),
        ({"same": 7}, False, "No changes, 7 unchanged, in 1.5 s"),
        ({}, False, "No changes, in 1.5 s"),
    ],
)
def test_the_summary_line_counts_operations(counts: dict[str, int], planned: bool, line: str) -> None:
    assert format_summary(FakeUpdateResult(counts), planned=planned) == line


@dataclass(frozen=True)
class Bucket:
    """A bucket without encryption, versioning and public access block."""

    name: str = "open"
    type: str = "aws:s3/bucket:Bucket"
    urn: str = "urn:open"
    after: Mapping[str, Any] = field(default_factory=lambda: {"bucket": "open"})


def test_a_violation_of_a_mandatory_policy_stops_the_update() -> None:
    stack = FakeStack(FakeUpdateResult({"create": 1}, resources=(Bucket(),)))

    def check(planned: Any) -> None:
        require_compliant(check_policies(planned), stack="dev", applied=False)

    with pytest.raises(GateFailed, match=r"nothing was changed:\n(.|\n)*buckets-encrypted: aws:s3/bucket:Bucket open"):
        bring_up(stack, check=check)
    assert stack.calls == ["preview"]


def test_a_review_contains_the_policy_report() -> None:
    review = review_plan(FakeUpdateResult({"create": 1}, resources=()))
    assert review.policies.violations == ()
    assert review.policies.policies == len(POLICIES)


def test_the_policy_cache_is_valid_until_the_program_changes(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    program = tmp_path / "infra" / "__main__.py"
    program.write_text("a = 1")
    assert not PolicyCache(tmp_path, "dev", tmp_path / "state").has_passed()
    PolicyCache(tmp_path, "dev", tmp_path / "state").store()
    assert PolicyCache(tmp_path, "dev", tmp_path / "state").has_passed()
    assert not PolicyCache(tmp_path, "prod", tmp_path / "state").has_passed()
    program.write_text("a = 2")
    assert not PolicyCache(tmp_path, "dev", tmp_path / "state").has_passed()


def test_unprotect_changes_only_the_protection() -> None:
    @dataclass
    class FakeEngine:
        document: Any

        def export(self) -> Any:
            return self.document

        def import_(self, document: Any) -> None:
            self.document = document

    engine = FakeEngine({"version": 3, "deployment": {"resources": [{"urn": "a", "protect": True}, {"urn": "b"}]}})
    assert unprotect(engine) == 1
    assert engine.document == {
        "version": 3,
        "deployment": {"resources": [{"urn": "a", "protect": False}, {"urn": "b"}]},
    }
