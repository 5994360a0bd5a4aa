"""Emits Pulumi's engine events and lines of text during a run, and counts the operations and errors."""

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
    """Collects errors and counts; calls `send` with events and `write` or `write_error` with lines, in order."""

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
        """Whether the run is a refresh, which counts the operations that its reads find."""
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self._send = send
        self._write = write
        self._write_error = write_error
        self._clock = clock
        self._sequence = 0
        self._lock = threading.RLock()

    def emit_prelude(self, config: Mapping[str, str]) -> None:
        """Emits the first event of a run, with the stack's configuration."""
        self._emit("preludeEvent", {"config": dict(config)})

    def emit_pre(self, step: Step) -> None:
        """Emits the start of a step, which a preview does not execute."""
        with self._lock:
            if self._send:
                self._emit("resourcePreEvent", {"metadata": _step_metadata(step), "planning": self.planning})
            if self._write and step.op in _SIGNS and not step.resource.is_default_provider and step.op != Op.REFRESH:
                self._write(f" {_SIGNS[step.op]} {step.resource.type} {name_of(step.urn)} {step.op}")

    def emit_outputs(self, step: Step) -> None:
        """Emits the success of a step, and counts it."""
        with self._lock:
            op = (step.refresh_op if self._refreshing else None) or step.op
            is_counted = op not in UNCOUNTED and not (op == Op.READ and _is_unchanged_read(step))
            if is_counted and not step.resource.is_default_provider:
                self.counts[op.value] += 1
            if self._send:
                self._emit("resOutputsEvent", {"metadata": _step_metadata(step), "planning": self.planning})

    def emit_failure(self, step: Step, message: str) -> None:
        """Emits the failure of a step, and records the message as an error of the run."""
        with self._lock:
            if not self.planning:
                self._emit("resOpFailedEvent", {"metadata": _step_metadata(step), "status": 0, "steps": 0})
            self.emit_error(f"Preview failed: {message}" if self.planning else message, urn=step.urn)

    def emit_run_failure(self) -> None:
        """Emits Pulumi's final error of a run whose errors are already reported."""
        self.emit_error(f"{'preview' if self.planning else 'update'} failed")

    def emit_error(self, message: str, *, urn: str = "") -> None:
        """Emits an error diagnostic, and records the message as an error of the run."""
        with self._lock:
            self.errors.append(message)
            self.emit_diagnostic("error", message, urn=urn)

    def emit_diagnostic(self, severity: str, message: str, *, urn: str = "", ephemeral: bool = False) -> None:
        """Emits a diagnostic, except with severity `debug`; `info` and `info#err` are the program's output."""
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
            write = self._write if severity.startswith("info") else self._write_error
            if write and not ephemeral:
                for line in f"{prefix}{message}".splitlines():
                    write(line)

    def emit_summary(self, duration_s: float) -> None:
        """Emits the last events of a run, which may have failed."""
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


def _is_unchanged_read(step: Step) -> bool:
    """Returns whether a read has the same outputs as the last one; Pulumi counts only reads that differ."""
    return step.old is None or step.new is None or reveal(step.old.outputs) == reveal(step.new.outputs)


def _step_metadata(step: Step) -> Event:
    resource = step.resource
    event: Event = {
        "op": step.op.value,
        "urn": resource.urn,
        "type": resource.type,
        "provider": resource.provider,
        "old": _resource_state(step.old),
        "new": _resource_state(step.new),
        "logical": step.op not in UNCOUNTED,
        "detailedDiff": None,
    }
    if step.keys:
        event["keys"] = list(step.keys)
    if step.diffs:
        event["diffs"] = list(step.diffs)
        event["detailedDiff"] = {
            path: {"diffKind": "update-replace" if path in step.keys else "update", "inputDiff": True}
            for path in step.detailed_diff or step.diffs
        }
    return event


def _resource_state(resource: Resource | None) -> Event | None:
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
