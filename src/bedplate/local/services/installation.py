"""Laying our own operations over a moto service: its Response and Backend replaced by subclasses of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from moto.core.exceptions import ServiceException


def lay(package: str, *, response: type | None = None, backend: type | None = None) -> None:
    """Make moto serve `package` (`moto.<package>`) with these subclasses. Call before the first request.

    The backend class must say `_url_module = moto.<package>.urls`: moto would look for it beside the subclass.
    """
    models: Any = import_module(f"moto.{package}.models")
    urls: Any = import_module(f"moto.{package}.urls")
    if backend is not None:
        backends: Any = getattr(models, f"{package}_backends")
        backends.backend = backend
        for regions in backends.values():  # made by moto in passing: it looks up keys in IAM for any request
            regions.backend = backend
            regions.clear()
    if response is not None:
        urls.url_paths = {path: _moved(handler, response) for path, handler in urls.url_paths.items()}


def _moved(handler: Any, response: type) -> Any:
    """The same handler on the subclass: moto's are bound methods of the class, or of one instance of it."""
    owner = getattr(handler, "__self__", None)
    if owner is None:
        return handler
    return getattr(response if isinstance(owner, type) else response(), handler.__name__)


class AwsApiError(ServiceException):  # type: ignore[misc]
    """An error response of a service: `AwsApiError(code, message)`. moto takes the error's shape from the request's own
    service when the class is not one of its own."""
