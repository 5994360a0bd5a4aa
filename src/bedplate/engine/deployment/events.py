"""What a run says while it works: Pulumi's engine events for machines, lines for people, and the counts at the end."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from bedplate.engine.deployment.steps import UNCOUNTED, Op, Step
from bedplate.engine.property_values import mask, reveal
from bedplate.engine.state.snapshot import Resource, name_of

Event = dict[str, Any]

_SIGNS = {
    Op.CREATE: "+ ",
    Op.UPDATE: "~ ",
    Op.DELETE: "- ",
    Op.REPLACE: "+-",
    Op.CREATE_REPLACEMENT: "++",
    Op.DELETE_REPLACED: "--",
    Op.READ: "> ",
    Op.REFRESH: "~ ",
    Op.IMPORT: "= ",
}


class Events:
    """Collects errors and counts, and passes every event on to `send` and every line to `write`, in order."""

    def __init__(
        self,
        *,
        planning: bool,
        refreshing: bool = False,
        send: Callable[[Event], None] | None = None,
        write: Callable[[str], None] | None = None,
        write_error: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.planning = planning
        self._refreshing = refreshing
        """Whether to look is what this run is for, so that what a look finds counts."""
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self._send = send
        self._write = write
        self._write_error = write_error
        self._clock = clock
        self._sequence = 0
        self._lock = threading.RLock()

    def prelude(self, config: Mapping[str, str]) -> None:
        self._emit("preludeEvent", {"config": dict(config)})

    def before(self, step: Step) -> None:
        """A step is about to be taken (or, in a preview, would be)."""
        with self._lock:
            if self._send:
                self._emit("resourcePreEvent", {"metadata": _metadata(step), "planning": self.planning})
            if self._write and step.op in _SIGNS and not step.resource.is_default_provider and step.op != Op.REFRESH:
                self._write(f" {_SIGNS[step.op]} {step.resource.type} {name_of(step.urn)} {step.op}")

    def after(self, step: Step) -> None:
        """A step was taken."""
        with self._lock:
            op = (step.found if self._refreshing else None) or step.op
            counted = op not in UNCOUNTED and not (op == Op.READ and _as_before(step))
            if counted and not step.resource.is_default_provider:
                self.counts[op.value] += 1
            if self._send:
                self._emit("resOutputsEvent", {"metadata": _metadata(step), "planning": self.planning})

    def failed(self, step: Step, message: str) -> None:
        """A step was tried and refused; the message is an error of the run."""
        with self._lock:
            if not self.planning:
                self._emit("resOpFailedEvent", {"metadata": _metadata(step), "status": 0, "steps": 0})
            self.error(f"Preview failed: {message}" if self.planning else message, urn=step.urn)

    def error(self, message: str, *, urn: str = "") -> None:
        with self._lock:
            self.errors.append(message)
            self.say("error", message, urn=urn)

    def say(self, severity: str, message: str, *, urn: str = "", ephemeral: bool = False) -> None:
        """A diagnostic: `debug` is dropped; `info` and `info#err` are the program's own output."""
        if severity == "debug":
            return
        with self._lock:
            prefix = "" if severity.startswith("info") else f"{severity}: "
            event: Event = {"message": message + "\n", "prefix": prefix, "color": "never", "severity": severity}
            if urn:
                event["urn"] = urn
            if ephemeral:
                event["ephemeral"] = True
            self._emit("diagnosticEvent", event)
            out = self._write if severity.startswith("info") else self._write_error
            if out and not ephemeral:
                for line in f"{prefix}{message}".splitlines():
                    out(line)

    def summary(self, duration_s: float) -> None:
        """The last word, also of a run that failed."""
        with self._lock:
            self._emit(
                "summaryEvent",
                {
                    "maybeCorrupt": False,
                    "durationSeconds": round(duration_s),
                    "resourceChanges": dict(self.counts),
                    "PolicyPacks": {},
                },
            )
            if self._write:
                parts = [f"{count} {op}" for op, count in sorted(self.counts.items())]
                self._write(f"Resources: {', '.join(parts) or 'none'}")
            self._emit("cancelEvent", {})

    def _emit(self, kind: str, body: Event) -> None:
        if self._send is None:
            return
        with self._lock:
            self._sequence += 1
            self._send({"sequence": self._sequence, "timestamp": int(self._clock()), kind: body})


def _as_before(step: Step) -> bool:
    """Pulumi counts a read when it found something other than the last one."""
    return step.old is None or step.new is None or reveal(step.old.outputs) == reveal(step.new.outputs)


def _metadata(step: Step) -> Event:
    resource = step.resource
    event: Event = {
        "op": step.op.value,
        "urn": resource.urn,
        "type": resource.type,
        "provider": resource.provider,
        "old": _state(step.old),
        "new": _state(step.new),
        "logical": step.op not in UNCOUNTED,
        "detailedDiff": None,
    }
    if step.keys:
        event["keys"] = list(step.keys)
    if step.diffs:
        event["diffs"] = list(step.diffs)
        event["detailedDiff"] = {
            path: {"diffKind": "update-replace" if path in step.keys else "update", "inputDiff": True}
            for path in step.detailed or step.diffs
        }
    return event


def _state(resource: Resource | None) -> Event | None:
    if resource is None:
        return None
    return {
        "type": resource.type,
        "urn": resource.urn,
        "custom": resource.custom,
        "delete": resource.delete,
        "id": resource.id,
        "parent": resource.parent,
        "protect": resource.protect,
        "retainOnDelete": resource.retain_on_delete,
        "inputs": mask(resource.inputs),
        "outputs": mask(resource.outputs),
        "provider": resource.provider,
        "initErrors": resource.init_errors,
    }
