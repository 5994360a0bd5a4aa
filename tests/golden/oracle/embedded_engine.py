"""Runs a recorded step on the embedded engine and returns the result in the format of the recordings."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.engine.deployment.deployment import Configuration, Deployment, DeploymentResult, IdsAndClock
from bedplate.engine.deployment.program import Program
from bedplate.engine.deployment.targets import Selection
from bedplate.engine.state.store import StateStore
from golden.oracle.fake_cloud import FakeCloud, FakeCloudProvider

HERE = Path(__file__).parent
RECORDINGS: dict[str, list[dict[str, Any]]] = {
    **json.loads((HERE / "cli_scenarios.json").read_text()),
    **json.loads((HERE / "cli_edge_cases.json").read_text()),
    **json.loads((HERE / "cli_engine_targets.json").read_text()),
    **json.loads((HERE / "inline_engine_scenarios.json").read_text()),
}


@dataclass
class StepResult:
    ok: bool
    events: list[dict[str, Any]]
    summary: dict[str, int]
    errors: list[str]
    calls: list[list[str]]
    checkpoint: list[dict[str, Any]]
    pending: list[Any]


class EmbeddedEngine:
    """Stack `s` of project `oracle`, its cloud, and the program, which reads its step from a file."""

    def __init__(
        self,
        folder: Path,
        cloud: FakeCloud | None = None,
        *,
        fault: Callable[[str], None] = lambda point: None,
        prefix: str = "id",
    ) -> None:
        self.folder = folder
        self.cloud = cloud or FakeCloud()
        self.fault = fault
        counter = itertools.count(1)
        seconds = itertools.count(1_700_000_000)
        self.ids_and_clock = IdsAndClock(new_id=lambda: f"{prefix}-{next(counter)}", clock=lambda: float(next(seconds)))
        self.store = StateStore(
            folder / "state",
            "s",
            timestamp=self.ids_and_clock.timestamp,
            version="3.272.0",
            before_write=lambda _: fault("before write"),
        )
        if not self.store.exists():
            self.store.create()

    def run(
        self, step: dict[str, Any], send: Callable[[dict[str, Any]], None] | None = None, **options: Any
    ) -> DeploymentResult:
        self.cloud.apply_changes(step.get("world", {}))
        path = self.folder / "step.json"
        path.write_text(json.dumps(step))
        deployment = Deployment(
            self.store,
            project="oracle",
            program=Program(HERE, "program.py.txt"),
            configuration=Configuration(),
            provider_factory=lambda package: FakeCloudProvider(self.cloud, self.fault),
            ids_and_clock=self.ids_and_clock,
        )
        selection = build_selection(step.get("flags", ()))
        return deployment.run(
            step["op"],
            selection=selection,
            refresh_first="--refresh" in step.get("flags", ()),
            environment={"ORACLE_STEP": str(path)},
            send=send,
            **options,
        )

    def play(self, step: dict[str, Any]) -> StepResult:
        events: list[dict[str, Any]] = []
        self.cloud.calls.clear()
        result = self.run(step, events.append)
        return StepResult(
            ok=result.ok,
            events=[e for event in events if (e := summarize_event(event)) is not None],
            summary=dict(result.counts),
            errors=list(result.errors),
            calls=[list(call) for call in self.cloud.calls],
            checkpoint=checkpoint_resources(self.store),
            pending=json.loads(self.store.paths.checkpoint.read_bytes())["deployment"].get("pending_operations", []),
        )


def build_selection(flags: Sequence[str]) -> Selection:
    """Returns the selection of the command line's flags."""
    words = iter(flags)
    targets: list[str] = []
    replace: list[str] = []
    for word in words:
        if word in ("--target", "--target-replace"):
            targets.append(urn := next(words))
            replace += [urn] if word == "--target-replace" else []
        elif word == "--replace":
            replace.append(next(words))
    return Selection(tuple(targets), "--target-dependents" in flags, tuple(replace))


def summarize_event(event: dict[str, Any]) -> dict[str, Any] | None:
    """Returns an engine event in the format of the recordings, None for one that they omit."""
    body = event.get("resourcePreEvent") or event.get("resOpFailedEvent")
    if body is None:
        return None
    metadata = body["metadata"]
    op = metadata["op"] if "resourcePreEvent" in event else f"failed:{metadata['op']}"
    summary = {"op": op, "urn": short_urn(metadata["urn"])}
    if "resourcePreEvent" in event and metadata["op"] != "refresh":
        summary |= {"diffs": sorted(metadata["diffs"])} if metadata.get("diffs") else {}
        summary |= {"replaceKeys": sorted(metadata["keys"])} if metadata.get("keys") else {}
    return summary


def short_urn(urn: str) -> str:
    return urn.split("::", 2)[2]


def checkpoint_resources(store: StateStore) -> list[dict[str, Any]]:
    """Returns the resources of the checkpoint in the format of the recordings: without times and provider ids."""
    document = json.loads(store.paths.checkpoint.read_bytes())
    resources = []
    for resource in document["deployment"]["resources"]:
        entry = {k: v for k, v in resource.items() if k not in ("created", "modified") and v is not False}
        if entry["type"].startswith("pulumi:providers:"):
            entry["id"] = "UUID"
        if "provider" in entry:
            entry["provider"] = entry["provider"].rpartition("::")[0] + "::UUID"
        resources.append(without_ciphertext(entry))
    return resources


def without_ciphertext(value: Any) -> Any:
    if isinstance(value, dict):
        if "ciphertext" in value:
            return "CIPHERTEXT"
        return {k: without_ciphertext(v) for k, v in value.items()}
    return [without_ciphertext(v) for v in value] if isinstance(value, list) else value
