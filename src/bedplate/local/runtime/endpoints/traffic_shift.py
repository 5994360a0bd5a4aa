"""What a DeploymentConfig asks for, as the shares of traffic that the new fleet gets one after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TrafficShift:
    """`shares` end with 1.0; after each one `wait_s` seconds are watched, after the last also `termination_wait_s`."""

    shares: tuple[float, ...] = (1.0,)
    wait_s: float = 0.0
    termination_wait_s: float = 0.0
    alarms: tuple[str, ...] = ()


def rollout_of(config: Mapping[str, Any] | None, instances: int) -> TrafficShift:
    """SageMaker's blue/green (all at once, canary, linear) and rolling updates; without a configuration all at once.

    `instances` is the size of the new fleet, for sizes given as a number of instances.

    >>> rollout_of({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "LINEAR",
    ...     "WaitIntervalInSeconds": 5, "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 40}}}}, 1)
    TrafficShift(shares=(0.4, 0.8, 1.0), wait_s=5.0, termination_wait_s=0.0, alarms=())
    >>> rollout_of(None, 1).shares
    (1.0,)
    """
    config = config or {}
    alarms = tuple(a["AlarmName"] for a in (config.get("AutoRollbackConfiguration") or {}).get("Alarms") or ())
    rolling = config.get("RollingUpdatePolicy")
    if rolling:
        step = _share(rolling.get("MaximumBatchSize"), instances)
        return TrafficShift(_steps(step), float(rolling.get("WaitIntervalInSeconds") or 0), 0.0, alarms)
    policy = config.get("BlueGreenUpdatePolicy") or {}
    routing = policy.get("TrafficRoutingConfiguration") or {}
    shares: tuple[float, ...] = (1.0,)
    if routing.get("Type") == "CANARY":
        shares = (_share(routing.get("CanarySize"), instances), 1.0)
    elif routing.get("Type") == "LINEAR":
        shares = _steps(_share(routing.get("LinearStepSize"), instances))
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


def _steps(step: float) -> tuple[float, ...]:
    count = math.ceil(round(1 / step, 6))
    return tuple(round(min(1.0, step * n), 6) for n in range(1, count + 1))
