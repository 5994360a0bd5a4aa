"""Which engine keeps a local stack's state: the one that was asked last takes it over from the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from bedplate.engine.automation.plugin import intent_of
from bedplate.engine.automation.pulumi_cli import EngineDirectories
from bedplate.engine.state.store import INTENT_KEY, StateFiles, document

Engine = Literal["embedded", "pulumi"]


class EngineMigration:
    """One local stack's two states, of which one is current: `<stack>.engine` says whose."""

    def __init__(self, state_dir: Path, project: str, stack: str) -> None:
        self._marker = state_dir / f"{stack}.engine"
        self._paths = StateFiles.of(state_dir, stack)
        self._files: dict[Engine, Path] = {
            "embedded": self._paths.checkpoint,
            "pulumi": EngineDirectories(state_dir.resolve()).checkpoint(project, stack),
        }

    def keeper(self) -> Engine:
        try:
            return "pulumi" if self._marker.read_text(encoding="utf-8").strip() == "pulumi" else "embedded"
        except FileNotFoundError:
            return "embedded"

    def due(self, engine: Engine) -> dict[str, Any] | None:
        """The other engine's state, as `stack import` takes it, when it is the other that keeps the stack."""
        keeper = self.keeper()
        if keeper == engine or not self._files[keeper].exists():
            return None
        if keeper == "embedded":
            held = document(self._paths)
            return {"version": held["version"], "deployment": held["deployment"]}
        version, deployment = self._pulumis()
        return {"version": version, "deployment": _with_intents(deployment)}

    def interrupted(self) -> tuple[str, ...]:
        """URNs of what the CLI was at when it was killed, while it kept the state."""
        if self.keeper() != "pulumi" or not self._files["pulumi"].exists():
            return ()
        pending = self._pulumis()[1].get("pending_operations") or ()
        return tuple(operation["resource"]["urn"] for operation in pending)

    def _pulumis(self) -> tuple[int, dict[str, Any]]:
        document = json.loads(self._files["pulumi"].read_bytes())
        return document["version"], document["checkpoint"].get("latest") or {}

    def taken(self, engine: Engine) -> None:
        """From now on the state is this engine's."""
        if self.keeper() == engine:
            return
        self._marker.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._marker.with_suffix(".engine.tmp")
        temporary.write_text(engine + "\n", encoding="utf-8")
        temporary.replace(self._marker)


def _with_intents(deployment: dict[str, Any]) -> dict[str, Any]:
    """The CLI's interrupted creates, with what our plugin tagged them with: so the embedded engine finds them."""
    ids = {r["urn"]: r.get("id", "") for r in deployment.get("resources") or () if not r.get("delete")}
    pending = [
        {**operation, INTENT_KEY: intent_of(operation["resource"]["urn"], ids.get(operation["resource"]["urn"], ""))}
        for operation in deployment.get("pending_operations") or ()
    ]
    return {**deployment, "pending_operations": pending} if pending else deployment
