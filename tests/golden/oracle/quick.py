"""The Pulumi CLI with program and provider in this process: a step costs a second, so that many can be played."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bedplate.engine.automation import plugin
from golden.oracle.real import as_recorded
from golden.oracle.runs import HERE, Played, brief, without_ciphertext
from golden.oracle.world import World, WorldProvider

_PASSPHRASE = "open sesame"


class QuickEngine:
    """Stack `s` of project `oracle`; `begin` takes it back to nothing, so that one CLI serves many scenarios."""

    def __init__(self, folder: Path, cli: Path) -> None:
        import grpc
        from pulumi.automation._server import LanguageServer
        from pulumi.runtime.proto import language_pb2_grpc

        self.world = World()
        self._folder = folder
        self._cli = cli
        self._step = folder / "step.json"
        self._provider = WorldProvider(self.world)
        self._plugin, port = plugin.serve(self._provider, package="test", version="1.0.0")
        self._host = grpc.server(ThreadPoolExecutor(4))
        language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageServer(self._program), self._host)
        self._client = f"127.0.0.1:{self._host.add_insecure_port('127.0.0.1:0')}"
        self._host.start()
        options = f"  options:\n    toolchain: pip\n    virtualenv: {json.dumps(sys.prefix)}\n"
        (folder / "Pulumi.yaml").write_text(f"name: oracle\nruntime:\n  name: python\n{options}")
        (folder / "backend").mkdir()
        self._environment = {
            **os.environ,
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": (folder / "backend").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": _PASSPHRASE,
            "PULUMI_DEBUG_COMMANDS": "true",
            "PULUMI_DEBUG_PROVIDERS": f"test:{port}",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        made = self._run("stack", "init", "s")
        assert made.returncode == 0, made.stderr
        self._checkpoint = folder / "backend" / ".pulumi" / "stacks" / "oracle" / "s.json"
        self._empty = self._checkpoint.read_bytes()

    def begin(self) -> None:
        self.world.things.clear()
        self.world.made.clear()
        self._checkpoint.write_bytes(self._empty)
        shutil.rmtree(self._folder / "backend" / ".pulumi" / "locks", ignore_errors=True)

    def close(self) -> None:
        self._host.stop(None)
        self._plugin.stop(None)

    def checkpoint(self) -> list[dict[str, Any]]:
        return [without_ciphertext(as_recorded(each)) for each in self._deployment().get("resources") or ()]

    def play(self, step: dict[str, Any]) -> Played:
        self.world.change(step.get("world", {}))
        self.world.calls.clear()
        self._step.write_text(json.dumps(step))
        log = self._folder / "events"
        log.unlink(missing_ok=True)
        yes = () if step["op"] == "preview" else ("--yes", "--skip-preview")
        kind = (
            () if step["op"] in ("refresh", "destroy") else (f"--client={self._client}", "--exec-kind", "auto.inline")
        )
        words = (step["op"], *yes, *step.get("flags", ()), *kind, "--stack", "s", "--event-log", str(log))
        done = self._run(*words)
        events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        told = [event["diagnosticEvent"] for event in events if "diagnosticEvent" in event]
        summaries = [event["summaryEvent"] for event in events if "summaryEvent" in event]
        self.output = done.stdout + done.stderr
        return Played(
            ok=done.returncode == 0,
            events=[short for event in events if (short := brief(event)) is not None],
            summary=(summaries[-1]["resourceChanges"] or {}) if summaries else {},
            errors=_errors(each["message"].strip() for each in told if each["severity"] == "error"),
            calls=[list(call) for call in self.world.calls],
            checkpoint=self.checkpoint(),
            pending=self._deployment().get("pending_operations") or [],
        )

    def _program(self) -> None:
        os.environ["ORACLE_STEP"] = str(self._step)
        runpy.run_path(str(HERE / "program.py.txt"), run_name="__main__")

    def _deployment(self) -> dict[str, Any]:
        latest: dict[str, Any] = json.loads(self._checkpoint.read_bytes())["checkpoint"]["latest"]
        return latest or {}

    def _run(self, *args: str) -> subprocess.CompletedProcess[str]:
        words = [str(self._cli), "--non-interactive", *args]
        return subprocess.run(
            words, cwd=self._folder, env=self._environment, capture_output=True, text=True, check=False, timeout=120
        )


def _errors(messages: Iterable[str]) -> list[str]:
    """As the CLI's own language host tells them: an exception of the program once, under its words."""
    inline = "python inline source runtime error: "
    told = [message for message in messages if not message.startswith("an unhandled error occurred: ")]
    return [
        "Program failed with an unhandled exception:\n" + message.removeprefix(inline).partition("\n")[2]
        if message.startswith(inline)
        else message
        for message in told
    ]
