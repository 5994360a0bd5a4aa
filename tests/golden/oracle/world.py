"""The recordings' provider in this process: things in a dictionary, with the smallest semantics that a plan needs.

`test:index:Thing`: any inputs. id = NAME-N (N counts creations of that name). Outputs = inputs + computed ("c:" + id).
Diff: changed top-level keys; keys beginning with `force` replace; `dbr: true` among the new inputs asks for
delete-before-replace. `fail: [create|update|delete|read]` refuses that operation. The intent is kept beside the thing.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bedplate.engine.protocol import (
    UNKNOWN,
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffChanges,
    DiffResult,
    OperationRejected,
    Properties,
    ReadResult,
)


@dataclass
class World:
    """What exists, outside of any state."""

    things: dict[str, Properties] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)
    intents: dict[str, str] = field(default_factory=dict)
    calls: list[list[str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def change(self, changes: dict[str, Properties | None]) -> None:
        for id, thing in changes.items():
            if thing is None:
                self.things.pop(id, None)
            else:
                self.things[id] = copy.deepcopy(thing)


class WorldProvider:
    """`fault` is asked before and after every call that changes the world; it may raise to play a kill."""

    def __init__(self, world: World, fault: Callable[[str], None] = lambda point: None) -> None:
        self.world = world
        self.fault = fault
        self.config: Properties = {}

    def configure(self, config: Properties) -> None:
        self.config = config

    def check_config(self, urn: str, olds: Properties | None, news: Properties) -> CheckResult:
        return CheckResult(news)

    def diff_config(self, urn: str, olds: Properties, news: Properties) -> DiffResult:
        return self._diff(olds, news)

    def check(self, urn: str, type: str, olds: Properties | None, news: Properties, random_seed: bytes) -> CheckResult:
        if news.get("invalid"):
            return CheckResult(news, (CheckFailure("invalid", str(news["invalid"])),))
        return CheckResult(news)

    def diff(
        self,
        urn: str,
        id: str,
        type: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        ignore_changes: Sequence[str],
    ) -> DiffResult:
        return self._diff(old_inputs, news)

    @staticmethod
    def _diff(old: Properties, new: Properties) -> DiffResult:
        changed = tuple(sorted(k for k in {*old, *new} if old.get(k) != new.get(k)))
        replaces = tuple(k for k in changed if k.startswith("force"))
        return DiffResult(
            DiffChanges.SOME if changed else DiffChanges.NONE, changed, replaces, bool(replaces and new.get("dbr"))
        )

    def create(self, urn: str, type: str, inputs: Properties, preview: bool, intent: str) -> CreateResult:
        if preview:
            return CreateResult("", {**inputs, "computed": UNKNOWN})
        name = urn.split("::")[-1]
        self.fault(f"before create {name}")
        with self.world.lock:
            n = self.world.made.get(name, 0) + 1
            id = f"{name}-{n}"
            self._call("create", id, inputs)
            self.world.made[name] = n
            self.world.things[id] = copy.deepcopy(inputs)
            self.world.intents[intent] = id
        self.fault(f"after create {name}")
        return CreateResult(id, {**inputs, "computed": "c:" + id})

    def read(self, urn: str, id: str, type: str, inputs: Properties, state: Properties) -> ReadResult:
        thing: Any = self.world.things.get(id)
        if thing is None:
            return ReadResult(None, {}, {})
        return ReadResult(id, copy.deepcopy(thing), {**copy.deepcopy(thing), "computed": "c:" + id})

    def update(
        self,
        urn: str,
        id: str,
        type: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        preview: bool,
    ) -> Properties:
        if not preview:
            self.fault(f"before update {id}")
            with self.world.lock:
                self._call("update", id, news)
                self.world.things[id] = copy.deepcopy(news)
            self.fault(f"after update {id}")
        return {**news, "computed": "c:" + id}

    def delete(self, urn: str, id: str, type: str, inputs: Properties, outputs: Properties) -> None:
        self.fault(f"before delete {id}")
        with self.world.lock:
            self._call("delete", id, self.world.things.get(id) or {})
            self.world.things.pop(id, None)
        self.fault(f"after delete {id}")

    def invoke(self, token: str, args: Properties) -> Properties:
        return args

    def find_by_intent(self, type: str, intent: str, inputs: Properties) -> str | None:
        return self.world.intents.get(intent)

    def _call(self, op: str, id: str, properties: Properties) -> None:
        self.world.calls.append([op, id])
        if op in (properties.get("fail") or []):
            raise OperationRejected(f"{op} of {id} was refused")
