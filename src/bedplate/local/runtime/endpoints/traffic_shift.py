"""Parses a DeploymentConfig into the shares of traffic that the green fleet gets step by step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TrafficShift:
    """The steps of a deployment.

    `shares` (0 to 1) end with 1.0. The alarms are watched for `wait_s` seconds after each share and for
    `termination_wait_s` seconds more after the last.
    """

    shares: tuple[float, ...] = (1.0,)
    wait_s: float = 0.0
    termination_wait_s: float = 0.0
    alarms: tuple[str, ...] = ()


def parse_traffic_shift(config: Mapping[str, Any] | None, instances: int) -> TrafficShift:
    """Parses a blue/green (all at once, canary, linear) or rolling update; without a configuration it is all at once.

    `instances` is the size of the green fleet, which a batch size in instances refers to.

    >>> parse_traffic_shift({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "LINEAR",
    ...     "WaitIntervalInSeconds": 5, "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 40}}}}, 1)
    TrafficShift(shares=(0.4, 0.8, 1.0), wait_s=5.0, termination_wait_s=0.0, alarms=())
    >>> parse_traffic_shift(None, 1).shares
    (1.0,)
    """
    config = config or {}
    alarms = tuple(a["AlarmName"] for a in (config.get("AutoRollbackConfiguration") or {}).get("Alarms") or ())
    rolling = config.get("RollingUpdatePolicy")
    if rolling:
        step = _share(rolling.get("MaximumBatchSize"), instances)
        return TrafficShift(_cumulative_shares(step), float(rolling.get("WaitIntervalInSeconds") or 0), 0.0, alarms)
    policy = config.get("BlueGreenUpdatePolicy") or {}
    routing = policy.get("TrafficRoutingConfiguration") or {}
    shares: tuple[float, ...] = (1.0,)
    if routing.get("Type") == "CANARY":
        shares = (_share(routing.get("CanarySize"), instances), 1.0)
    elif routing.get("Type") == "LINEAR":
        shares = _cumulative_shares(_share(routing.get("LinearStepSize"), instances))
    return TrafficShift(
        shares,
        float(routing.get("WaitIntervalInSeconds") or 0),
        float(policy.get("TerminationWaitInSeconds") or 0),
        alarms,
    )


def _share(size: Mapping[str, Any] | None, instances: int) -> float:
    if not size:
        return 1.0
    value = float(size["Value"])
    share = value / max(1, instances) if size.get("Type") == "INSTANCE_COUNT" else value / 100
    return min(1.0, max(0.01, share))


def _cumulative_shares(step: float) -> tuple[float, ...]:
    count = math.ceil(round(1 / step, 6))
    return tuple(round(min(1.0, step * n), 6) for n in range(1, count + 1))
