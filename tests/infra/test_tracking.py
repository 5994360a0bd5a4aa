"""The managed MLflow tracking server."""

from __future__ import annotations

from collections.abc import Callable

from .conftest import Program


def test_there_is_no_tracking_server_by_default(prod: Program) -> None:
    assert not prod.has("MlflowTrackingServer")
    assert prod.exports["tracking_server_arn"] == ""


def test_a_tracking_server_stores_artifacts_under_its_own_prefix(run_stack: Callable[..., Program]) -> None:
    program = run_stack(tracking={"enabled": True, "size": "Medium"})
    (server,) = program.of_type("MlflowTrackingServer")
    assert server.inputs["trackingServerSize"] == "Medium"
    assert server.inputs["artifactStoreUri"].endswith("/tracking")
    assert program.exports["tracking_server_arn"]
    policy = next(p for p in program.of_type("RolePolicy") if p.name == "tracking")
    resources = [s["Resource"] for s in policy.document() if s["Sid"] == "KeepArtifacts"]
    assert [r.endswith("/tracking/*") for r in resources] == [True]
