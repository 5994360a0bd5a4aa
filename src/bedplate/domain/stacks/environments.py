"""Compares the settings of two environments, and finds environment names whose resource names would conflict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """One key in both environments; None where it is missing."""

    key: str
    a: Any
    b: Any


def list_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[SettingDifference, ...]:
    """Returns every leaf that differs, by dotted key, sorted. A list counts as one value; an empty mapping has no
    leaves.

    >>> list_differences({"x": {"y": 1, "z": 2}}, {"x": {"y": 1, "z": 3}, "w": 4})
    (SettingDifference(key='w', a=None, b=4), SettingDifference(key='x.z', a=2, b=3))
    """
    left, right = dict(_leaves(a, "")), dict(_leaves(b, ""))
    keys = sorted(left.keys() | right.keys())
    return tuple(SettingDifference(k, left.get(k), right.get(k)) for k in keys if left.get(k) != right.get(k))


def _leaves(value: Any, key: str) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, f"{key}.{name}" if key else str(name))
    else:
        yield key, list(value) if isinstance(value, tuple) else value


def find_name_conflict(name: str, others: Iterable[str]) -> str | None:
    """Returns another environment whose resources could be mistaken for this name's; None without one.

    Resources are named `<project>-<stack>-...`, and roles reach names with that prefix: the roles of `dev` would reach
    the resources of `dev-eu`, and model `eu-churn` of `dev` would have the names of model `churn` of `dev-eu`.

    >>> find_name_conflict("dev-eu", ["dev", "prod"]), find_name_conflict("dev", ["dev-eu"])
    ('dev', 'dev-eu')
    >>> find_name_conflict("dev2", ["dev", "prod"]) is None
    True
    """
    return next((o for o in others if o != name and (name.startswith(f"{o}-") or o.startswith(f"{name}-"))), None)
