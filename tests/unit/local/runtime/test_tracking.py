"""Tracking servers: up when one is wanted, gone with the platform, back with it."""

from __future__ import annotations

import urllib.request

from bedplate.local.hooks import Record
from unit.local.runtime.rig import ARN, Rig


def wanted(rig: Rig, name: str = "runs") -> Record:
    arn = f"{ARN}:mlflow-tracking-server/{name}"
    record = {"TrackingServerName": name, "TrackingServerArn": arn, "TrackingServerStatus": "Creating"}
    rig.world.put("mlflow-tracking-server", name, record)
    rig.hooks.tracking_wanted(record)
    rig.world.until(lambda: rig.world.tables["mlflow-tracking-server"][name]["TrackingServerStatus"] != "Creating")
    return rig.world.tables["mlflow-tracking-server"][name]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return True
    except OSError:
        return False


def test_a_tracking_server_answers_at_its_address(rig: Rig) -> None:
    record = wanted(rig)
    assert (record["TrackingServerStatus"], record["IsActive"]) == ("Created", "Active")
    with urllib.request.urlopen(f"{record['TrackingServerUrl']}/health", timeout=5) as reply:
        assert reply.status == 200


def test_a_tracking_server_comes_back_with_the_platform(rig: Rig) -> None:
    first = wanted(rig)["TrackingServerUrl"]
    rig.close()
    rig.world.until(lambda: not answers(first))  # its workers go a moment after it
    again = rig.again()
    try:
        table = rig.world.tables["mlflow-tracking-server"]
        again.hooks.restore()
        rig.world.until(lambda: table["runs"]["TrackingServerUrl"] != first)
        with urllib.request.urlopen(f"{table['runs']['TrackingServerUrl']}/health", timeout=5) as reply:
            assert reply.status == 200
    finally:
        again.close()
