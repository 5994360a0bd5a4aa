"""customTimeouts: read as durations, kept in the state, and what a provider's waiting is held to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bedplate.engine.protocol import OperationRejected
from bedplate.engine.provider.cloud import Cloud
from bedplate.engine.timeouts import duration_s, limit_s, limited
from bedplate.errors import UsageError
from golden.oracle.runs import Engine, checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:.*step.json")


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "5d", "-1s"])
def test_what_is_no_duration_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(UsageError, match="as in 5m or 1h30m"):
        duration_s(text)


def test_a_limit_holds_inside_its_body_only() -> None:
    with limited(2.5):
        assert limit_s(300) == 2.5
    with limited(None):
        assert limit_s(300) == 300
    assert limit_s(300) == 300


def test_each_operation_is_held_to_its_own_timeout(tmp_path: Path) -> None:
    seen: dict[str, float] = {}
    engine = Engine(tmp_path, fault=lambda point: seen.setdefault(point, limit_s(300)) and None)

    def run(**props: Any) -> None:
        timeouts = {"create": "5s", "update": "1m30s"}
        thing = {"name": "a", "props": props, "opts": {"custom_timeouts": timeouts}}
        assert engine.run({"op": "up", "resources": [thing]}).ok

    run(x=1)
    run(x=2)
    assert {"create": 5, "update": 90} in [resource.get("customTimeouts") for resource in checkpoint(engine.store)]
    assert engine.run({"op": "destroy", "resources": []}).ok
    assert (seen["before create a"], seen["before update a-1"], seen["before delete a-1"]) == (5, 90, 300)


def test_a_provider_that_waits_gives_up_when_the_timeout_is_over() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    cloud = Cloud("http://127.0.0.1:1", "us-east-1", sleep=sleep, clock=lambda: now[0])
    with limited(7), pytest.raises(OperationRejected, match="the moon took longer than 7 s"):
        cloud.wait("the moon", lambda: False)
    assert 7 <= now[0] < 10
