"""Serves one of our providers to the real Pulumi engine: a resource plugin, which the CLI starts and talks to by gRPC.

The CLI finds `pulumi-resource-<package>` on PATH, a launcher that `bedplate.engine.automation.launcher` writes, and
reads the port from its first line of output. Started by hand it says the same and waits:

    python -m bedplate.engine.automation.plugin --provider bedplate.engine.automation.plugin:aws
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

from bedplate.engine.automation.embedded import require_loopback
from bedplate.engine.deployment.providers import Factory
from bedplate.engine.property_values import from_struct, reveal, to_struct
from bedplate.engine.protocol import (
    CheckResult,
    DiffChanges,
    DiffResult,
    OperationRejected,
    PartialFailure,
    Properties,
    Provider,
)
from bedplate.engine.state.snapshot import type_of
from bedplate.engine.timeouts import limited
from bedplate.errors import BedplateError, UsageError

ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL"
DEFAULT_REGION = "us-east-1"
_WATCH_S = 1.0
"""How often a plugin looks whether the engine that started it still lives."""
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class Plugin:
    """`ResourceProviderServicer` over a `protocol.Provider`; one process of it serves one provider resource.

    The real engine's seeds are random, and other ones in preview and up. So names come from a seed of our own, made as
    the embedded engine makes it: from the URN and the id that is replaced, so that preview, up and both engines agree.
    """

    def __init__(self, provider: Provider, *, package: str, version: str) -> None:
        self._provider = provider
        self._package = package
        self._version = version
        self._ids: dict[str, str] = {}
        """By URN the id that a diff was asked for: what a check without old inputs replaces."""
        self._lock = threading.Lock()

    # --- the plugin itself ----------------------------------------------------------------------------------------

    def Handshake(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - the protocol's names, here and below
        from pulumi.runtime.proto import provider_pb2

        return provider_pb2.ProviderHandshakeResponse()

    def Attach(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return _empty()

    def Cancel(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return _empty()

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import plugin_pb2

        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import provider_pb2

        schema = {"name": self._package, "version": self._version}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            olds, news = _olds(request), reveal(from_struct(request.news))
            check: Callable[..., CheckResult] | None = getattr(self._provider, "check_config", None)
            return _checked(check(request.urn, olds, news) if check else CheckResult(news))

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            olds, news = reveal(from_struct(request.olds)), reveal(from_struct(request.news))
            diff: Callable[..., DiffResult] | None = getattr(self._provider, "diff_config", None)
            if diff:
                return _differing(diff(request.urn, olds, news))
            changed = tuple(sorted(k for k in {*olds, *news} if olds.get(k) != news.get(k)))
            return _differing(DiffResult(DiffChanges.SOME if changed else DiffChanges.NONE, changed))

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import provider_pb2

        with _told(context):
            config = {k: v for k, v in reveal(from_struct(request.args)).items() if k != "version"}
            refuse_foreign_endpoints(config)
            self._provider.configure(config)
            return provider_pb2.ConfigureResponse(supportsPreview=True)

    # --- resources ------------------------------------------------------------------------------------------------

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            urn, olds = request.urn, _olds(request)
            seed = self._seed(urn)
            return _checked(self._provider.check(urn, _type(request), olds, reveal(from_struct(request.news)), seed))

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            with self._lock:
                self._ids[request.urn] = request.id
            return _differing(
                self._provider.diff(
                    request.urn,
                    request.id,
                    _type(request),
                    reveal(from_struct(request.old_inputs)),
                    reveal(from_struct(request.olds)),
                    reveal(from_struct(request.news)),
                    tuple(request.ignoreChanges),
                )
            )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import provider_pb2

        with _told(context):
            inputs = reveal(from_struct(request.properties))
            intent = "" if request.preview else intent_of(request.urn, self._replaced(request.urn))
            with limited(request.timeout):
                made = self._provider.create(request.urn, _type(request), inputs, request.preview, intent)
            return provider_pb2.CreateResponse(id=made.id, properties=to_struct(made.outputs))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import provider_pb2

        with _told(context):
            inputs, state = reveal(from_struct(request.inputs)), reveal(from_struct(request.properties))
            found = self._provider.read(request.urn, request.id, _type(request), inputs, state)
            if found.id is None:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(
                id=found.id, inputs=to_struct(found.inputs), properties=to_struct(found.outputs)
            )

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import provider_pb2

        with _told(context), limited(request.timeout):
            outputs = self._provider.update(
                request.urn,
                request.id,
                _type(request),
                reveal(from_struct(request.old_inputs)),
                reveal(from_struct(request.olds)),
                reveal(from_struct(request.news)),
                request.preview,
            )
            return provider_pb2.UpdateResponse(properties=to_struct(outputs))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            inputs, outputs = reveal(from_struct(request.old_inputs)), reveal(from_struct(request.properties))
            with limited(request.timeout):
                self._provider.delete(request.urn, request.id, _type(request), inputs, outputs)
            return _empty()

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import provider_pb2

        with _told(context):
            result = self._provider.invoke(request.tok, reveal(from_struct(request.args)))
            return provider_pb2.InvokeResponse(**{"return": to_struct(result)})

    def _seed(self, urn: str) -> bytes:
        return hashlib.sha256(f"{urn}\n{self._replaced(urn)}".encode()).digest()

    def _replaced(self, urn: str) -> str:
        with self._lock:
            return self._ids.get(urn, "")


def intent_of(urn: str, replaced: str) -> str:
    """What a create is tagged with, so that it is found again after a kill; `replaced` is the id it replaces, or "".

    The real engine writes no intent down before a create, so it has to follow from what its state says.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{urn}\n{replaced}"))


