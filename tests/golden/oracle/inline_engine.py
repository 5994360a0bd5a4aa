"""Runs a step with the Pulumi CLI, with program and provider in this process, which takes one second a step."""

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
from golden.oracle.cli_engine import normalize_resource
from golden.oracle.embedded_engine import HERE, StepResult, summarize_event, without_ciphertext
from golden.oracle.fake_cloud import FakeCloud, FakeCloudProvider

_PASSPHRASE = "open sesame"


class InlineEngine:
    """Stack `s` of project `oracle`; `reset` empties it for the next scenario."""

    def __init__(self, folder: Path, cli: Path) -> None:
        import grpc
        from pulumi.automation._server import LanguageServer
        from pulumi.runtime.proto import language_pb2_grpc

        self.cloud = FakeCloud()
        self._folder = folder
        self._cli = cli
        self._step_file = folder / "step.json"
        self._provider = FakeCloudProvider(self.cloud)
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
        init = self._run("stack", "init", "s")
        assert init.returncode == 0, init.stderr
        self._checkpoint = folder / "backend" / ".pulumi" / "stacks" / "oracle" / "s.json"
        self._empty_checkpoint = self._checkpoint.read_bytes()

    def reset(self) -> None:
        self.cloud.resources.clear()
        self.cloud.create_counts.clear()
        self._checkpoint.write_bytes(self._empty_checkpoint)
        shutil.rmtree(self._folder / "backend" / ".pulumi" / "locks", ignore_errors=True)

    def close(self) -> None:
        self._host.stop(None)
        self._plugin.stop(None)

    def checkpoint(self) -> list[dict[str, Any]]:
        return [
            without_ciphertext(normalize_resource(resource)) for resource in self._deployment().get("resources") or ()
        ]

    def play(self, step: dict[str, Any]) -> StepResult:
        self.cloud.apply_changes(step.get("world", {}))
        self.cloud.calls.clear()
        self._step_file.write_text(json.dumps(step))
        log = self._folder / "events"
        log.unlink(missing_ok=True)
        confirmation = () if step["op"] == "preview" else ("--yes", "--skip-preview")
        language_host = (
            () if step["op"] in ("refresh", "destroy") else (f"--client={self._client}", "--exec-kind", "auto.inline")
        )
        arguments = (
            step["op"],
            *confirmation,
            *step.get("flags", ()),
            *language_host,
            "--stack",
            "s",
            "--event-log",
            str(log),
        )
        process = self._run(*arguments)
        events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        diagnostics = [event["diagnosticEvent"] for event in events if "diagnosticEvent" in event]
        summaries = [event["summaryEvent"] for event in events if "summaryEvent" in event]
        self.output = process.stdout + process.stderr
        return StepResult(
            ok=process.returncode == 0,
            events=[short for event in events if (short := summarize_event(event)) is not None],
            summary=(summaries[-1]["resourceChanges"] or {}) if summaries else {},
            errors=_error_messages(item["message"].strip() for item in diagnostics if item["severity"] == "error"),
            calls=[list(call) for call in self.cloud.calls],
            checkpoint=self.checkpoint(),
            pending=self._deployment().get("pending_operations") or [],
        )

    def _program(self) -> None:
        os.environ["ORACLE_STEP"] = str(self._step_file)
        runpy.run_path(str(HERE / "program.py.txt"), run_name="__main__")

    def _deployment(self) -> dict[str, Any]:
        latest: dict[str, Any] = json.loads(self._checkpoint.read_bytes())["checkpoint"]["latest"]
        return latest or {}

    def _run(self, *args: str) -> subprocess.CompletedProcess[str]:
        words = [str(self._cli), "--non-interactive", *args]
        return subprocess.run(
            words, cwd=self._folder, env=self._environment, capture_output=True, text=True, check=False, timeout=120
        )


def _error_messages(messages: Iterable[str]) -> list[str]:
    """Returns error messages in the words of the CLI's own language host, which reports an exception once."""
    inline = "python inline source runtime error: "
    remaining = [message for message in messages if not message.startswith("an unhandled error occurred: ")]
    return [
        "Program failed with an unhandled exception:\n" + message.removeprefix(inline).partition("\n")[2]
        if message.startswith(inline)
        else message
        for message in remaining
    ]
