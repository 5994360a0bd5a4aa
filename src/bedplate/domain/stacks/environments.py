"""How two environments differ, and which names of environments would meet in one account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """One key by both environments; None where one has no such key."""

    key: str
    a: Any
    b: Any


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[SettingDifference, ...]:
    """Every leaf that differs, by dotted key, sorted; a list is one value, an empty mapping none.

    >>> differences({"x": {"y": 1, "z": 2}}, {"x": {"y": 1, "z": 3}, "w": 4})
    (SettingDifference(key='w', a=None, b=4), SettingDifference(key='x.z', a=2, b=3))
    """
    left, right = dict(_leaves(a, "")), dict(_leaves(b, ""))
    keys = sorted(left.keys() | right.keys())
    return tuple(SettingDifference(k, left.get(k), right.get(k)) for k in keys if left.get(k) != right.get(k))


def _leaves(value: Any, key: str) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for inner, held in value.items():
            yield from _leaves(held, f"{key}.{inner}" if key else str(inner))
    else:
        yield key, list(value) if isinstance(value, tuple) else value


def meets(name: str, others: Iterable[str]) -> str | None:
    """Another environment whose resources this name's would be taken for, None when there is none.

    Everything is named `<project>-<stack>-...`, and roles reach what begins like that: `dev` would reach what is
    `dev-eu`'s, and model `eu-churn` of `dev` would be called like model `churn` of `dev-eu`.

    >>> meets("dev-eu", ["dev", "prod"]), meets("dev", ["dev-eu"]), meets("dev2", ["dev", "prod"])
    ('dev', 'dev-eu', None)
    """
    return next((o for o in others if o != name and (name.startswith(f"{o}-") or o.startswith(f"{name}-"))), None)
