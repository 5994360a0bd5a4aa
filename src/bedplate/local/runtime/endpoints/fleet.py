"""A fleet: the variants of one endpoint configuration with their serving processes, and the traffic over fleets."""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bedplate.local.hooks import Record, Services
from bedplate.local.runtime.endpoints.capture import CaptureSettings, capture_settings
from bedplate.local.runtime.endpoints.model_source import ModelSource, ModelSourceError, source_of
from bedplate.local.runtime.endpoints.serving_process import READY_TIMEOUT_S, ServingPool, ServingProcess

_LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Variant:
    """`instances` is logical: one process serves, as many instances are charged and shown."""

    name: str
    process: ServingProcess
    source: ModelSource
    weight: float
    instances: int
    instance_type: str
    shadow: bool = False
    memory_mb: int = 0
    """Of a serverless variant; 0 for instances."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What one endpoint configuration runs. `shadow_share` is the part of requests that shadow variants get too."""

    endpoint: str
    config: str
    variants: tuple[Variant, ...]
    shadows: tuple[Variant, ...]
    capture: CaptureSettings | None
    started_at: float
    queued: bool = False
    """Asynchronous: its requests come from the queue."""
    serial: int = field(default_factory=itertools.count(1).__next__)

    @property
    def instances(self) -> int:
        return sum(v.instances for v in self.variants)

    @property
    def shadow_share(self) -> float:
        production = sum(v.weight for v in self.variants)
        return min(1.0, max((v.weight for v in self.shadows), default=0.0) / production) if production else 0.0

    def weighed(self, changes: Mapping[str, tuple[float, int]]) -> Fleet:
        """With other weights and instance counts, by variant."""
        variants = tuple(
            replace(v, weight=changes[v.name][0], instances=changes[v.name][1]) if v.name in changes else v
            for v in self.variants
        )
        return replace(self, variants=variants)


def assemble(services: Services, pool: ServingPool, endpoint: str, config_name: str) -> Fleet:
    """Start what a configuration asks for, without waiting. Raises CannotServe, holding on to nothing."""
    config = services.record("endpoint-config", config_name)
    if config is None:
        raise ModelSourceError(f'Could not find endpoint configuration "{config_name}".')
    taken: list[Variant] = []
    try:
        for entry in config.get("ProductionVariants") or []:
            taken.append(_variant(services, pool, endpoint, entry, shadow=False))
        for entry in config.get("ShadowProductionVariants") or []:
            taken.append(_variant(services, pool, endpoint, entry, shadow=True))
    except ModelSourceError:
        for variant in taken:
            pool.release(endpoint, variant.name, variant.source, keep_warm=False)
        raise
    return Fleet(
        endpoint=endpoint,
        config=config_name,
        variants=tuple(v for v in taken if not v.shadow),
        shadows=tuple(v for v in taken if v.shadow),
        capture=capture_settings(config.get("DataCaptureConfig")),
        started_at=services.now(),
        queued=bool(config.get("AsyncInferenceConfig")),
    )


def await_ready(fleet: Fleet, cancelled: Callable[[], bool]) -> bool:
    """Wait until every process answers; False when it was cancelled meanwhile.

    Raises CannotServe in SageMaker's words, with the end of the log, when one does not come up.
    """
    for variant in (*fleet.variants, *fleet.shadows):
        while not variant.process.await_ready(_LOOK_S) and variant.process.state == "starting":
            if cancelled():
                return False
        if variant.process.state != "ready":
            raise ModelSourceError(
                f"The primary container for production variant {variant.name} did not pass the ping health check. "
                f"Please check CloudWatch logs for this endpoint. {variant.process.reason}"
            )
    return not cancelled()


def release(pool: ServingPool, fleet: Fleet, *, keep_warm: bool = True) -> None:
    for variant in (*fleet.variants, *fleet.shadows):
        pool.release(fleet.endpoint, variant.name, variant.source, keep_warm=keep_warm)


@dataclass(frozen=True, slots=True)
class VariantTarget:
    fleet: Fleet
    variant: Variant


@dataclass(frozen=True, slots=True)
class EndpointTraffic:
    """Where an endpoint's requests go: every fleet with its share, split over its variants by weight."""

    fleets: tuple[tuple[Fleet, float], ...]
    _targets: tuple[VariantTarget, ...] = field(init=False, repr=False)
    _bounds: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        targets, parts = [], []
        for fleet, share in self.fleets:
            total = sum(v.weight for v in fleet.variants)
            for variant in fleet.variants:
                targets.append(VariantTarget(fleet, variant))
                parts.append(share * (variant.weight / total if total else 1 / len(fleet.variants)))
        object.__setattr__(self, "_targets", tuple(targets))
        object.__setattr__(self, "_bounds", tuple(itertools.accumulate(parts)))

    def pick(self, rng: random.Random, wanted: str | None = None) -> VariantTarget | None:
        """By chance, in proportion; among the variants called `wanted` when given, None when there are none."""
        if wanted is not None:
            named = EndpointTraffic(
                tuple(
                    (replace(fleet, variants=tuple(v for v in fleet.variants if v.name == wanted)), share)
                    for fleet, share in self.fleets
                    if share > 0 and any(v.name == wanted for v in fleet.variants)
                )
            )
            return named.pick(rng) if named.fleets else None
        if not self._targets:
            return None
        index = bisect.bisect_right(self._bounds, rng.random() * self._bounds[-1])
        return self._targets[min(index, len(self._targets) - 1)]


def summaries(variants: Sequence[Variant], share: float, started_at: float, phase: str | None = None) -> list[Record]:
    """ProductionVariantSummary of each: its current weight is what it has of the endpoint's traffic right now."""
    return [_summary(v, share, started_at, phase) for v in variants]


def pending_summaries(fleet: Fleet, share: float, phase: str, since: float) -> list[Record]:
    return [
        {**_summary(v, share, fleet.started_at, phase, since), "InstanceType": v.instance_type} for v in fleet.variants
    ]


def _summary(
    variant: Variant, share: float, started_at: float, phase: str | None = None, since: float | None = None
) -> Record:
    image = variant.source.image
    status = [{"Status": phase, "StartTime": since if since is not None else started_at}] if phase else []
    return {
        "VariantName": variant.name,
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": started_at}],
        "CurrentWeight": round(variant.weight * share, 6),
        "DesiredWeight": variant.weight,
        "CurrentInstanceCount": variant.instances,
        "DesiredInstanceCount": variant.instances,
        "VariantStatus": status,
    }


def _variant(
    services: Services, pool: ServingPool, endpoint: str, entry: Mapping[str, Any], *, shadow: bool
) -> Variant:
    name = entry["VariantName"]
    if not entry.get("ModelName"):
        raise ModelSourceError(
            f"Variant {name} names no model; the local platform serves models, not inference components."
        )
    source = source_of(services, entry["ModelName"])
    serverless = entry.get("ServerlessConfig") or {}
    timeout_s = float(entry.get("ContainerStartupHealthCheckTimeoutInSeconds") or READY_TIMEOUT_S)
    return Variant(
        name=name,
        process=pool.acquire(endpoint, name, source, ready_timeout_s=timeout_s, serverless=bool(serverless)),
        source=source,
        weight=float(entry.get("InitialVariantWeight", 1.0)),
        instances=int(entry.get("InitialInstanceCount") or 1),
        instance_type=entry.get("InstanceType") or "",
        shadow=shadow,
        memory_mb=int(serverless.get("MemorySizeInMB") or 0),
    )
