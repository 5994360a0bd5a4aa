"""Implements the engine service of Pulumi's SDK: log lines of the program and the SDK, and the root resource."""

from __future__ import annotations

from typing import Any

from bedplate.engine.deployment.events import Events


class EngineLog:
    """Receives the calls of the SDK and emits them as engine events."""

    _SEVERITIES = ("debug", "info", "warning", "error")

    def __init__(self, events: Events) -> None:
        self._events = events
        self._root = ""

    def Log(self, request: Any) -> Any:  # noqa: N802
        from google.protobuf import empty_pb2

        severity = self._SEVERITIES[request.severity]
        if severity == "error":
            self._events.emit_error(request.message, urn=request.urn)
        else:
            self._events.emit_diagnostic(severity, request.message, urn=request.urn, ephemeral=request.ephemeral)
        return empty_pb2.Empty()

    def SetRootResource(self, request: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import engine_pb2

        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def GetRootResource(self, _request: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import engine_pb2

        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def RequirePulumiVersion(self, _request: Any) -> Any:  # noqa: N802
        from pulumi.runtime.proto import engine_pb2

        return engine_pb2.RequirePulumiVersionResponse()
