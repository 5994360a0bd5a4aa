"""Serves one of our providers to the Pulumi CLI: a resource plugin, which the CLI starts and calls by gRPC.

The CLI finds `pulumi-resource-<package>`, which `bedplate.engine.automation.launcher` writes, on PATH and reads the
port from its first line of output. To start a plugin directly:

    python -m bedplate.engine.automation.plugin --provider bedplate.engine.automation.local_provider:build_aws_provider
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from bedplate.engine.automation.local_provider import require_loopback_endpoints
from bedplate.engine.deployment.providers import ProviderFactory, check_config, diff_config, provider_config
from bedplate.engine.property_values import from_struct, reveal, to_struct
from bedplate.engine.protocol import (
    CheckResult,
    DiffResult,
    OperationRejected,
    PartialFailure,
    Properties,
    Provider,
    derive_seed,
)
from bedplate.engine.state.snapshot import type_of
from bedplate.engine.timeouts import operation_timeout
from bedplate.errors import BedplateError

_PARENT_POLL_S = 1.0
"""How often a plugin checks whether the engine that started it still runs."""
_GRPC_OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class Plugin:
    """Implements gRPC's `ResourceProviderServicer` with a `protocol.Provider`; a process serves one provider resource.

    The Pulumi CLI sends different random seeds in preview and up. The plugin replaces them by the embedded engine's
    seed, derived from the URN and the replaced id, so that preview, up and both engines generate the same names.
    """

    def __init__(self, provider: Provider, *, package: str, version: str) -> None:
        self._provider = provider
        self._package = package
        self._version = version
        self._diffed_ids: dict[str, str] = {}
        """URN to the id of its last diff: the resource that a check without old inputs replaces."""
        self._lock = threading.Lock()

    # --- the plugin itself ----------------------------------------------------------------------------------------

    def Handshake(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - the protocol's names, here and below
        from pulumi.runtime.proto import provider_pb2

        return provider_pb2.ProviderHandshakeResponse()

    def Attach(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return _empty_response()

    def Cancel(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return _empty_response()

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import plugin_pb2

        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import provider_pb2

        schema = {"name": self._package, "version": self._version}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _map_errors(context):
            return _check_response(
                check_config(self._provider, request.urn, _old_inputs(request), _plain(request.news))
            )

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _map_errors(context):
            return _diff_response(diff_config(self._provider, request.urn, _plain(request.olds), _plain(request.news)))

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import provider_pb2

        with _map_errors(context):
            config = provider_config(from_struct(request.args))
            require_loopback_endpoints(config)
            self._provider.configure(config)
            return provider_pb2.ConfigureResponse(supportsPreview=True)

    # --- resources ------------------------------------------------------------------------------------------------

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _map_errors(context):
            urn, type, olds = request.urn, _resource_type(request), _old_inputs(request)
            seed = derive_seed(urn, self._replaced_id(urn))
            return _check_response(self._provider.check(urn, type, olds, _plain(request.news), seed))

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _map_errors(context):
            with self._lock:
                self._diffed_ids[request.urn] = request.id
            return _diff_response(
                self._provider.diff(
                    request.urn,
                    request.id,
                    _resource_type(request),
                    _plain(request.old_inputs),
                    _plain(request.olds),
                    _plain(request.news),
                    tuple(request.ignoreChanges),
                )
            )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import provider_pb2

        with _map_errors(context):
            inputs = _plain(request.properties)
            intent = "" if request.preview else derive_intent(request.urn, self._replaced_id(request.urn))
            with operation_timeout(request.timeout):
                result = self._provider.create(request.urn, _resource_type(request), inputs, request.preview, intent)
            return provider_pb2.CreateResponse(id=result.id, properties=to_struct(result.outputs))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import provider_pb2

        with _map_errors(context):
            inputs, state = _plain(request.inputs), _plain(request.properties)
            result = self._provider.read(request.urn, request.id, _resource_type(request), inputs, state)
            if result.id is None:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(
                id=result.id, inputs=to_struct(result.inputs), properties=to_struct(result.outputs)
            )

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import provider_pb2

        with _map_errors(context), operation_timeout(request.timeout):
            outputs = self._provider.update(
                request.urn,
                request.id,
                _resource_type(request),
                _plain(request.old_inputs),
                _plain(request.olds),
                _plain(request.news),
                request.preview,
            )
            return provider_pb2.UpdateResponse(properties=to_struct(outputs))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _map_errors(context):
            inputs, outputs = _plain(request.old_inputs), _plain(request.properties)
            with operation_timeout(request.timeout):
                self._provider.delete(request.urn, request.id, _resource_type(request), inputs, outputs)
            return _empty_response()

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import provider_pb2

        with _map_errors(context):
            result = self._provider.invoke(request.tok, _plain(request.args))
            return provider_pb2.InvokeResponse(**{"return": to_struct(result)})

    def _replaced_id(self, urn: str) -> str:
        with self._lock:
            return self._diffed_ids.get(urn, "")


def derive_intent(urn: str, replaced_id: str) -> str:
    """Returns the intent with which a create tags its resource; `replaced_id` is the id that it replaces, or "".

    The Pulumi CLI records no intent before a create, so the intent must be derived from its state to find the resource
    again after a kill.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{urn}\n{replaced_id}"))


