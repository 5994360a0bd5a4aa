"""Plays a recorded step on the embedded engine, and notes down what the recordings note down."""

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
from golden.oracle.world import World, WorldProvider

HERE = Path(__file__).parent
RECORDINGS: dict[str, list[dict[str, Any]]] = {
    **json.loads((HERE / "recordings.json").read_text()),
    **json.loads((HERE / "more_recordings.json").read_text()),
    **json.loads((HERE / "own_recordings.json").read_text()),
    **json.loads((HERE / "further_recordings.json").read_text()),
}


@dataclass
class Played:
    ok: bool
    events: list[dict[str, Any]]
    summary: dict[str, int]
    errors: list[str]
    calls: list[list[str]]
    checkpoint: list[dict[str, Any]]
    pending: list[Any]


class Engine:
    """One stack `s` of project `oracle`, its world, and the program that reads its step from a file."""

    def __init__(
        self,
        folder: Path,
        world: World | None = None,
        *,
        fault: Callable[[str], None] = lambda point: None,
        prefix: str = "id",
    ) -> None:
        self.folder = folder
        self.world = world or World()
        self.fault = fault
        counter = itertools.count(1)
        seconds = itertools.count(1_700_000_000)
        self.chance = IdsAndClock(new_id=lambda: f"{prefix}-{next(counter)}", clock=lambda: float(next(seconds)))
        self.store = StateStore(
            folder / "state", "s", now=self.chance.now, version="3.272.0", before_write=lambda _: fault("before write")
        )
        if not self.store.exists():
            self.store.create()

    def run(
        self, step: dict[str, Any], send: Callable[[dict[str, Any]], None] | None = None, **options: Any
    ) -> DeploymentResult:
        self.world.change(step.get("world", {}))
        path = self.folder / "step.json"
        path.write_text(json.dumps(step))
        deployment = Deployment(
            self.store,
            project="oracle",
            program=Program(HERE, "program.py.txt"),
            configuration=Configuration(),
            factory=lambda package: WorldProvider(self.world, self.fault),
            chance=self.chance,
        )
        selection = selected(step.get("flags", ()))
        return deployment.run(
            step["op"],
            selection=selection,
            refresh_first="--refresh" in step.get("flags", ()),
            environment={"ORACLE_STEP": str(path)},
            send=send,
            **options,
        )

    def play(self, step: dict[str, Any]) -> Played:
        events: list[dict[str, Any]] = []
        self.world.calls.clear()
        outcome = self.run(step, events.append)
        return Played(
            ok=outcome.ok,
            events=[e for event in events if (e := brief(event)) is not None],
            summary=dict(outcome.counts),
            errors=list(outcome.errors),
            calls=[list(call) for call in self.world.calls],
            checkpoint=checkpoint(self.store),
            pending=json.loads(self.store.paths.checkpoint.read_bytes())["deployment"].get("pending_operations", []),
        )


def selected(flags: Sequence[str]) -> Selection:
    """The command line's flags as a selection."""
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


def brief(event: dict[str, Any]) -> dict[str, Any] | None:
    """An engine event as the recordings have it, or None for one that they leave out."""
    body = event.get("resourcePreEvent") or event.get("resOpFailedEvent")
    if body is None:
        return None
    metadata = body["metadata"]
    op = metadata["op"] if "resourcePreEvent" in event else f"failed:{metadata['op']}"
    short = {"op": op, "urn": short_urn(metadata["urn"])}
    if "resourcePreEvent" in event and metadata["op"] != "refresh":
        short |= {"diffs": sorted(metadata["diffs"])} if metadata.get("diffs") else {}
        short |= {"replaceKeys": sorted(metadata["keys"])} if metadata.get("keys") else {}
    return short


def short_urn(urn: str) -> str:
    return urn.split("::", 2)[2]


def checkpoint(store: StateStore) -> list[dict[str, Any]]:
    """Resources of the checkpoint without times, provider ids as the recordings write them."""
    document = json.loads(store.paths.checkpoint.read_bytes())
    result = []
    for resource in document["deployment"]["resources"]:
        kept = {k: v for k, v in resource.items() if k not in ("created", "modified") and v is not False}
        if kept["type"].startswith("pulumi:providers:"):
            kept["id"] = "UUID"
        if "provider" in kept:
            kept["provider"] = kept["provider"].rpartition("::")[0] + "::UUID"
        result.append(without_ciphertext(kept))
    return result


def without_ciphertext(value: Any) -> Any:
    if isinstance(value, dict):
        if "ciphertext" in value:
            return "CIPHERTEXT"
        return {k: without_ciphertext(v) for k, v in value.items()}
    return [without_ciphertext(v) for v in value] if isinstance(value, list) else value
