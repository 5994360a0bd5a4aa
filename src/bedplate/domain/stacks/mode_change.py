"""Finds endpoints whose serving mode would change, which SageMaker does not support for an existing endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bedplate.domain.stacks.plan import ResourceChange

_ENDPOINT_CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
_ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
_FIRST_RELEASE_SUFFIX = "-v0"


@dataclass(frozen=True, slots=True)
class ModeChange:
    """`endpoint` exists in mode `before`; model.yaml declares `after`."""

    endpoint: str
    before: str
    after: str


def find_mode_changes(resources: Iterable[ResourceChange]) -> tuple[ModeChange, ...]:
    """Returns the endpoints that stay while the mode of their first release changes. The CLI manages their
    configuration, so the plan itself would not change them."""
    changes = tuple(resources)
    endpoints = {r.name for r in changes if r.type == _ENDPOINT and r.before is not None and r.after is not None}
    mode_changes: dict[str, ModeChange] = {}
    for change in changes:
        if change.type != _ENDPOINT_CONFIG or change.before is None or change.after is None:
            continue
        endpoint = change.name.removesuffix(_FIRST_RELEASE_SUFFIX)
        before, after = serving_mode(change.before), serving_mode(change.after)
        if endpoint in endpoints and before != after:
            mode_changes[endpoint] = ModeChange(endpoint, before, after)
    return tuple(mode_changes.values())


def serving_mode(config: Mapping[str, Any]) -> str:
    """Returns the `serving.mode` that an EndpointConfiguration's inputs correspond to.

    >>> serving_mode({"productionVariants": [{"serverlessConfig": {"maxConcurrency": 5}}]}), serving_mode({})
    ('serverless', 'instance')
    """
    variants = config.get("productionVariants")
    first = variants[0] if isinstance(variants, list) and variants else {}
    if isinstance(first, Mapping) and first.get("serverlessConfig"):
        return "serverless"
    return "async" if config.get("asyncInferenceConfig") else "instance"
