"""The provider of the recordings over resources in memory, with the simplest semantics that a plan needs.

`test:index:Thing` has arbitrary inputs; its id is NAME-N, where N counts the creations of that name; its outputs are
the inputs and `computed` ("c:" + id). A diff contains the changed top-level keys; keys with the prefix `force` replace,
and `dbr: true` in the new inputs requests delete-before-replace. `fail: [create|update|delete]` rejects that operation,
with the message of the recordings.
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
class FakeCloud:
    """The actual resources, independent of any state."""

    resources: dict[str, Properties] = field(default_factory=dict)
    create_counts: dict[str, int] = field(default_factory=dict)
    intents: dict[str, str] = field(default_factory=dict)
    calls: list[list[str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def apply_changes(self, changes: dict[str, Properties | None]) -> None:
        for id, inputs in changes.items():
            if inputs is None:
                self.resources.pop(id, None)
            else:
                self.resources[id] = copy.deepcopy(inputs)


class FakeCloudProvider:
    """Calls `fault` before and after every operation that changes the cloud; it may raise to simulate a kill."""

    def __init__(self, cloud: FakeCloud, fault: Callable[[str], None] = lambda point: None) -> None:
        self.cloud = cloud
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
        with self.cloud.lock:
            count = self.cloud.create_counts.get(name, 0) + 1
            id = f"{name}-{count}"
            self._call("create", id, inputs)
            self.cloud.create_counts[name] = count
            self.cloud.resources[id] = copy.deepcopy(inputs)
            self.cloud.intents[intent] = id
        self.fault(f"after create {name}")
        return CreateResult(id, {**inputs, "computed": "c:" + id})

    def read(self, urn: str, id: str, type: str, inputs: Properties, state: Properties) -> ReadResult:
        stored: Any = self.cloud.resources.get(id)
        if stored is None:
            return ReadResult(None, {}, {})
        return ReadResult(id, copy.deepcopy(stored), {**copy.deepcopy(stored), "computed": "c:" + id})

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
            with self.cloud.lock:
                self._call("update", id, news)
                self.cloud.resources[id] = copy.deepcopy(news)
            self.fault(f"after update {id}")
        return {**news, "computed": "c:" + id}

    def delete(self, urn: str, id: str, type: str, inputs: Properties, outputs: Properties) -> None:
        self.fault(f"before delete {id}")
        with self.cloud.lock:
            self._call("delete", id, self.cloud.resources.get(id) or {})
            self.cloud.resources.pop(id, None)
        self.fault(f"after delete {id}")

    def invoke(self, token: str, args: Properties) -> Properties:
        return args

    def find_by_intent(self, type: str, intent: str, inputs: Properties) -> str | None:
        return self.cloud.intents.get(intent)

    def _call(self, op: str, id: str, properties: Properties) -> None:
        self.cloud.calls.append([op, id])
        if op in (properties.get("fail") or []):
            raise OperationRejected(f"{op} of {id} was refused")
