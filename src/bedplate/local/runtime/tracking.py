"""Runs MLflow tracking servers: a local `mlflow server` process for each tracking server of the platform."""

from __future__ import annotations

import itertools
import shutil
import sys
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from bedplate.local.hooks import KindName, Record, Services
from bedplate.local.runtime.child_process import LOCALHOST, ChildProcess, find_free_port
from bedplate.local.runtime.environment import container_environment

KIND: KindName = "mlflow-tracking-server"
LOG_GROUP = "/aws/sagemaker/MlflowTrackingServers"
READY_TIMEOUT_S = 240.0
POLL_S = 0.2


def local_mlflow_command() -> list[str]:
    """Returns the command that starts MLflow's own server in this Python environment."""
    return [sys.executable, "-m", "mlflow", "server"]


class TrackingServers:
    """Runs the servers; their runs and artifacts are stored in `folder/<name>` and survive restarts."""

    def __init__(self, services: Services, command: Sequence[str], folder: Path) -> None:
        self._services = services
        self._command = command
        self._folder = folder
        self._lock = threading.Lock()
        self._running: dict[str, ChildProcess] = {}
        self._closed = threading.Event()

    def start(self, record: Record) -> None:
        """Starts a server; its status becomes Created once it is healthy, otherwise CreateFailed."""
        threading.Thread(target=self._start_server, args=(record["TrackingServerName"],), daemon=True).start()

    def delete(self, name: str) -> None:
        """Stops a server and deletes its runs, as SageMaker does."""
        with self._lock:
            child = self._running.pop(name, None)

        def stop_and_remove() -> None:
            if child is not None:
                child.stop(2.0)
            shutil.rmtree(self._folder / name, ignore_errors=True)

        threading.Thread(target=stop_and_remove, daemon=True).start()

    def restore(self) -> None:
        for record in self._services.records(KIND):
            self.start(record)

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            for child in self._running.values():
                child.kill()

    def _start_server(self, name: str) -> None:
        folder, port = self._folder / name, find_free_port()
        folder.mkdir(parents=True, exist_ok=True)
        url = f"http://{LOCALHOST}:{port}"
        options = {
            "--host": LOCALHOST,
            "--port": str(port),
            "--workers": "1",
            "--backend-store-uri": f"sqlite:///{folder / 'mlflow.db'}",
            "--artifacts-destination": str(folder / "artifacts"),
        }
        variables = {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        }
        child = ChildProcess(
            [*self._command, *itertools.chain.from_iterable(options.items())],
            env=container_environment(folder, variables, region=self._services.region, threads=1),
            cwd=folder,
            on_line=lambda line: self._services.put_log(LOG_GROUP, name, line),
        )
        with self._lock:
            self._running[name] = child
        if self._closed.is_set():
            child.kill()
            return
        if self._await_healthy(child, f"{url}/health"):
            self._services.update(
                KIND, name, TrackingServerStatus="Created", IsActive="Active", TrackingServerUrl=url, FailureReason=None
            )
        elif not self._closed.is_set():
            child.kill()
            self._services.update(KIND, name, TrackingServerStatus="CreateFailed", FailureReason=child.tail())

    def _await_healthy(self, child: ChildProcess, url: str) -> bool:
        for _ in range(int(READY_TIMEOUT_S / POLL_S)):
            try:
                with urllib.request.urlopen(url, timeout=5) as response:
                    return bool(response.status == 200)
            except OSError:
                if child.wait(POLL_S) is not None or self._closed.is_set():
                    return False
        return False
