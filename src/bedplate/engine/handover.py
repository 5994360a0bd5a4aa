"""Which engine keeps a local stack's state: the one that was asked last takes it over from the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from bedplate.engine.pulumi_cli import Places
from bedplate.engine.store import Paths

Engine = Literal["embedded", "pulumi"]


class Handover:
    """One local stack's two states, of which one is current: `<stack>.engine` says whose."""

    def __init__(self, state_dir: Path, project: str, stack: str) -> None:
        self._marker = state_dir / f"{stack}.engine"
        self._files: dict[Engine, Path] = {
            "embedded": Paths.of(state_dir, stack).checkpoint,
            "pulumi": Places(state_dir.resolve()).checkpoint(project, stack),
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
        document = json.loads(self._files[keeper].read_bytes())
        deployment = document["deployment"] if keeper == "embedded" else document["checkpoint"]["latest"]
        return {"version": document["version"], "deployment": deployment or {}}

    def taken(self, engine: Engine) -> None:
        """From now on the state is this engine's."""
        if self.keeper() == engine:
            return
        self._marker.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._marker.with_suffix(".engine.tmp")
        temporary.write_text(engine + "\n", encoding="utf-8")
        temporary.replace(self._marker)
