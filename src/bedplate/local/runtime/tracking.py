"""MLflow tracking servers: a real `mlflow server` on this machine for each that the platform holds."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from bedplate.local.hooks import Kind, Record, Services
from bedplate.local.runtime.child_process import ChildProcess
from bedplate.local.runtime.environment import environment

KIND: Kind = "mlflow-tracking-server"
LOG_GROUP = "/aws/sagemaker/MlflowTrackingServers"
HOST = "127.0.0.1"
READY_TIMEOUT_S = 240.0
LOOK_S = 0.2


def mlflow_here() -> list[str]:
    """The command of the real thing."""
    return [sys.executable, "-m", "mlflow", "server"]


class TrackingServers:
    """Runs and artifacts lie in `tracking/<name>` of the platform's state, and outlive every start of the server."""

    def __init__(self, services: Services, command: Sequence[str], folder: Path) -> None:
        self._services = services
        self._command = command
        self._folder = folder
        self._lock = threading.Lock()
        self._running: dict[str, ChildProcess] = {}
        self._closed = threading.Event()

    def wanted(self, record: Record) -> None:
        """Start one; its status becomes Created once it answers, CreateFailed when it does not."""
        threading.Thread(target=self._begin, args=(record["TrackingServerName"],), daemon=True).start()

    def deleted(self, name: str) -> None:
        """Its runs go with it, as on SageMaker."""
        with self._lock:
            child = self._running.pop(name, None)

        def end() -> None:
            if child is not None:
                child.stop(2.0)
            shutil.rmtree(self._folder / name, ignore_errors=True)

        threading.Thread(target=end, daemon=True).start()

    def restore(self) -> None:
        for record in self._services.records(KIND):
            self.wanted(record)

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            for child in self._running.values():
                child.kill()

    def _begin(self, name: str) -> None:
        home, port = self._folder / name, _free_port()
        home.mkdir(parents=True, exist_ok=True)
        url = f"http://{HOST}:{port}"
        where = ["--host", HOST, "--port", str(port), "--workers", "1"]
        kept = [
            "--backend-store-uri",
            f"sqlite:///{home / 'mlflow.db'}",
            "--artifacts-destination",
            str(home / "artifacts"),
        ]
        quiet = {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        }
        child = ChildProcess(
            [*self._command, *where, *kept],
            env=environment(home, quiet, region=self._services.region, threads=1),
            cwd=home,
            on_line=lambda line: self._services.put_log(LOG_GROUP, name, line),
        )
        with self._lock:
            self._running[name] = child
        if self._closed.is_set():
            child.kill()
            return
        if self._answers(child, f"{url}/health"):
            self._services.update(
                KIND, name, TrackingServerStatus="Created", IsActive="Active", TrackingServerUrl=url, FailureReason=None
            )
        elif not self._closed.is_set():
            child.kill()
            self._services.update(KIND, name, TrackingServerStatus="CreateFailed", FailureReason=child.tail())

    def _answers(self, child: ChildProcess, url: str) -> bool:
        for _ in range(int(READY_TIMEOUT_S / LOOK_S)):
            try:
                with urllib.request.urlopen(url, timeout=5) as reply:
                    return bool(reply.status == 200)
            except OSError:
                if child.wait(LOOK_S) is not None or self._closed.is_set():
                    return False
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
