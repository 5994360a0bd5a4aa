"""Starts the serving entry point for one model, checks its inference contract and measures its latency."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bedplate.container.paths import CONTAINER_ROOT
from bedplate.domain.evidence.inference_contract import (
    JSON_LINES,
    CaseCheck,
    CaseResponse,
    build_cases,
    check_responses,
    encode_jsonlines,
)
from bedplate.domain.evidence.latency import Latency, Timings

if TYPE_CHECKING:
    import pyarrow as pa

    from bedplate.settings import DataContract, InferenceGate, LatencyGate

START_TIMEOUT_S = 120.0
RESPONSE_TIMEOUT_S = 60.0
_POLL_S = 0.02
_DROPPED = ("BEDPLATE_FALLBACK", "BEDPLATE_PREDICTION_EDGES", "BEDPLATE_ENDPOINT")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Set to one thread per request, as on the local platform; instances with more threads are not slower."""


class ServingProbeError(Exception):
    """The server did not start, stopped or returned an error; the message has the last line of its log."""


class Server:
    """Context manager that runs `python -m bedplate.container serve` for `root/model` on a free local port."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._port = _free_port()
        self._log = root / "serve.log"
        inherited = {key: value for key, value in environment.items() if key not in _DROPPED}
        container = {
            CONTAINER_ROOT: str(root),
            "SAGEMAKER_BIND_TO_PORT": str(self._port),
            "BEDPLATE_PARENT_PID": str(os.getpid()),
            **dict.fromkeys(_THREADS, "1"),
        }
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "bedplate.container", "serve"]
            self._process = subprocess.Popen(command, env={**inherited, **container}, stdout=log, stderr=log)
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=RESPONSE_TIMEOUT_S)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def wait_until_ready(self) -> None:
        """Returns once `/ping` has status 200. Raises ServingProbeError."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServingProbeError(f"serve exited with code {self._process.returncode}: {self._last_line()}")
            try:
                if self._request("GET", "/ping", b"", {}).status == 200:
                    return
            except OSError:
                self._connection.close()
            time.sleep(_POLL_S)
        raise ServingProbeError(f"serve is not ready after {START_TIMEOUT_S:.0f} s: {self._last_line()}")

    def invoke(self, body: bytes, content_type: str = JSON_LINES) -> CaseResponse:
        """Sends one request and returns the response. Raises ServingProbeError when the connection fails."""
        try:
            return self._request("POST", "/invocations", body, {"Content-Type": content_type})
        except (OSError, http.client.HTTPException) as exc:
            raise ServingProbeError(f"serve closed the connection ({exc!r}): {self._last_line()}") from exc

    def _request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> CaseResponse:
        self._connection.request(method, path, body or None, dict(headers))
        response = self._connection.getresponse()
        return CaseResponse(response.status, response.getheader("content-type", "") or "", response.read())

    def _last_line(self) -> str:
        lines = [line for line in self._log.read_text("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1][:300] if lines else "its log is empty"


def check_contract(
    server: Server, contract: DataContract, table: pa.Table, gate: InferenceGate, *, probability: bool
) -> tuple[CaseCheck, ...]:
    """Checks every case of the inference contract on rows spread over the table. Raises ServingProbeError."""
    cases = build_cases(contract, sample_rows(table, contract, gate.rows))
    responses = [server.invoke(case.body, case.content_type) for case in cases]
    return check_responses(cases, responses, probability=probability, tolerance=gate.tolerance)


def measure_latency(
    server: Server, contract: DataContract, table: pa.Table, gate: LatencyGate, clock: Callable[[], float]
) -> Latency:
    """Measures sequential requests on one connection, in milliseconds from sending a request to reading its response.

    Raises ServingProbeError.
    """
    rows = sample_rows(table, contract, max(gate.batch_rows, 200))
    singles = [encode_jsonlines([row]) for row in rows]
    batch = encode_jsonlines((rows * (gate.batch_rows // len(rows) + 1))[: gate.batch_rows])

    def measure_ms(body: bytes) -> float:
        started = clock()
        response = server.invoke(body)
        if response.status != 200:
            message = response.body[:200].decode("utf-8", "replace")
            raise ServingProbeError(f"serve returned status {response.status}: {message}")
        return 1000 * (clock() - started)

    for i in range(gate.warm_up):
        measure_ms(singles[i % len(singles)])
    single = sorted(measure_ms(singles[i % len(singles)]) for i in range(gate.requests))
    for _ in range(min(3, gate.warm_up)):
        measure_ms(batch)
    batches = sorted(measure_ms(batch) for _ in range(gate.batches))
    return Latency(
        Timings(1, tuple(round(ms, 4) for ms in single)),
        Timings(gate.batch_rows, tuple(round(ms, 4) for ms in batches)),
    )


def sample_rows(table: pa.Table, contract: DataContract, count: int) -> list[dict[str, Any]]:
    """Returns the features of `count` evenly spaced rows as a client sends them, with times as ISO 8601 text."""
    import numpy as np

    indices = np.unique(np.linspace(0, table.num_rows - 1, min(count, table.num_rows)).astype(np.int64))
    rows = table.select(list(contract.features)).take(indices).to_pylist()
    time_columns = [name for name in contract.features if contract.columns[name].type == "timestamp"]
    return [{**row, **{name: _format_time(row[name]) for name in time_columns}} for row in rows]


def _format_time(value: Any) -> Any:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(value, "strftime") else value


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
