"""The tagging API sees the resources of every service in use.

moto notes a service's backends by comparing dicts, so that of two which are equal when they are made (empty, say) one
is never noted, and nothing of that service is found.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import moto.resourcegroupstaggingapi.urls
from moto.core.base_backend import BackendDict
from moto.resourcegroupstaggingapi.models import ResourceGroupsTaggingAPIBackend

from bedplate.local.mends.laying import lay

if TYPE_CHECKING:
    from bedplate.local.platform import Platform


class Backend(ResourceGroupsTaggingAPIBackend):  # type: ignore[misc]
    _url_module = moto.resourcegroupstaggingapi.urls

    def _get_resources_generator(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        noted = BackendDict._instances
        for backends in _loaded():
            if not any(known is backends for known in noted):
                noted.append(backends)
        yield from super()._get_resources_generator(*args, **kwargs)


def _loaded() -> Iterator[Any]:
    """The backends of every service that was imported, by moto's naming of them."""
    for name, module in list(sys.modules.items()):
        if name.startswith("moto.") and name.endswith(".models") and name.count(".") == 2:
            backends = getattr(module, f"{name.split('.')[1]}_backends", None)
            if isinstance(backends, BackendDict) and backends:
                yield backends


def install(_: Platform) -> None:
    """Lay this over moto's tagging API."""
    lay("resourcegroupstaggingapi", backend=Backend)