# --- the wire -----------------------------------------------------------------------------------------------------


@contextmanager
def _told(context: Any) -> Iterator[None]:
    """Failures as the engine reads them: a definite no, a resource half made, or nobody knows."""
    import grpc

    try:
        yield
    except PartialFailure as exc:
        context.set_trailing_metadata((("grpc-status-details-bin", _half_made(exc)),))
        context.abort(grpc.StatusCode.UNKNOWN, str(exc))
    except (OperationRejected, BedplateError) as exc:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(exc) or type(exc).__name__)
    except Exception as exc:
        context.abort(grpc.StatusCode.UNKNOWN, str(exc) or type(exc).__name__)


def _half_made(exc: PartialFailure) -> bytes:
    import grpc
    from pulumi.runtime.proto import provider_pb2, status_pb2

    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(exc))
    status.details.add().Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=exc.id,
            properties=to_struct(exc.outputs),
            inputs=to_struct(exc.inputs) if exc.inputs is not None else None,
            reasons=[str(exc)],
        )
    )
    return bytes(status.SerializeToString())


def _empty() -> Any:
    from google.protobuf import empty_pb2

    return empty_pb2.Empty()


def _olds(request: Any) -> Properties | None:
    """Old inputs of a check; the engine sends an empty struct for a resource that is new."""
    return reveal(from_struct(request.olds)) or None


def _type(request: Any) -> str:
    return str(request.type) or type_of(request.urn)


def _checked(result: CheckResult) -> Any:
    from pulumi.runtime.proto import provider_pb2

    return provider_pb2.CheckResponse(
        inputs=to_struct(result.inputs),
        failures=[provider_pb2.CheckFailure(property=f.property, reason=f.reason) for f in result.failures],
    )


def _differing(diff: DiffResult) -> Any:
    from pulumi.runtime.proto import provider_pb2

    response = provider_pb2.DiffResponse
    return response(
        changes={
            DiffChanges.NONE: response.DIFF_NONE,
            DiffChanges.SOME: response.DIFF_SOME,
            DiffChanges.UNKNOWN: response.DIFF_UNKNOWN,
        }[diff.changes],
        diffs=diff.diffs,
        replaces=diff.replaces,
        deleteBeforeReplace=diff.delete_before_replace,
        detailedDiff={path: _kind(old, new, path in diff.replaces) for path, (old, new) in diff.detailed.items()},
        hasDetailedDiff=bool(diff.detailed),
    )


