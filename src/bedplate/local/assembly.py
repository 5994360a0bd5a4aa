"""Putting one platform together: moto with its mends in place, the runtime attached, the last state restored."""

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
from bedplate.local.wire.callers import identity_of

# Services with loops or files of their own are mended at the start, the others before they are first used: importing
# all of moto's would take longer than the rest of the start.
_FROM_THE_START = ("s3", "sagemaker", "cloudwatch", "budgets")
_WHEN_USED = (
    "events", "sns", "sqs", "iam", "kms", "applicationautoscaling", "ce", "cloudtrail", "servicequotas", "ecr",
    "resourcegroupstaggingapi",
)  # fmt: skip

_MODULES = {"sagemaker": "bedplate.local.services.sagemaker.control_plane"}

MotoApp = Callable[[dict[str, Any]], Any]


def assemble(state_dir: Path, region: str, port: int, since: str) -> tuple[LocalPlatform, MotoApp]:
    """The platform, not yet begun, and the function that finds moto's application for a request."""
    os.environ.update(
        AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local", AWS_DEFAULT_REGION=region,
        AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null",
    )  # fmt: skip
    platform = LocalPlatform(state_dir, region=region, port=port, since=since)
    _quicken()
    platform.mend = _mender(platform)
    for name in _FROM_THE_START:
        platform.mend(name)
    platform.trail.person = partial(identity_of, platform)
    attach(platform.hooks, platform)
    platform.store.load()
    return platform, _dispatcher(platform)


def _mender(platform: LocalPlatform) -> Callable[[str], None]:
    left, begun = {*_FROM_THE_START, *_WHEN_USED}, set[str]()
    lock = threading.RLock()

    def mend(service: str) -> None:
        """Lay our operations over a moto service, once; by moto's name of it."""
        if service not in left:
            return
        with lock:
            if service in left and service not in begun:
                begun.add(service)
                import_module(_MODULES.get(service, f"bedplate.local.services.{service}")).install(platform)
                left.discard(service)

    return mend


def _quicken() -> None:
    """What moto does for each request and a long-lived server need not: list a directory, look through a class for its
    methods, and remember every object ever made."""
    import moto.backends
    import moto.core.responses
    from moto.core.common_models import BaseModel

    modules = frozenset(moto.backends.list_of_moto_modules())
    moto.backends.list_of_moto_modules = lambda: modules
    moto.core.responses.method_names_from_class = cache(moto.core.responses.method_names_from_class)
    BaseModel.__new__ = staticmethod(lambda cls, *_, **__: object.__new__(cls))


def _dispatcher(platform: LocalPlatform) -> MotoApp:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    def create(service: Any) -> Any:
        platform.mend(str(service).replace("-", ""))
        return create_backend_app(service)

    dispatcher = DomainDispatcherApplication(create)

    def find(environ: dict[str, Any]) -> Any:
        return dispatcher.get_application(environ)

    return find
