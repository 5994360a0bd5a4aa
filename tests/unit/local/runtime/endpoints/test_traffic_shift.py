"""A DeploymentConfig becomes traffic shares, waits and alarms."""

from __future__ import annotations

import pytest

from bedplate.local.runtime.endpoints.traffic_shift import parse_traffic_shift
from runtime_driver import canary


@pytest.mark.parametrize(
    ("config", "instances", "shares"),
    [
        (None, 1, (1.0,)),
        ({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE"}}}, 1, (1.0,)),
        (canary(10), 1, (0.1, 1.0)),
        (canary(33, kind="LINEAR"), 1, (0.33, 0.66, 0.99, 1.0)),
        (canary(50, kind="LINEAR"), 1, (0.5, 1.0)),
        (
            {"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1}}},
            4,
            (0.25, 0.5, 0.75, 1.0),
        ),
    ],
)
def test_deployment_config_gives_traffic_shares(
    config: dict[str, object] | None, instances: int, shares: tuple[float, ...]
) -> None:
    assert parse_traffic_shift(config, instances).shares == shares


def test_deployment_config_gives_waits_and_alarms() -> None:
    config = canary(10, wait_s=7, alarms=["a", "b"])
    config["BlueGreenUpdatePolicy"]["TerminationWaitInSeconds"] = 9
    shift = parse_traffic_shift(config, 1)
    assert (shift.wait_s, shift.termination_wait_s, shift.alarms) == (7.0, 9.0, ("a", "b"))
