"""Generated scenarios are reproducible, contain all kinds of edits, and are valid for the program of the recordings."""

from __future__ import annotations

import json

from golden.oracle.scenario_generator import EDITS, generate_scenario


def test_a_seed_gives_the_same_scenario_every_time() -> None:
    assert [generate_scenario(seed) for seed in range(20)] == [generate_scenario(seed) for seed in range(20)]


def test_every_kind_of_edit_occurs() -> None:
    text = json.dumps([generate_scenario(seed) for seed in range(300)])
    for word in ("aliases", "import", "protect", "retainOnDelete", "ignoreChanges", "replaceOnChanges", "deletedWith"):
        assert f'"{word}"' in text
    for word in ("deleteBeforeReplace", "provider", "parent", "dependsOn", "$secret", "$ref", "raise", "--target"):
        assert f'"{word}"' in text


def test_edits_can_be_limited_to_some_kinds() -> None:
    kinds = frozenset({"add", "change", "force"})
    text = json.dumps([generate_scenario(seed, kinds=kinds) for seed in range(100)])
    assert kinds < set(EDITS)
    assert '"aliases"' not in text
    assert '"raise"' not in text


def test_a_resource_refers_only_to_earlier_resources() -> None:
    for seed in range(300):
        for step in generate_scenario(seed):
            existing: set[str] = set()
            for resource in step["resources"]:
                if "raise" in resource:
                    break
                assert required_names(resource) <= existing, (seed, resource)
                existing.add(resource["name"])


def required_names(resource: object) -> set[str]:
    """Returns the names of the resources that must precede this one."""
    names: set[str] = set()
    if isinstance(resource, dict):
        for key, value in resource.items():
            if key == "$ref":
                names.add(value.split(".")[0])
            elif key in ("parent", "deletedWith", "provider") and not str(value).startswith("urn:"):
                names.add(value)
            elif key == "dependsOn":
                names.update(value)
            elif key != "aliases":
                names |= required_names(value)
    elif isinstance(resource, list):
        for item in resource:
            names |= required_names(item)
    return names
