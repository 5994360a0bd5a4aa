"""Putting one platform together: moto with its mends in place, the runtime attached, the last state restored."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from bedplate.local.hooks import Record
from bedplate.local.mends.sagemaker_serving import endpoint_view
from bedplate.local.platform import Platform

_MENDS = ("s3", "sagemaker", "cloudwatch", "events", "sns", "sqs", "iam", "applicationautoscaling", "budgets", "ce")
MotoApp = Callable[[dict[str, Any]], Any]


def assemble(state_dir: Path, port: int, since: str) -> tuple[Platform, MotoApp]:
    """The platform, not yet begun, and the function that finds moto's application for a request."""
    os.environ.update(
        AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local", AWS_DEFAULT_REGION="us-east-1",
        AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null",
    )  # fmt: skip
    platform = Platform(state_dir, port=port, since=since)
    _quicken()
    for name in _MENDS:
        import_module(f"bedplate.local.mends.{name}").install(platform)
    _attach_runtime(platform)
    platform.store.load()
    return platform, _dispatcher()


def _attach_runtime(platform: Platform) -> None:
    try:
        attach = import_module("bedplate.local.runtime").attach
    except (ModuleNotFoundError, AttributeError):
        platform.log("no runtime: jobs and endpoints are records only")
        _records_only(platform)
        return
    attach(platform.hooks, platform)


def _records_only(platform: Platform) -> None:
    """Without processes behind them, endpoints are in service at once and nothing else ever ends."""

    def created(record: Record) -> None:
        platform.update("endpoint", record["EndpointName"], EndpointStatus="InService")

    def updated(record: Record, request: Record) -> None:
        config = platform.record("endpoint-config", request["EndpointConfigName"]) or {}
        view = endpoint_view(config, request.get("DeploymentConfig"))
        platform.update(
            "endpoint", record["EndpointName"], EndpointStatus="InService", PendingDeploymentSummary=None, **view
        )

    platform.hooks.endpoint_created = created
    platform.hooks.endpoint_updated = updated
    platform.hooks.endpoint_weights_changed = lambda record, _: created(record)


def _quicken() -> None:
    """Two costs of moto that a long-lived server need not pay: a directory listing and a tracked object per request."""
    import moto.backends
    from moto.core.common_models import BaseModel

    modules = frozenset(moto.backends.list_of_moto_modules())
    moto.backends.list_of_moto_modules = lambda: modules
    BaseModel.__new__ = staticmethod(lambda cls, *_, **__: object.__new__(cls))


def _dispatcher() -> MotoApp:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    dispatcher = DomainDispatcherApplication(create_backend_app)

    def find(environ: dict[str, Any]) -> Any:
        return dispatcher.get_application(environ)

    return find
