"""Bringing up and tearing down: what is asked, and when nothing is done."""

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
class Run:
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
    would: Run
    did: list[str] = field(default_factory=list)

    def preview(self, *, on_progress: OnProgress | None = None, refresh: bool = False) -> Run:
        self.did.append("preview")
        return self.would

    def preview_destroy(self, *, on_progress: OnProgress | None = None) -> Run:
        self.did.append("preview destroy")
        return self.would

    def up(self, *, on_progress: OnProgress | None = None, refresh: bool = False) -> Run:
        self.did.append(f"up refresh={refresh}")
        return self.would

    def destroy(self, *, on_progress: OnProgress | None = None) -> Run:
        self.did.append("destroy")
        return self.would


def refuse(planned: Any) -> None:
    raise KeyboardInterrupt


def test_without_anybody_to_ask_it_goes_ahead() -> None:
    stack = FakeStack(Run({"create": 3}))
    bring_up(stack, refresh=True)
    tear_down(stack)
    assert stack.did == ["up refresh=True", "destroy"]


def test_what_was_not_agreed_to_is_not_done() -> None:
    stack = FakeStack(Run({"create": 3}))
    with pytest.raises(KeyboardInterrupt):
        bring_up(stack, confirm=refuse)
    with pytest.raises(KeyboardInterrupt):
        tear_down(stack, confirm=refuse)
    assert stack.did == ["preview", "preview destroy"]


def test_nobody_is_asked_about_nothing() -> None:
    stack = FakeStack(Run({"same": 3}))
    assert bring_up(stack, confirm=refuse).counts == {"same": 3}
    assert stack.did == ["preview"]


@pytest.mark.parametrize(
    ("counts", "planned", "line"),
    [
        ({"create": 2, "same": 1}, True, "2 to create, 1 unchanged, in 1.5 s"),
        ({"create": 2, "replace": 1, "delete": 4}, False, "2 created, 1 replaced, 4 deleted, in 1.5 s"),
        ({"same": 7}, False, "No changes, 7 unchanged, in 1.5 s"),
        ({}, False, "No changes, in 1.5 s"),
    ],
)
def test_the_summary_line_says_what_was_done_or_would_be(counts: dict[str, int], planned: bool, line: str) -> None:
    assert format_summary(Run(counts), planned=planned) == line


@dataclass(frozen=True)
class Bucket:
    """A bucket that nothing encrypts, versions or shuts."""

    name: str = "open"
    type: str = "aws:s3/bucket:Bucket"
    urn: str = "urn:open"
    after: Mapping[str, Any] = field(default_factory=lambda: {"bucket": "open"})


def test_what_violates_a_mandatory_policy_is_not_brought_up() -> None:
    stack = FakeStack(Run({"create": 1}, resources=(Bucket(),)))

    def check(planned: Any) -> None:
        require_compliant(check_policies(planned), stack="dev", applied=False)

    with pytest.raises(GateFailed, match=r"nothing was changed:\n(.|\n)*buckets-encrypted: aws:s3/bucket:Bucket open"):
        bring_up(stack, check=check)
    assert stack.did == ["preview"]


def test_a_review_holds_what_the_policies_found() -> None:
    found = review_plan(Run({"create": 1}, resources=()))
    assert found.policies.violations == ()
    assert found.policies.policies == len(POLICIES)


def test_a_program_that_was_judged_is_known_again_until_anything_of_it_changes(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    program = tmp_path / "infra" / "__main__.py"
    program.write_text("a = 1")
    assert not PolicyCache(tmp_path, "dev", tmp_path / "state").has_passed()
    PolicyCache(tmp_path, "dev", tmp_path / "state").store()
    assert PolicyCache(tmp_path, "dev", tmp_path / "state").has_passed()
    assert not PolicyCache(tmp_path, "prod", tmp_path / "state").has_passed()
    program.write_text("a = 2")
    assert not PolicyCache(tmp_path, "dev", tmp_path / "state").has_passed()


def test_unprotecting_takes_the_protection_off_and_leaves_the_rest_of_the_state() -> None:
    @dataclass
    class Held:
        document: Any

        def export(self) -> Any:
            return self.document

        def import_(self, document: Any) -> None:
            self.document = document

    held = Held({"version": 3, "deployment": {"resources": [{"urn": "a", "protect": True}, {"urn": "b"}]}})
    assert unprotect(held) == 1
    assert held.document == {"version": 3, "deployment": {"resources": [{"urn": "a", "protect": False}, {"urn": "b"}]}}
