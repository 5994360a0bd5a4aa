"""Asks the real serving entry point, started for one model: does it keep its contract, and how long does it take."""

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
from bedplate.domain.evidence.inference_contract import JSON_LINES, CaseCheck, CaseResponse, cases, checks, jsonlines
from bedplate.domain.evidence.latency import Latency, Timings

if TYPE_CHECKING:
    import pyarrow as pa

    from bedplate.settings import DataContract, InferenceGate, LatencyGate

START_S = 120.0
ANSWER_S = 60.0
_EVERY_S = 0.02
_NOT_PASSED_ON = ("BEDPLATE_FALLBACK", "BEDPLATE_ANSWER_EDGES", "BEDPLATE_ENDPOINT")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""One thread a request, as the local platform serves: a careful figure for an instance with more."""


class ServingProbeError(Exception):
    """Why nothing could be asked: what the process said last."""


class Server:
    """`python -m bedplate.container serve` on a free port of this machine, over `root/model`; ends with the block."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._port = _free_port()
        self._log = root / "serve.log"
        kept = {key: value for key, value in environment.items() if key not in _NOT_PASSED_ON}
        own = {
            CONTAINER_ROOT: str(root),
            "SAGEMAKER_BIND_TO_PORT": str(self._port),
            "BEDPLATE_PARENT_PID": str(os.getpid()),
            **dict.fromkeys(_THREADS, "1"),
        }
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "bedplate.container", "serve"], env={**kept, **own}, stdout=log, stderr=log
            )
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_S)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._connection.close()
        self._child.kill()
        self._child.wait()

    def wait(self) -> None:
        """Until it answers `/ping`. Raises DoesNotServe."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                raise ServingProbeError(f"serve ended with code {self._child.returncode}: {self._last_line()}")
            try:
                if self._exchange("GET", "/ping", b"", {}).status == 200:
                    return
            except OSError:
                self._connection.close()
            time.sleep(_EVERY_S)
        raise ServingProbeError(f"serve does not answer /ping within {START_S:.0f} s: {self._last_line()}")

    def ask(self, body: bytes, content_type: str = JSON_LINES) -> CaseResponse:
        """One request. Raises DoesNotServe when the process is gone."""
        try:
            return self._exchange("POST", "/invocations", body, {"Content-Type": content_type})
        except (OSError, http.client.HTTPException) as exc:
            raise ServingProbeError(f"serve broke off ({exc!r}): {self._last_line()}") from exc

    def _exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> CaseResponse:
        self._connection.request(method, path, body or None, dict(headers))
        answer = self._connection.getresponse()
        return CaseResponse(answer.status, answer.getheader("content-type", "") or "", answer.read())

    def _last_line(self) -> str:
        said = [line for line in self._log.read_text("utf-8", "replace").splitlines() if line.strip()]
        return said[-1][:300] if said else "it said nothing"


def contract_kept(
    server: Server, contract: DataContract, table: pa.Table, gate: InferenceGate, *, probability: bool
) -> tuple[CaseCheck, ...]:
    """Every case of the inference contract, on rows spread over the table. Raises DoesNotServe."""
    asked = cases(contract, rows_of(table, contract, gate.rows))
    answers = [server.ask(case.body, case.content_type) for case in asked]
    return checks(asked, answers, probability=probability, tolerance=gate.same_within)


def latency(
    server: Server, contract: DataContract, table: pa.Table, gate: LatencyGate, clock: Callable[[], float]
) -> Latency:
    """Milliseconds from sending to having read, one request after another on one connection. Raises DoesNotServe."""
    rows = rows_of(table, contract, max(gate.batch_rows, 200))
    singles = [jsonlines([row]) for row in rows]
    batch = jsonlines((rows * (gate.batch_rows // len(rows) + 1))[: gate.batch_rows])

    def timed(body: bytes) -> float:
        started = clock()
        answer = server.ask(body)
        if answer.status != 200:
            raise ServingProbeError(f"serve answers {answer.status}: {answer.body[:200].decode('utf-8', 'replace')}")
        return 1000 * (clock() - started)

    for i in range(gate.warm_up):
        timed(singles[i % len(singles)])
    single = sorted(timed(singles[i % len(singles)]) for i in range(gate.requests))
    for _ in range(min(3, gate.warm_up)):
        timed(batch)
    batches = sorted(timed(batch) for _ in range(gate.batches))
    return Latency(
        Timings(1, tuple(round(ms, 4) for ms in single)),
        Timings(gate.batch_rows, tuple(round(ms, 4) for ms in batches)),
    )


def rows_of(table: pa.Table, contract: DataContract, count: int) -> list[dict[str, Any]]:
    """The features of `count` rows at equal distances, as a caller writes them: times as ISO 8601 text."""
    import numpy as np

    chosen = np.unique(np.linspace(0, table.num_rows - 1, min(count, table.num_rows)).astype(np.int64))
    rows = table.select(list(contract.features)).take(chosen).to_pylist()
    times = [name for name in contract.features if contract.columns[name].type == "timestamp"]
    return [{**row, **{name: _iso(row[name]) for name in times}} for row in rows]


def _iso(value: Any) -> Any:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(value, "strftime") else value


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
