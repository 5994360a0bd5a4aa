"""Tracking servers start on request, stop with the platform and are restored with it."""

from __future__ import annotations

import urllib.request

from bedplate.local.hooks import Record
from runtime_driver import ARN, RuntimeDriver


def start_server(driver: RuntimeDriver, name: str = "runs") -> Record:
    arn = f"{ARN}:mlflow-tracking-server/{name}"
    record = {"TrackingServerName": name, "TrackingServerArn": arn, "TrackingServerStatus": "Creating"}
    driver.services.put_record("mlflow-tracking-server", name, record)
    driver.hooks.tracking_started(record)
    driver.services.wait_until(
        lambda: driver.services.tables["mlflow-tracking-server"][name]["TrackingServerStatus"] != "Creating"
    )
    return driver.services.tables["mlflow-tracking-server"][name]


def is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return True
    except OSError:
        return False


def test_tracking_server_is_healthy_at_its_url(driver: RuntimeDriver) -> None:
    record = start_server(driver)
    assert (record["TrackingServerStatus"], record["IsActive"]) == ("Created", "Active")
    with urllib.request.urlopen(f"{record['TrackingServerUrl']}/health", timeout=5) as reply:
        assert reply.status == 200


def test_tracking_server_is_restored_with_the_platform(driver: RuntimeDriver) -> None:
    first_url = start_server(driver)["TrackingServerUrl"]
    driver.close()
    driver.services.wait_until(lambda: not is_healthy(first_url))  # its workers end shortly after it
    restarted = driver.restart()
    try:
        table = driver.services.tables["mlflow-tracking-server"]
        restarted.hooks.restore()
        driver.services.wait_until(lambda: table["runs"]["TrackingServerUrl"] != first_url)
        with urllib.request.urlopen(f"{table['runs']['TrackingServerUrl']}/health", timeout=5) as reply:
            assert reply.status == 200
    finally:
        restarted.close()
