"""Differences between program, state and live resources, and which of them are drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bedplate.domain.stacks.drift import compare_steps


@dataclass(frozen=True)
class Change:
    path: str
    old: Any
    new: Any
    replaces: bool = False


@dataclass(frozen=True)
class AStep:
    op: str
    name: str
    changes: tuple[Change, ...] = ()
    type: str = "aws:s3/bucket:Bucket"
    replace_keys: tuple[str, ...] = ()

    @property
    def urn(self) -> str:
        return f"urn:{self.name}"


def test_a_changed_live_property_has_all_three_values() -> None:
    drift = compare_steps([AStep("update", "a", (Change("size", 1, 2),))], [])
    (difference,) = drift.differences
    assert (difference.kind, difference.path, difference.program, difference.state, difference.live) == (
        "changed",
        "size",
        1,
        1,
        2,
    )
    assert drift.has_drifted
    assert not drift.has_unapplied_changes


def test_a_property_changed_in_program_and_live_is_one_difference() -> None:
    drift = compare_steps(
        [AStep("update", "a", (Change("size", 1, 2),))],
        [AStep("update", "a", (Change("size", 1, 3), Change("kind", "x", "y")))],
    )
    assert [(d.kind, d.path, d.program, d.state, d.live) for d in drift.differences] == [
        ("changed", "size", 3, 1, 2),
        ("not applied", "kind", "y", "x", "x"),
    ]


def test_a_deleted_resource_is_one_difference_despite_program_changes() -> None:
    drift = compare_steps([AStep("delete", "a")], [AStep("update", "a", (Change("size", 1, 3),))])
    assert [(d.kind, d.path, d.program, d.state, d.live) for d in drift.differences] == [
        ("gone", "", "exists", "exists", None)
    ]


def test_unapplied_program_changes_are_listed_and_are_not_drift() -> None:
    drift = compare_steps([], [AStep("create", "new"), AStep("delete", "old")])
    assert [(d.kind, d.program, d.state) for d in drift.differences] == [
        ("not applied", "exists", None),
        ("not applied", None, "exists"),
    ]
    assert drift.has_unapplied_changes
    assert not drift.has_drifted


def test_a_resource_removed_from_the_program_has_no_program_value() -> None:
    drift = compare_steps([AStep("update", "a", (Change("size", 1, 2),))], [AStep("delete", "a")])
    assert [(d.path, d.program) for d in drift.differences] == [("size", None), ("", None)]


def test_no_difference_is_no_drift() -> None:
    assert compare_steps([], []).differences == ()
    assert not compare_steps([], []).has_drifted
