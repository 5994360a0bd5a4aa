"""Runs a fleet, the variants of one endpoint configuration, and splits traffic over fleets."""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bedplate.local.hooks import Record, Services
from bedplate.local.runtime.endpoints.capture import CaptureSettings, capture_settings
from bedplate.local.runtime.endpoints.model_source import ModelSource, ModelSourceError, find_model_source
from bedplate.local.runtime.endpoints.serving_pool import ServingPool
from bedplate.local.runtime.endpoints.serving_process import READY_TIMEOUT_S, ServingProcess

_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant with its process. One process serves whatever `instances` is; charges and descriptions use it."""

    name: str
    process: ServingProcess
    source: ModelSource
    weight: float
    instances: int
    instance_type: str
    is_shadow: bool = False
    memory_mb: int = 0
    """Memory of a serverless variant; 0 for a variant on instances."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The running variants of one endpoint configuration. `started_at` is in epoch seconds."""

    endpoint: str
    config: str
    variants: tuple[Variant, ...]
    shadows: tuple[Variant, ...]
    capture: CaptureSettings | None
    started_at: float
    asynchronous: bool = False
    serial: int = field(default_factory=itertools.count(1).__next__)

    @property
    def all_variants(self) -> tuple[Variant, ...]:
        return (*self.variants, *self.shadows)

    @property
    def instances(self) -> int:
        return sum(v.instances for v in self.variants)

    @property
    def shadow_share(self) -> float:
        """Share of requests, 0 to 1, that are also sent to the shadow variants."""
        production = sum(v.weight for v in self.variants)
        return min(1.0, max((v.weight for v in self.shadows), default=0.0) / production) if production else 0.0

    def with_capacities(self, capacities: Mapping[str, tuple[float, int]]) -> Fleet:
        """Returns the fleet with the (weight, instance count) in `capacities` for the variants that it names."""
        variants = tuple(
            replace(v, weight=capacities[v.name][0], instances=capacities[v.name][1]) if v.name in capacities else v
            for v in self.variants
        )
        return replace(self, variants=variants)


def start_fleet(services: Services, pool: ServingPool, endpoint: str, config_name: str) -> Fleet:
    """Starts the variants of an endpoint configuration without waiting for them.

    Raises ModelSourceError after releasing the variants that it started.
    """
    config = services.record("endpoint-config", config_name)
    if config is None:
        raise ModelSourceError(f'Could not find endpoint configuration "{config_name}".')
    variants: list[Variant] = []
    try:
        for key in ("ProductionVariants", "ShadowProductionVariants"):
            for entry in config.get(key) or []:
                is_shadow = key == "ShadowProductionVariants"
                variants.append(_start_variant(services, pool, endpoint, entry, is_shadow))
    except ModelSourceError:
        for variant in variants:
            pool.release(endpoint, variant.name, variant.source, keep_warm=False)
        raise
    return Fleet(
        endpoint=endpoint,
        config=config_name,
        variants=tuple(v for v in variants if not v.is_shadow),
        shadows=tuple(v for v in variants if v.is_shadow),
        capture=capture_settings(config.get("DataCaptureConfig")),
        started_at=services.now(),
        asynchronous=bool(config.get("AsyncInferenceConfig")),
    )


def await_ready(fleet: Fleet, is_cancelled: Callable[[], bool]) -> bool:
    """Waits until every process is ready; returns False when it was cancelled.

    Raises ModelSourceError with SageMaker's message and the end of the log when a process does not start.
    """
    for variant in fleet.all_variants:
        while not variant.process.await_ready(_POLL_S) and variant.process.state == "starting":
            if is_cancelled():
                return False
        if variant.process.state != "ready":
            raise ModelSourceError(
                f"The primary container for production variant {variant.name} did not pass the ping health check. "
                f"Please check CloudWatch logs for this endpoint. {variant.process.reason}"
            )
    return not is_cancelled()


