"""Which endpoints a plan would leave in another mode than model.yaml says: SageMaker turns no mode into another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bedplate.domain.stacks.plan import ResourceChange

_CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
_ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
_RELEASE_ZERO = "-v0"


@dataclass(frozen=True, slots=True)
class ModeChange:
    """`endpoint` is up in mode `before`; model.yaml asks for `after`."""

    endpoint: str
    before: str
    after: str


def mode_changes(resources: Iterable[ResourceChange]) -> tuple[ModeChange, ...]:
    """Endpoints that stay while the mode of their release 0 changes: their configuration is the command line's, so the
    plan would not touch them."""
    planned = tuple(resources)
    up = {r.name for r in planned if r.type == _ENDPOINT and r.before is not None and r.after is not None}
    found: dict[str, ModeChange] = {}
    for each in planned:
        if each.type != _CONFIG or each.before is None or each.after is None:
            continue
        endpoint, before, after = each.name.removesuffix(_RELEASE_ZERO), mode_of(each.before), mode_of(each.after)
        if endpoint in up and before != after:
            found[endpoint] = ModeChange(endpoint, before, after)
    return tuple(found.values())


def mode_of(config: Mapping[str, Any]) -> str:
    """The `serving.mode` that an EndpointConfiguration's inputs come from.

    >>> mode_of({"productionVariants": [{"serverlessConfig": {"maxConcurrency": 5}}]}), mode_of({})
    ('serverless', 'instance')
    """
    variants = config.get("productionVariants")
    first = variants[0] if isinstance(variants, list) and variants else {}
    if isinstance(first, Mapping) and first.get("serverlessConfig"):
        return "serverless"
    return "async" if config.get("asyncInferenceConfig") else "instance"