def _kind(old: Any, new: Any, replaces: bool) -> Any:
    from pulumi.runtime.proto import provider_pb2

    name = "ADD" if old is None else "DELETE" if new is None else "UPDATE"
    kind = getattr(provider_pb2.PropertyDiff, f"{name}_REPLACE" if replaces else name)
    return provider_pb2.PropertyDiff(kind=kind, inputDiff=True)


# --- endpoints ----------------------------------------------------------------------------------------------------


def refuse_foreign_endpoints(config: Mapping[str, Any]) -> None:
    """Raises UsageError when a provider's own `endpoints` (a list, or its JSON text) lead off this machine.

    >>> refuse_foreign_endpoints({"region": "us-east-1", "endpoints": '[{"s3": "http://127.0.0.1:4566"}]'})
    """
    endpoints = config.get("endpoints") or []
    if isinstance(endpoints, str):
        endpoints = json.loads(endpoints)
    for each in endpoints:
        for url in each.values():
            require_loopback(str(url))


def aws(package: str) -> Provider:
    """The provider half of the embedded engine, at the platform that AWS_ENDPOINT_URL names.

    Raises UsageError when it names none, or one that is not on this machine.
    """
    url = os.environ.get(ENDPOINT_VARIABLE, "")
    if not url:
        raise UsageError(
            f"This plugin applies to the local platform only, and {ENDPOINT_VARIABLE} does not say where it is",
            next_step="bedplate local status",
        )
    require_loopback(url)
    return cast(Provider, _AtTheConfiguredRegion(url, package))


class _AtTheConfiguredRegion:
    """A provider that comes into being when its configuration says which region it is of."""

    def __init__(self, endpoint_url: str, package: str) -> None:
        self._endpoint_url = endpoint_url
        self._package = package
        self._made: Provider | None = None

    def configure(self, config: Properties) -> None:
        from bedplate.engine.provider import provider_factory

        region = config.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        self._made = provider_factory(self._endpoint_url, str(region or DEFAULT_REGION))(self._package)
        self._made.configure(config)

    def __getattr__(self, verb: str) -> Any:
        if self._made is None:
            raise AttributeError(verb)
        return getattr(self._made, verb)


# --- the process --------------------------------------------------------------------------------------------------


def serve(provider: Provider, *, package: str, version: str) -> tuple[Any, int]:
    """Start serving on a free port of 127.0.0.1: the gRPC server and its port."""
    import grpc
    from pulumi.runtime.proto import provider_pb2_grpc

    class Servicer(Plugin, provider_pb2_grpc.ResourceProviderServicer):
        """What is not served by us is `unimplemented`."""

    server = grpc.server(ThreadPoolExecutor(32, thread_name_prefix="plugin"), options=_UNLIMITED)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(
        Servicer(provider, package=package, version=version), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the engine that started this process ends."""
    options = _options(arguments)
    parent = os.getppid()
    try:
        provider = _named(options.provider)(options.package)
    except BedplateError as exc:
        sys.stderr.write(f"{exc.message}\n{exc.next_step or ''}\n")
        return exc.exit_code
    server, port = serve(provider, package=options.package, version=options.version or _wheel(options.package))
    for ended in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ended, lambda _number, _frame: server.stop(None))
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while server.wait_for_termination(timeout=_WATCH_S):
        if os.getppid() != parent:
            server.stop(None)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bedplate.engine.automation.plugin", description=__doc__)
    parser.add_argument(
        "--provider", default="bedplate.engine.automation.plugin:aws", help="MODULE:FUNCTION that makes it"
    )
    parser.add_argument("--package", default="aws")
    parser.add_argument("--version", default="", help="by default that of the package's SDK")
    parser.add_argument("engine", nargs="*", help="the engine's own address, given by the CLI; not needed")
    known, _ = parser.parse_known_args(arguments)
    return known


def _named(provider: str) -> Factory:
    module, _, name = provider.partition(":")
    factory: Factory = getattr(importlib.import_module(module), name)
    return factory


def _wheel(package: str) -> str:
    """The version of the SDK that a program uses, so that the CLI finds plugin and SDK to agree."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(f"pulumi-{package}")
    except PackageNotFoundError:
        return "1.0.0"


if __name__ == "__main__":
    sys.exit(main())
