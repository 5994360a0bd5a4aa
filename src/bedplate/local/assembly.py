"""Builds the local platform: patches moto's services, attaches the runtime and restores the last state."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from bedplate.local.local_platform import LocalPlatform
from bedplate.local.runtime import attach
from bedplate.local.wire.callers import find_identity

# Services with background loops or files of their own are patched at the start. The others are patched before their
# first use, because importing all of moto's services takes longer than the rest of the start.
_EAGER_SERVICES = ("s3", "sagemaker", "cloudwatch", "budgets")
_LAZY_SERVICES = (
    "events", "sns", "sqs", "iam", "kms", "applicationautoscaling", "ce", "cloudtrail", "servicequotas", "ecr",
    "resourcegroupstaggingapi",
)  # fmt: skip

_MODULES = {"sagemaker": "bedplate.local.services.sagemaker.control_plane"}

MotoApp = Callable[[dict[str, Any]], Any]


def assemble(state_dir: Path, region: str, port: int, since: str) -> tuple[LocalPlatform, MotoApp]:
    """Returns the platform, not yet started, and a function that returns moto's application for a WSGI environment."""
    os.environ.update(
        AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local", AWS_DEFAULT_REGION=region,
        AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null",
    )  # fmt: skip
    platform = LocalPlatform(state_dir, region=region, port=port, since=since)
    _cache_moto_lookups()
    platform.install_service = _build_installer(platform)
    for name in _EAGER_SERVICES:
        platform.install_service(name)
    platform.trail.find_identity = partial(find_identity, platform)
    attach(platform.hooks, platform)
    platform.store.load()
    return platform, _build_dispatcher(platform)


def _build_installer(platform: LocalPlatform) -> Callable[[str], None]:
    # A service is pending until its patch is complete, so that other threads wait for the lock; `started` keeps the
    # patch itself, which may ask for the same service, from installing a second time.
    pending, started = {*_EAGER_SERVICES, *_LAZY_SERVICES}, set[str]()
    lock = threading.RLock()

    def install_service(service: str) -> None:
        """Installs Bedplate's patch over a moto service, once. `service` is moto's name of it."""
        if service not in pending:
            return
        with lock:
            if service in pending and service not in started:
                started.add(service)
                import_module(_MODULES.get(service, f"bedplate.local.services.{service}")).install(platform)
                pending.discard(service)

    return install_service


def _cache_moto_lookups() -> None:
    """Removes three costs of moto that a long-lived server does not need.

    For each request moto lists its own directory and inspects the methods of a class; both results are cached. moto
    also keeps a reference to every model object it creates, which would leak memory.
    """
    import moto.backends
    import moto.core.responses
    from moto.core.common_models import BaseModel

    modules = frozenset(moto.backends.list_of_moto_modules())
    moto.backends.list_of_moto_modules = lambda: modules
    moto.core.responses.method_names_from_class = cache(moto.core.responses.method_names_from_class)
    BaseModel.__new__ = staticmethod(lambda cls, *_, **__: object.__new__(cls))


def _build_dispatcher(platform: LocalPlatform) -> MotoApp:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    def create_app(service: Any) -> Any:
        platform.install_service(str(service).replace("-", ""))
        return create_backend_app(service)

    app_for: MotoApp = DomainDispatcherApplication(create_app).get_application
    return app_for
