"""The generator of small programs: the same for a seed, and each of them one that the recordings' program can read."""

from __future__ import annotations

import json

from golden.oracle.generator import EDITS, scenario


def test_a_seed_gives_the_same_scenario_every_time() -> None:
    assert [scenario(seed) for seed in range(20)] == [scenario(seed) for seed in range(20)]


def test_every_kind_of_edit_is_made_sooner_or_later() -> None:
    told = json.dumps([scenario(seed) for seed in range(300)])
    for word in ("aliases", "import", "protect", "retainOnDelete", "ignoreChanges", "replaceOnChanges", "deletedWith"):
        assert f'"{word}"' in told
    for word in ("deleteBeforeReplace", "provider", "parent", "dependsOn", "$secret", "$ref", "raise", "--target"):
        assert f'"{word}"' in told


def test_edits_can_be_limited_to_some_kinds() -> None:
    kinds = frozenset({"add", "change", "force"})
    told = json.dumps([scenario(seed, kinds=kinds) for seed in range(100)])
    assert kinds < set(EDITS)
    assert '"aliases"' not in told
    assert '"raise"' not in told


def test_nothing_refers_to_what_the_program_has_not_made_yet() -> None:
    for seed in range(300):
        for step in scenario(seed):
            made: set[str] = set()
            for resource in step["resources"]:
                if "raise" in resource:
                    break
                assert mentioned(resource) <= made, (seed, resource)
                made.add(resource["name"])


def mentioned(resource: object) -> set[str]:
    """Names of what a resource needs before it."""
    found: set[str] = set()
    if isinstance(resource, dict):
        for key, value in resource.items():
            if key == "$ref":
                found.add(value.split(".")[0])
            elif key in ("parent", "deletedWith", "provider") and not str(value).startswith("urn:"):
                found.add(value)
            elif key == "dependsOn":
                found.update(value)
            elif key != "aliases":
                found |= mentioned(value)
    elif isinstance(resource, list):
        for each in resource:
            found |= mentioned(each)
    return found
