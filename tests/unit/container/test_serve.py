"""`python -m bedplate.container serve` listens on its port and ends with its parent."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest


def start(root: Path, **environment: str) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    child = subprocess.Popen(
        [sys.executable, "-m", "bedplate.container", "serve"],
        env={**os.environ, "BEDPLATE_CONTAINER_ROOT": str(root), "SAGEMAKER_BIND_TO_PORT": str(port), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return child, port


def ping(port: int, child: subprocess.Popen[bytes]) -> int:
    """Returns the status of the first response to `/ping`; retries while the process runs."""
    while child.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status
        except ConnectionRefusedError:
            threading.Event().wait(0.02)
        finally:
            connection.close()
    raise AssertionError(child.communicate()[1].decode())


def test_process_serves_and_ends_on_sigterm(tmp_path):
    child, port = start(tmp_path, BEDPLATE_FALLBACK="0.2")
    try:
        assert ping(port, child) == 200
    finally:
        child.terminate()
        child.communicate(timeout=20)
    assert child.returncode in (0, -15)


def test_process_ends_with_its_configured_parent(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    child, port = start(tmp_path, BEDPLATE_FALLBACK="0.2", BEDPLATE_PARENT_PID=str(parent.pid))
    try:
        assert ping(port, child) == 200
        assert parent.stdin is not None
        parent.stdin.close()
        parent.wait(timeout=20)
        child.communicate(timeout=20)
        assert child.returncode == 0
    finally:
        child.kill()
        parent.kill()
        child.communicate()
        parent.wait()


@pytest.mark.parametrize(("fallback", "reason"), [("a", "could not convert"), ("", "contract.json")])
def test_process_that_cannot_serve_fails_with_the_reason(tmp_path, fallback, reason):
    child, _ = start(tmp_path, BEDPLATE_FALLBACK=fallback)
    _, stderr = child.communicate(timeout=60)
    assert child.returncode == 1
    assert stderr.decode().startswith("cannot serve: ")
    assert reason in stderr.decode()


def test_unknown_verb_is_a_usage_error():
    process = subprocess.run([sys.executable, "-m", "bedplate.container", "dance"], capture_output=True, text=True)
    assert process.returncode == 2
    assert "train|serve|monitor|evaluate" in process.stderr
