"""customTimeouts are parsed, stored in the state, and limit the waiting of a provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bedplate.engine.protocol import OperationRejected
from bedplate.engine.provider.clients import AwsClients
from bedplate.engine.timeouts import operation_timeout, operation_timeout_s, parse_duration_s
from bedplate.errors import UsageError
from golden.oracle.embedded_engine import EmbeddedEngine, checkpoint_resources

pytestmark = pytest.mark.filterwarnings("ignore:.*step.json")


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "5d", "-1s"])
def test_an_invalid_duration_is_rejected_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="as in 5m or 1h30m"):
        parse_duration_s(text)


def test_an_operation_timeout_applies_inside_its_body_only() -> None:
    with operation_timeout(2.5):
        assert operation_timeout_s(300) == 2.5
    with operation_timeout(None):
        assert operation_timeout_s(300) == 300
    assert operation_timeout_s(300) == 300


def test_each_operation_has_its_own_timeout(tmp_path: Path) -> None:
    limits: dict[str, float] = {}
    engine = EmbeddedEngine(tmp_path, fault=lambda point: limits.setdefault(point, operation_timeout_s(300)) and None)

    def run(**props: Any) -> None:
        timeouts = {"create": "5s", "update": "1m30s"}
        resource = {"name": "a", "props": props, "opts": {"custom_timeouts": timeouts}}
        assert engine.run({"op": "up", "resources": [resource]}).ok

    run(x=1)
    run(x=2)
    assert {"create": 5, "update": 90} in [
        resource.get("customTimeouts") for resource in checkpoint_resources(engine.store)
    ]
    assert engine.run({"op": "destroy", "resources": []}).ok
    assert (limits["before create a"], limits["before update a-1"], limits["before delete a-1"]) == (5, 90, 300)


def test_a_waiting_provider_fails_after_the_timeout() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    cloud = AwsClients("http://127.0.0.1:1", "us-east-1", sleep=sleep, clock=lambda: now[0])
    with operation_timeout(7), pytest.raises(OperationRejected, match="the moon took longer than 7 s"):
        cloud.wait_until("the moon", lambda: False)
    assert 7 <= now[0] < 10