def release_fleet(pool: ServingPool, fleet: Fleet, *, keep_warm: bool = True) -> None:
    for variant in fleet.all_variants:
        pool.release(fleet.endpoint, variant.name, variant.source, keep_warm=keep_warm)


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """The variant that gets a request, and its fleet."""

    fleet: Fleet
    variant: Variant


@dataclass(frozen=True, slots=True)
class EndpointTraffic:
    """Splits an endpoint's requests over fleets by share (0 to 1), and over the variants of a fleet by weight."""

    fleets: tuple[tuple[Fleet, float], ...]
    _targets: tuple[RequestTarget, ...] = field(init=False, repr=False)
    _bounds: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        targets, shares = [], []
        for fleet, share in self.fleets:
            total = sum(v.weight for v in fleet.variants)
            for variant in fleet.variants:
                targets.append(RequestTarget(fleet, variant))
                shares.append(share * (variant.weight / total if total else 1 / len(fleet.variants)))
        object.__setattr__(self, "_targets", tuple(targets))
        object.__setattr__(self, "_bounds", tuple(itertools.accumulate(shares)))

    def pick(self, rng: random.Random, target_variant: str | None = None) -> RequestTarget | None:
        """Picks a target at random in proportion to the shares, only among variants named `target_variant` if given.

        Returns None where no variant matches.
        """
        if target_variant is not None:
            restricted = EndpointTraffic(
                tuple(
                    (replace(fleet, variants=tuple(v for v in fleet.variants if v.name == target_variant)), share)
                    for fleet, share in self.fleets
                    if share > 0 and any(v.name == target_variant for v in fleet.variants)
                )
            )
            return restricted.pick(rng) if restricted.fleets else None
        if not self._targets:
            return None
        index = bisect.bisect_right(self._bounds, rng.random() * self._bounds[-1])
        return self._targets[min(index, len(self._targets) - 1)]


def variant_summaries(variants: Sequence[Variant], share: float, started_at: float) -> list[Record]:
    """Returns each variant's ProductionVariantSummary; CurrentWeight is scaled by the fleet's share of the traffic."""
    return [_variant_summary(v, share, started_at, []) for v in variants]


def pending_variant_summaries(fleet: Fleet, share: float, phase: str, phase_started_at: float) -> list[Record]:
    """Returns each variant's PendingProductionVariantSummary in a phase of the deployment."""
    status = [{"Status": phase, "StartTime": phase_started_at}]
    return [
        {**_variant_summary(v, share, fleet.started_at, status), "InstanceType": v.instance_type}
        for v in fleet.variants
    ]


def _variant_summary(variant: Variant, share: float, started_at: float, status: list[Record]) -> Record:
    image = variant.source.image
    return {
        "VariantName": variant.name,
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": started_at}],
        "CurrentWeight": round(variant.weight * share, 6),
        "DesiredWeight": variant.weight,
        "CurrentInstanceCount": variant.instances,
        "DesiredInstanceCount": variant.instances,
        "VariantStatus": status,
    }


def _start_variant(services: Services, pool: ServingPool, endpoint: str, entry: Record, is_shadow: bool) -> Variant:
    name = entry["VariantName"]
    if not entry.get("ModelName"):
        message = f"Variant {name} has no ModelName; the local platform serves models, not inference components."
        raise ModelSourceError(message)
    source = find_model_source(services, entry["ModelName"])
    serverless = entry.get("ServerlessConfig") or {}
    timeout_s = float(entry.get("ContainerStartupHealthCheckTimeoutInSeconds") or READY_TIMEOUT_S)
    return Variant(
        name=name,
        process=pool.acquire(endpoint, name, source, ready_timeout_s=timeout_s, serverless=bool(serverless)),
        source=source,
        weight=float(entry.get("InitialVariantWeight", 1.0)),
        instances=int(entry.get("InitialInstanceCount") or 1),
        instance_type=entry.get("InstanceType") or "",
        is_shadow=is_shadow,
        memory_mb=int(serverless.get("MemorySizeInMB") or 0),
    )
