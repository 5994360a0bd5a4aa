"""Runs a recorded step with the Pulumi CLI, with the fake cloud's provider served by our plugin."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bedplate.engine.automation.launcher import write_launcher
from golden.oracle import fake_cloud_plugin
from golden.oracle.embedded_engine import HERE, StepResult, summarize_event, without_ciphertext
from golden.oracle.fake_cloud import FakeCloud

_OMITTED_KEYS = {"created", "modified", "sourcePosition", "stackTrace"}


class CliEngine:
    """Stack `s` of project `oracle` in a folder with its own backend, home and plugin."""

    def __init__(self, folder: Path, cli: Path) -> None:
        self._folder = folder
        self._cli = cli
        options = f"  options:\n    toolchain: pip\n    virtualenv: {json.dumps(sys.prefix)}\n"
        (folder / "Pulumi.yaml").write_text(f"name: oracle\nruntime:\n  name: python\n{options}")
        shutil.copy(HERE / "program.py.txt", folder / "__main__.py")
        (folder / "backend").mkdir()
        launcher = write_launcher(
            folder / "plugins", "test", provider="golden.oracle.fake_cloud_plugin:build_provider", version="1.0.0"
        )
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
            fake_cloud_plugin.CLOUD_VARIABLE: str(folder / "cloud.json"),
        }
        init = self._run("stack", "init", "s")
        assert init.returncode == 0, init.stderr

    @property
    def cloud(self) -> FakeCloud:
        return fake_cloud_plugin.load_cloud(self._folder / "cloud.json")

    def checkpoint(self) -> list[dict[str, Any]]:
        """Returns the resources in the format of the recordings: without times, source positions and empty values."""
        return [
            without_ciphertext(normalize_resource(resource)) for resource in self._deployment().get("resources") or ()
        ]

    def play(self, step: dict[str, Any]) -> StepResult:
        cloud = self.cloud
        cloud.apply_changes(step.get("world", {}))
        cloud.calls.clear()
        fake_cloud_plugin.save_cloud(self._folder / "cloud.json", cloud)
        (self._folder / "step.json").write_text(json.dumps(step))
        log = self._folder / "events"
        log.unlink(missing_ok=True)
        confirmation = () if step["op"] == "preview" else ("--yes", "--skip-preview")
        flags = step.get("flags", ())
        process = self._run(step["op"], *confirmation, *flags, "--stack", "s", "--event-log", str(log))
        events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        diagnostics = [event["diagnosticEvent"] for event in events if "diagnosticEvent" in event]
        summaries = [event["summaryEvent"] for event in events if "summaryEvent" in event]
        return StepResult(
            ok=process.returncode == 0,
            events=[short for event in events if (short := summarize_event(event)) is not None],
            summary=(summaries[-1]["resourceChanges"] or {}) if summaries else {},
            errors=[item["message"].strip() for item in diagnostics if item["severity"] == "error"],
            calls=self.cloud.calls,
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


def normalize_resource(resource: dict[str, Any]) -> dict[str, Any]:
    entry = {key: value for key, value in resource.items() if value and key not in _OMITTED_KEYS}
    if entry["type"].startswith("pulumi:providers:"):
        entry["id"] = "UUID"
    if "provider" in entry:
        entry["provider"] = entry["provider"].rpartition("::")[0] + "::UUID"
    return entry
