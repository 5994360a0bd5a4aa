"""Compares the result of an engine with a recording; only resources with dependencies between them have an order."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from golden.oracle.embedded_engine import StepResult, short_urn

_DELETIONS = {"delete", "delete-replaced", "discard", "discard-replaced", "remove-pending-replace"}
"""Operations that are ordered by the old state; the others are ordered by the new one."""


def assert_same_result(
    result: StepResult,
    recording: dict[str, Any],
    old_pairs: set[tuple[str, str]],
    resources: dict[str, Any],
    label: str,
) -> None:
    assert result.ok == recording["ok"], (label, result.errors)
    assert sorted(map(repr, result.events)) == sorted(map(repr, recording["events"])), label
    assert result.summary == recording["summary"], label
    assert [error_kind(e) for e in result.errors] == [error_kind(e) for e in recording["errors"]], label
    assert sorted(result.calls) == sorted(recording["provider_calls"]), label
    assert resources == recording["world"], label
    assert result.pending == recording["pending"], label
    played, recorded = (sorted(map(canonical_text, items)) for items in (result.checkpoint, recording["checkpoint"]))
    assert played == recorded, label
    new_pairs = dependency_pairs(recording["checkpoint"])
    if recording["step"]["op"] == "preview":  # the checkpoint is still the old one
        new_pairs &= program_pairs(recording["step"]["resources"], new_pairs)

    copies = Counter((event["op"], event["urn"]) for event in recording["events"])

    def are_events_ordered(first: dict[str, Any], second: dict[str, Any]) -> bool:
        if "refresh" in (first["op"], second["op"]):
            return False  # a refresh reads all resources in parallel
        are_deletions = all(event["op"].removeprefix("failed:") in _DELETIONS for event in (first, second))
        if are_deletions and first["urn"] == second["urn"] and copies[first["op"], first["urn"]] > 1:
            return False  # several old copies of a resource are deleted in parallel
        return (first["urn"], second["urn"]) in (old_pairs if are_deletions else new_pairs)

    def are_calls_ordered(first: list[str], second: list[str]) -> bool:
        are_deletions = first[0] == second[0] == "delete"
        if are_deletions and urn_of_id(first[1]) == urn_of_id(second[1]):
            return False
        return (urn_of_id(first[1]), urn_of_id(second[1])) in (old_pairs if are_deletions else new_pairs)

    def are_resources_ordered(first: dict[str, Any], second: dict[str, Any]) -> bool:
        return (short_urn(first["urn"]), short_urn(second["urn"])) in new_pairs

    assert_same_order(
        result.events, recording["events"], are_events_ordered, lambda event: (event["op"], event["urn"]), label
    )
    assert_same_order(result.calls, recording["provider_calls"], are_calls_ordered, tuple, label)
    assert_same_order(
        result.checkpoint, recording["checkpoint"], are_resources_ordered, lambda r: (r["urn"], r.get("id")), label
    )


def canonical_text(resource: dict[str, Any]) -> str:
    """Returns a resource of a checkpoint as text, with sorted dependencies, which the SDK sends in random order."""
    canonical = {**resource, "dependencies": sorted(resource.get("dependencies", ()))}
    by_property = resource.get("propertyDependencies", {})
    canonical["propertyDependencies"] = {key: sorted(urns) for key, urns in by_property.items()}
    return json.dumps(canonical, sort_keys=True)


def describe_differences(result: StepResult, recording: dict[str, Any], resources: dict[str, Any]) -> str:
    """Returns differences: `-` is in the recording only, `+` in the result only; empty if only the order differs."""
    played = {
        "ok": [result.ok],
        "events": result.events,
        "summary": [result.summary],
        "errors": [error_kind(e) for e in result.errors],
        "provider_calls": result.calls,
        "world": [resources],
        "checkpoint": result.checkpoint,
        "pending": result.pending,
    }
    differences = []
    for part, entries in played.items():
        value = recording[part]
        recorded = [error_kind(e) for e in value] if part == "errors" else value if isinstance(value, list) else [value]
        to_text = canonical_text if part == "checkpoint" else _json_text
        left, right = Counter(map(to_text, recorded)), Counter(map(to_text, entries))
        differences += [f"{part} - {entry}" for entry in (left - right).elements()]
        differences += [f"{part} + {entry}" for entry in (right - left).elements()]
    return "\n".join(differences)


def _json_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def error_kind(error: str) -> str:
    """Returns the first line of an error, and of a traceback also the last one."""
    lines = error.strip().splitlines()
    return f"{lines[0]} {lines[-1]}" if "Traceback" in error else lines[0]


def urn_of_id(id: str) -> str:
    return f"test:index:Thing::{id.rpartition('-')[0]}"


def dependency_pairs(checkpoint: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Returns all pairs of URNs, in both orders, of which one depends on the other, directly or indirectly."""
    direct: dict[str, set[str]] = {}
    for resource in checkpoint:
        dependencies = {
            *resource.get("dependencies", ()),
            resource.get("parent", ""),
            resource.get("provider", "").rpartition("::")[0],
        }
        direct.setdefault(short_urn(resource["urn"]), set()).update(short_urn(n) for n in dependencies if n)
    pairs: set[tuple[str, str]] = set()
    for urn in direct:
        todo = list(direct[urn])
        while todo:
            dependency = todo.pop()
            if (urn, dependency) not in pairs:
                pairs |= {(urn, dependency), (dependency, urn)}
                todo.extend(direct.get(dependency, ()))
        pairs.add((urn, urn))
    return pairs


def program_pairs(resources: list[dict[str, Any]], candidates: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Returns the candidates that are connected in the program too, directly or indirectly."""
    dependencies: dict[str, set[str]] = {}
    for resource in resources:
        if "raise" not in resource:
            names = _referenced_names(resource.get("props")) | _referenced_names(
                list(resource.get("opts", {}).values()), any_text=True
            )
            dependencies[resource["name"]] = names.union(*(dependencies.get(name, set()) for name in names))

    def are_connected(first: str, second: str) -> bool:
        name, other = first.rpartition("::")[2], second.rpartition("::")[2]
        return name == other or name in dependencies.get(other, ()) or other in dependencies.get(name, ())

    return {pair for pair in candidates if are_connected(*pair)}


def _referenced_names(value: Any, *, any_text: bool = False) -> set[str]:
    """Returns the names in references; with `any_text` every string counts as a name."""
    if isinstance(value, dict):
        if "$ref" in value:
            return {value["$ref"].split(".")[0]}
        return set().union(*(_referenced_names(item, any_text=any_text) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(_referenced_names(item, any_text=any_text) for item in value))
    return {value} if any_text and isinstance(value, str) else set()


def assert_same_order(
    played: Any, recorded: Any, are_ordered: Callable[[Any, Any], bool], key: Any, label: str
) -> None:
    """Asserts that any two entries for which `are_ordered` holds have the same order in both lists."""
    position = {entry: i for i, entry in enumerate(_number_duplicates(map(key, played)))}
    numbered = list(zip(_number_duplicates(map(key, recorded)), recorded, strict=True))
    for i, (key_of_first, first) in enumerate(numbered):
        for key_of_second, second in numbered[i + 1 :]:
            if are_ordered(first, second) and key_of_first in position and key_of_second in position:
                assert position[key_of_first] <= position[key_of_second], (label, first, second, played)


def _number_duplicates(keys: Iterable[Any]) -> list[Any]:
    """Returns each key with the number of its earlier occurrences."""
    counts: Counter[Any] = Counter()
    numbered = []
    for key in keys:
        numbered.append((key, counts[key]))
        counts[key] += 1
    return numbered
