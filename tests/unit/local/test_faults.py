"""Injected faults: how they are matched, counted and cleared."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from bedplate.errors import UsageError
from bedplate.local.faults import Fault, Faults


def test_fault_skips_the_first_calls_then_fails_the_next_ones() -> None:
    faults = Faults()
    faults.add(Fault("s3:PutObject", "error", times=2, skip=1))
    assert [faults.inject("s3:PutObject", b"") for _ in range(5)] == [None, "error", "error", None, None]
    assert (faults.list()[0]["matched"], faults.list()[0]["injected"]) == (5, 2)


def test_other_operations_and_requests_without_the_text_succeed() -> None:
    faults = Faults()
    faults.add(Fault("s3:PutObject", "lost", match="/ledger/"))
    assert faults.inject("s3:GetObject", b"/ledger/1.json") is None
    assert faults.inject("s3:PutObject", b"/data/1.json") is None
    assert faults.inject("s3:PutObject", b"/ledger/1.json") == "lost"


def test_clear_removes_faults_and_releases_waiting_responses() -> None:
    faults = Faults()
    faults.add(Fault("s3:PutObject", "hold"))
    waiting = threading.Thread(target=faults.wait_until_cleared)
    waiting.start()
    while waiting.is_alive():
        faults.clear()
        waiting.join(0.01)
    assert faults.inject("s3:PutObject", b"") is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"operation": "UpdateEndpoint", "kind": "lost"},
        {"operation": "sagemaker:UpdateEndpoint", "kind": "explode"},
        {"operation": "sagemaker:UpdateEndpoint", "kind": "lost", "times": 0},
        {"operation": "sagemaker:UpdateEndpoint", "kind": "lost", "skip": "1"},
    ],
)
def test_an_invalid_fault_is_rejected(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"Expected .*, found"):
        Fault.parse(fields)
