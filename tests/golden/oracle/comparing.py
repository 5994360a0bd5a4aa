"""Holds what an engine did against what was recorded; order counts only along dependency, parent and provider edges."""

from __future__ import annotations

from typing import Any

from golden.oracle.runs import Played, short_urn


def compare(
    played: Played, recorded: dict[str, Any], before: set[tuple[str, str]], things: dict[str, Any], where: str
) -> None:
    assert played.ok == recorded["ok"], (where, played.errors)
    assert sorted(map(repr, played.events)) == sorted(map(repr, recorded["events"])), where
    assert played.summary == recorded["summary"], where
    assert [kind(e) for e in played.errors] == [kind(e) for e in recorded["errors"]], where
    assert sorted(played.calls) == sorted(recorded["provider_calls"]), where
    assert things == recorded["world"], where
    assert played.pending == recorded["pending"], where
    by_urn = sorted(played.checkpoint, key=repr)
    assert by_urn == sorted(recorded["checkpoint"], key=repr), where
    along = before | edges(recorded["checkpoint"])
    same_order(played.events, recorded["events"], along, lambda e: (e["op"], e["urn"]), lambda e: e["urn"], where)
    same_order(played.calls, recorded["provider_calls"], along, tuple, lambda c: thing_urn(c[1]), where)
    same_order(
        played.checkpoint,
        recorded["checkpoint"],
        along,
        lambda r: (r["urn"], r.get("id")),
        lambda r: short_urn(r["urn"]),
        where,
    )


def kind(error: str) -> str:
    """The first line, and the last of a traceback."""
    lines = error.strip().splitlines()
    return f"{lines[0]} {lines[-1]}" if "Traceback" in error else lines[0]


def thing_urn(id: str) -> str:
    return f"test:index:Thing::{id.rpartition('-')[0]}"


def edges(checkpoint: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """(dependent, dependency) along dependency, parent and provider, at any distance, both ways round."""
    direct: dict[str, set[str]] = {}
    for resource in checkpoint:
        needs = {
            *resource.get("dependencies", ()),
            resource.get("parent", ""),
            resource.get("provider", "").rpartition("::")[0],
        }
        direct.setdefault(short_urn(resource["urn"]), set()).update(short_urn(n) for n in needs if n)
    found: set[tuple[str, str]] = set()
    for urn in direct:
        todo = list(direct[urn])
        while todo:
            need = todo.pop()
            if (urn, need) not in found:
                found |= {(urn, need), (need, urn)}
                todo.extend(direct.get(need, ()))
        found.add((urn, urn))
    return found


def same_order(mine: Any, theirs: Any, along: set[tuple[str, str]], key: Any, urn: Any, where: str) -> None:
    """Any two entries whose resources are connected stand in the same order in both lists."""
    position = {key(entry): i for i, entry in enumerate(mine)}
    for i, first in enumerate(theirs):
        for second in theirs[i + 1 :]:
            if (urn(first), urn(second)) in along and key(first) in position and key(second) in position:
                assert position[key(first)] <= position[key(second)], (where, first, second, mine)
