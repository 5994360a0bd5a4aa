"""Moves a local stack's state between the embedded engine and the Pulumi CLI when the other engine is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from bedplate.engine.atomic_file import write_atomically
from bedplate.engine.automation.plugin import derive_intent
from bedplate.engine.automation.pulumi_cli import EngineDirectories
from bedplate.engine.state.store import INTENT_KEY, StateFiles, read_checkpoint

Engine = Literal["embedded", "pulumi"]


class EngineMigration:
    """One local stack's two states; `<stack>.active-engine` names the engine whose state is current."""

    def __init__(self, state_dir: Path, project: str, stack: str) -> None:
        self._marker_file = state_dir / f"{stack}.active-engine"
        self._paths = StateFiles.of(state_dir, stack)
        self._files: dict[Engine, Path] = {
            "embedded": self._paths.checkpoint,
            "pulumi": EngineDirectories(state_dir.resolve()).checkpoint(project, stack),
        }

    def active_engine(self) -> Engine:
        """Returns the engine whose state is current, the embedded one by default."""
        try:
            return "pulumi" if self._marker_file.read_text(encoding="utf-8").strip() == "pulumi" else "embedded"
        except FileNotFoundError:
            return "embedded"

    def state_to_migrate(self, engine: Engine) -> dict[str, Any] | None:
        """Returns the other engine's state for `stack import`; None if `engine` is active or there is no state."""
        active = self.active_engine()
        if active == engine or not self._files[active].exists():
            return None
        if active == "embedded":
            checkpoint = read_checkpoint(self._paths)
            return {"version": checkpoint["version"], "deployment": checkpoint["deployment"]}
        version, deployment = self._read_pulumi_state()
        return {"version": version, "deployment": _add_intents(deployment)}

    def interrupted_urns(self) -> tuple[str, ...]:
        """Returns the URNs of the pending operations that a killed Pulumi CLI left; empty if it is not active."""
        if self.active_engine() != "pulumi" or not self._files["pulumi"].exists():
            return ()
        pending = self._read_pulumi_state()[1].get("pending_operations") or ()
        return tuple(operation["resource"]["urn"] for operation in pending)

    def _read_pulumi_state(self) -> tuple[int, dict[str, Any]]:
        document = json.loads(self._files["pulumi"].read_bytes())
        return document["version"], document["checkpoint"].get("latest") or {}

    def set_active_engine(self, engine: Engine) -> None:
        """Makes the state of `engine` the current one."""
        if self.active_engine() != engine:
            write_atomically(self._marker_file, f"{engine}\n".encode())


def _add_intents(deployment: dict[str, Any]) -> dict[str, Any]:
    """Adds to the CLI's pending operations the intents of our plugin, by which the embedded engine finds resources."""
    ids = {r["urn"]: r.get("id", "") for r in deployment.get("resources") or () if not r.get("delete")}
    pending = []
    for operation in deployment.get("pending_operations") or ():
        urn = operation["resource"]["urn"]
        pending.append({**operation, INTENT_KEY: derive_intent(urn, ids.get(urn, ""))})
    return {**deployment, "pending_operations": pending} if pending else deployment
