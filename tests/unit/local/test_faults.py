from __future__ import annotations

import threading
from typing import Any

import pytest

from bedplate.errors import UsageError
from bedplate.local.faults import Fault, Faults


def test_fault_strikes_as_often_as_it_says_after_those_that_pass() -> None:
    held = Faults()
    held.add(Fault("s3:PutObject", "error", times=2, skip=1))
    assert [held.strike("s3:PutObject", b"") for _ in range(5)] == [None, "error", "error", None, None]
    assert (held.list()[0]["seen"], held.list()[0]["struck"]) == (5, 2)


def test_other_operations_and_requests_without_the_text_pass() -> None:
    held = Faults()
    held.add(Fault("s3:PutObject", "lost", match="/ledger/"))
    assert held.strike("s3:GetObject", b"/ledger/1.json") is None
    assert held.strike("s3:PutObject", b"/data/1.json") is None
    assert held.strike("s3:PutObject", b"/ledger/1.json") == "lost"


def test_cleared_faults_strike_no_more_and_let_go_of_what_they_hold() -> None:
    held = Faults()
    held.add(Fault("s3:PutObject", "hold"))
    waiting = threading.Thread(target=held.hold)
    waiting.start()
    while waiting.is_alive():
        held.clear()
        waiting.join(0.01)
    assert held.strike("s3:PutObject", b"") is None


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"operation": "UpdateEndpoint", "kind": "lost"},
        {"operation": "sagemaker:UpdateEndpoint", "kind": "explode"},
        {"operation": "sagemaker:UpdateEndpoint", "kind": "lost", "times": 0},
        {"operation": "sagemaker:UpdateEndpoint", "kind": "lost", "skip": "1"},
    ],
)
def test_what_is_no_fault_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected, found"):
        Fault.parse(told)