# --- the wire -----------------------------------------------------------------------------------------------------


@contextmanager
def _map_errors(context: Any) -> Iterator[None]:
    """Maps exceptions to gRPC: a rejection, a partial failure with the resource's state, or an unknown outcome."""
    import grpc

    try:
        yield
    except PartialFailure as exc:
        context.set_trailing_metadata((("grpc-status-details-bin", _partial_failure_status(exc)),))
        context.abort(grpc.StatusCode.UNKNOWN, str(exc))
    except (OperationRejected, BedplateError) as exc:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(exc) or type(exc).__name__)
    except Exception as exc:
        context.abort(grpc.StatusCode.UNKNOWN, str(exc) or type(exc).__name__)


def _partial_failure_status(exc: PartialFailure) -> bytes:
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


def _empty_response() -> Any:
    from google.protobuf import empty_pb2

    return empty_pb2.Empty()


def _old_inputs(request: Any) -> Properties | None:
    """Returns the old inputs of a check, None for a new resource, for which the CLI sends an empty struct."""
    return _plain(request.olds) or None


def _plain(struct: Any) -> Properties:
    properties: Properties = reveal(from_struct(struct))
    return properties


def _resource_type(request: Any) -> str:
    return str(request.type) or type_of(request.urn)


def _check_response(result: CheckResult) -> Any:
    from pulumi.runtime.proto import provider_pb2

    return provider_pb2.CheckResponse(
        inputs=to_struct(result.inputs),
        failures=[provider_pb2.CheckFailure(property=f.property, reason=f.reason) for f in result.failures],
    )


def _diff_response(diff: DiffResult) -> Any:
    from pulumi.runtime.proto import provider_pb2

    response = provider_pb2.DiffResponse
    return response(
        changes=getattr(response, f"DIFF_{diff.changes.name}"),
        diffs=diff.diffs,
        replaces=diff.replaces,
        deleteBeforeReplace=diff.delete_before_replace,
        detailedDiff={
            path: _property_diff(old, new, path in diff.replaces) for path, (old, new) in diff.detailed_diff.items()
        },
        hasDetailedDiff=bool(diff.detailed_diff),
    )


def _property_diff(old: Any, new: Any, replaces: bool) -> Any:
    from pulumi.runtime.proto import provider_pb2

    name = "ADD" if old is None else "DELETE" if new is None else "UPDATE"
    kind = getattr(provider_pb2.PropertyDiff, f"{name}_REPLACE" if replaces else name)
    return provider_pb2.PropertyDiff(kind=kind, inputDiff=True)


# --- the process --------------------------------------------------------------------------------------------------


def serve(provider: Provider, *, package: str, version: str) -> tuple[Any, int]:
    """Starts a gRPC server on a free port of 127.0.0.1 and returns the server and its port."""
    import grpc
    from pulumi.runtime.proto import provider_pb2_grpc

    class Servicer(Plugin, provider_pb2_grpc.ResourceProviderServicer):
        """Adds the methods of the protocol that only raise UNIMPLEMENTED."""

    server = grpc.server(ThreadPoolExecutor(32, thread_name_prefix="plugin"), options=_GRPC_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(
        Servicer(provider, package=package, version=version), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until the engine that started this process ends; returns the exit code."""
    options = _parse_options(arguments)
    parent = os.getppid()
    try:
        provider = _load_factory(options.provider)(options.package)
    except BedplateError as exc:
        sys.stderr.write(f"{exc.message}\n{exc.next_step or ''}\n")
        return exc.exit_code
    server, port = serve(provider, package=options.package, version=options.version or _sdk_version(options.package))
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda _number, _frame: server.stop(None))
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while server.wait_for_termination(timeout=_PARENT_POLL_S):
        if os.getppid() != parent:
            server.stop(None)
    return 0


def _parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bedplate.engine.automation.plugin", description=__doc__)
    aws = "bedplate.engine.automation.local_provider:build_aws_provider"
    parser.add_argument("--provider", default=aws, help="MODULE:FUNCTION that returns the provider of a package")
    parser.add_argument("--package", default="aws")
    parser.add_argument("--version", default="", help="the version of the plugin; default: that of the package's SDK")
    parser.add_argument("engine", nargs="*", help="the engine's address, which the CLI passes; ignored")
    options, _ = parser.parse_known_args(arguments)
    return options


def _load_factory(provider: str) -> ProviderFactory:
    module, _, name = provider.partition(":")
    factory: ProviderFactory = getattr(importlib.import_module(module), name)
    return factory


def _sdk_version(package: str) -> str:
    """Returns the version of the package's SDK, with which the CLI requires the plugin to agree."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(f"pulumi-{package}")
    except PackageNotFoundError:
        return "1.0.0"


if __name__ == "__main__":
    sys.exit(main())
