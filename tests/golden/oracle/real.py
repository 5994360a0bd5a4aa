"""Plays a recorded step by the Pulumi CLI, with the recordings' provider served by our plugin."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bedplate.engine.automation.launcher import write_launcher
from golden.oracle import plugin
from golden.oracle.runs import HERE, Played, brief, without_ciphertext
from golden.oracle.world import World

_LEFT_OUT = {"created", "modified", "sourcePosition", "stackTrace"}


class RealEngine:
    """Stack `s` of project `oracle` in a folder of its own, with its backend, its home and its plugin."""

    def __init__(self, folder: Path, cli: Path) -> None:
        self._folder = folder
        self._cli = cli
        options = f"  options:\n    toolchain: pip\n    virtualenv: {json.dumps(sys.prefix)}\n"
        (folder / "Pulumi.yaml").write_text(f"name: oracle\nruntime:\n  name: python\n{options}")
        shutil.copy(HERE / "program.py.txt", folder / "__main__.py")
        (folder / "backend").mkdir()
        launcher = write_launcher(folder / "plugins", "test", provider="golden.oracle.plugin:make", version="1.0.0")
        self._environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(launcher.parent), str(cli.parent), os.environ["PATH"]]),
            "PYTHONPATH": str(HERE.parents[1]),
            "PYTHONWARNINGS": "default",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": (folder / "backend").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "open sesame",
            "PULUMI_DEBUG_COMMANDS": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "ORACLE_STEP": str(folder / "step.json"),
            plugin.WORLD_VARIABLE: str(folder / "world.json"),
        }
        made = self._run("stack", "init", "s")
        assert made.returncode == 0, made.stderr

    @property
    def world(self) -> World:
        return plugin.load(self._folder / "world.json")

    def checkpoint(self) -> list[dict[str, Any]]:
        """The resources as the recordings have them: without times and places, and without what is empty."""
        return [without_ciphertext(as_recorded(resource)) for resource in self._deployment().get("resources") or ()]

    def play(self, step: dict[str, Any]) -> Played:
        world = self.world
        world.change(step.get("world", {}))
        world.calls.clear()
        plugin.save(self._folder / "world.json", world)
        (self._folder / "step.json").write_text(json.dumps(step))
        log = self._folder / "events"
        log.unlink(missing_ok=True)
        yes = () if step["op"] == "preview" else ("--yes", "--skip-preview")
        flags = step.get("flags", ())
        done = self._run(step["op"], *yes, *flags, "--stack", "s", "--event-log", str(log))
        events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        told = [event["diagnosticEvent"] for event in events if "diagnosticEvent" in event]
        summaries = [event["summaryEvent"] for event in events if "summaryEvent" in event]
        return Played(
            ok=done.returncode == 0,
            events=[short for event in events if (short := brief(event)) is not None],
            summary=(summaries[-1]["resourceChanges"] or {}) if summaries else {},
            errors=[each["message"].strip() for each in told if each["severity"] == "error"],
            calls=self.world.calls,
            checkpoint=self.checkpoint(),
            pending=self._deployment().get("pending_operations") or [],
        )

    def _deployment(self) -> dict[str, Any]:
        deployment: dict[str, Any] = json.loads(self._run("stack", "export", "--stack", "s").stdout)["deployment"]
        return deployment

    def _run(self, *args: str) -> subprocess.CompletedProcess[str]:
        words = [str(self._cli), "--non-interactive", *args]
        return subprocess.run(
            words, cwd=self._folder, env=self._environment, capture_output=True, text=True, check=False, timeout=120
        )


def as_recorded(resource: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in resource.items() if value and key not in _LEFT_OUT}
    if kept["type"].startswith("pulumi:providers:"):
        kept["id"] = "UUID"
    if "provider" in kept:
        kept["provider"] = kept["provider"].rpartition("::")[0] + "::UUID"
    return kept
