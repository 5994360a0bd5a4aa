"""Holds what an engine did against what was recorded; order counts only along dependency, parent and provider edges."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from golden.oracle.runs import Played, short_urn

_GOING = {"delete", "delete-replaced", "discard", "discard-replaced", "remove-pending-replace"}
"""What is ordered by the state as it was; the rest is ordered by the program as it is."""


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
    mine, theirs = (sorted(map(unordered, each)) for each in (played.checkpoint, recorded["checkpoint"]))
    assert mine == theirs, where
    now = edges(recorded["checkpoint"])
    if recorded["step"]["op"] == "preview":  # the checkpoint is still the one before
        now &= wired(recorded["step"]["resources"], now)

    copies = Counter((event["op"], event["urn"]) for event in recorded["events"])

    def connected(first: dict[str, Any], second: dict[str, Any]) -> bool:
        if "refresh" in (first["op"], second["op"]):
            return False  # it looks at everything at once, in no order
        both_go = all(event["op"].removeprefix("failed:") in _GOING for event in (first, second))
        if both_go and first["urn"] == second["urn"] and copies[first["op"], first["urn"]] > 1:
            return False  # several old copies of one resource go at once
        return (first["urn"], second["urn"]) in (before if both_go else now)

    def called(first: list[str], second: list[str]) -> bool:
        both_go = first[0] == second[0] == "delete"
        if both_go and thing_urn(first[1]) == thing_urn(second[1]):
            return False
        return (thing_urn(first[1]), thing_urn(second[1])) in (before if both_go else now)

    def joined(first: dict[str, Any], second: dict[str, Any]) -> bool:
        return (short_urn(first["urn"]), short_urn(second["urn"])) in now

    same_order(played.events, recorded["events"], connected, lambda event: (event["op"], event["urn"]), where)
    same_order(played.calls, recorded["provider_calls"], called, tuple, where)
    same_order(played.checkpoint, recorded["checkpoint"], joined, lambda r: (r["urn"], r.get("id")), where)


def unordered(resource: dict[str, Any]) -> str:
    """A resource of a checkpoint; the SDK tells dependencies out of a set, in another order each time."""
    told = {**resource, "dependencies": sorted(resource.get("dependencies", ()))}
    by_property = resource.get("propertyDependencies", {})
    told["propertyDependencies"] = {key: sorted(urns) for key, urns in by_property.items()}
    return json.dumps(told, sort_keys=True)


def explain(played: Played, recorded: dict[str, Any], things: dict[str, Any]) -> str:
    """What is not as recorded, part by part: `-` was recorded, `+` was played; empty when only the order differs."""
    mine = {
        "ok": [played.ok],
        "events": played.events,
        "summary": [played.summary],
        "errors": [kind(e) for e in played.errors],
        "provider_calls": played.calls,
        "world": [things],
        "checkpoint": played.checkpoint,
        "pending": played.pending,
    }
    told = []
    for part, entries in mine.items():
        value = recorded[part]
        theirs = [kind(e) for e in value] if part == "errors" else value if isinstance(value, list) else [value]
        spell = unordered if part == "checkpoint" else _spell
        left, right = Counter(map(spell, theirs)), Counter(map(spell, entries))
        told += [f"{part} - {entry}" for entry in (left - right).elements()]
        told += [f"{part} + {entry}" for entry in (right - left).elements()]
    return "\n".join(told)


def _spell(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


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


def wired(resources: list[dict[str, Any]], among: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of these pairs those that are connected in the program too, at any distance; each with itself."""
    needs: dict[str, set[str]] = {}
    for resource in resources:
        if "raise" not in resource:
            wanted = _named(resource.get("props")) | _named(list(resource.get("opts", {}).values()), whole=True)
            needs[resource["name"]] = wanted.union(*(needs.get(name, set()) for name in wanted))

    def connected(first: str, second: str) -> bool:
        one, other = first.rpartition("::")[2], second.rpartition("::")[2]
        return one == other or one in needs.get(other, ()) or other in needs.get(one, ())

    return {pair for pair in among if connected(*pair)}


def _named(value: Any, *, whole: bool = False) -> set[str]:
    """Names in references; with `whole` every text may be one."""
    if isinstance(value, dict):
        if "$ref" in value:
            return {value["$ref"].split(".")[0]}
        return set().union(*(_named(each, whole=whole) for each in value.values()))
    if isinstance(value, list):
        return set().union(*(_named(each, whole=whole) for each in value))
    return {value} if whole and isinstance(value, str) else set()


def same_order(mine: Any, theirs: Any, connected: Callable[[Any, Any], bool], key: Any, where: str) -> None:
    """Any two entries whose resources are connected stand in the same order in both lists."""
    position = {each: i for i, each in enumerate(_numbered(map(key, mine)))}
    told = list(zip(_numbered(map(key, theirs)), theirs, strict=True))
    for i, (key_of_first, first) in enumerate(told):
        for key_of_second, second in told[i + 1 :]:
            if connected(first, second) and key_of_first in position and key_of_second in position:
                assert position[key_of_first] <= position[key_of_second], (where, first, second, mine)


def _numbered(keys: Iterable[Any]) -> list[Any]:
    """Each with how often it was there before."""
    seen: Counter[Any] = Counter()
    found = []
    for key in keys:
        found.append((key, seen[key]))
        seen[key] += 1
    return found
