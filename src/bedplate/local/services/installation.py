"""Patches a moto service: replaces its Response and Backend classes by Bedplate's subclasses."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from moto.core.exceptions import ServiceException


def patch_service(package: str, *, response: type | None = None, backend: type | None = None) -> None:
    """Makes moto serve `moto.<package>` with these subclasses. Call it before the first request to the service.

    The backend class must set `_url_module = moto.<package>.urls`: moto otherwise looks for the URLs in the package of
    the subclass.
    """
    models: Any = import_module(f"moto.{package}.models")
    urls: Any = import_module(f"moto.{package}.urls")
    if backend is not None:
        backends: Any = getattr(models, f"{package}_backends")
        backends.backend = backend
        # moto may have created backends of the old class already: it looks up access keys in IAM for any request.
        for regions in backends.values():
            regions.backend = backend
            regions.clear()
    if response is not None:
        urls.url_paths = {path: _rebind(handler, response) for path, handler in urls.url_paths.items()}


def _rebind(handler: Any, response: type) -> Any:
    """Returns the same handler on the subclass; moto's handlers are bound to a Response class or to an instance."""
    owner = getattr(handler, "__self__", None)
    if owner is None:
        return handler
    return getattr(response if isinstance(owner, type) else response(), handler.__name__)


class AwsApiError(ServiceException):  # type: ignore[misc]
    """An error response of any service: `AwsApiError(code, message)`.

    moto serializes an error class that is not its own in the format of the service that the request is for.
    """
