"""Runs the unmodified program with the embedded engine on a local platform, from the first `up` to `destroy`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.engine.automation.stack import Stack
from bedplate.engine.automation.update import Update
from bedplate.engine.protocol import INTENT_TAG
from bedplate.engine.provider import provider_factory
from bedplate.engine.provider.clients import AwsClients
from bedplate.local import lifecycle
from bedplate.settings import PlatformOutputs
from builders import a_spec
from inventory import list_inventory
from program_copy import copy_program

from .conftest import a_config

pytestmark = pytest.mark.filterwarnings("ignore:.* has been deprecated in favor of:DeprecationWarning")


class Environment:
    """A temporary project with one model, its local platform and a stack."""

    def __init__(self, project: Path) -> None:
        self.project = project
        (project / "stacks").mkdir()
        copy_program(project, "infra")
        self.write_model()
        self.write_stack()
        self.url = str(lifecycle.start(project, port=0).url)
        self.cloud = AwsClients(self.url, "us-east-1")
        factory = provider_factory(self.url, "us-east-1")
        self.stack = Stack(
            project, "local", endpoint_url=self.url, provider_factory=factory, state_dir=project / ".bedplate" / "state"
        )

    def write_model(self, **changes: Any) -> None:
        folder = self.project / "models" / "churn"
        folder.mkdir(parents=True, exist_ok=True)
        spec = a_spec("churn", **changes).model_dump(mode="json", exclude_none=True)
        (folder / "model.yaml").write_text(yaml.safe_dump(spec))

    def write_stack(self, **changes: Any) -> None:
        values = {"target": "local", "models": ["churn"], "storage": {"force_destroy": True}, **changes}
        text = yaml.safe_dump({"config": a_config(**values)})
        (self.project / "stacks" / "Pulumi.local.yaml").write_text(text)

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        return self.cloud.call(service, operation, **params)


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    monkeypatch.delenv("BEDPLATE_STATE_DIR", raising=False)
    yield Environment(tmp_path)
    lifecycle.stop(tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
from bedplate.engine.provider import provider_factory
from bedplate.engine.provider.clients import AwsClients
from bedplate.engine.automation.stack import Stack

verb, project, url, left = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
call = AwsClients.call

def counted(self, service, operation, **params):
    global left
    response = call(self, service, operation, **params)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)  # the call was made, but its response was never received
    return response

AwsClients.call = counted
factory = provider_factory(url, "us-east-1")
state = project / ".bedplate" / "state"
getattr(Stack(project, "local", endpoint_url=url, provider_factory=factory, state_dir=state), verb)()
"""


def kill_in(environment: Environment, verb: str, calls: int) -> None:
    """Runs a verb in a process that is killed right after `calls` calls to the platform."""
    arguments = [verb, str(environment.project), environment.cloud.endpoint_url, str(calls)]
    process = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, timeout=120, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()


def changes_of(update: Update) -> set[tuple[str, str]]:
    return {(step.op, step.type.rsplit(":", 1)[1]) for step in update.steps}


def test_up_refresh_and_destroy_leave_no_resources(environment: Environment) -> None:
    environment.write_stack(automation={"reconcile": True})
    planned = environment.stack.preview()
    assert set(planned.counts) == {"create"}

    created = environment.stack.up()
    assert created.counts == planned.counts
    outputs = PlatformOutputs.model_validate(created.outputs)
    parameter = environment.call("ssm", "GetParameter", Name="/bedplate/local/platform-outputs", WithDecryption=True)
    assert PlatformOutputs.model_validate_json(parameter["Parameter"]["Value"]) == outputs

    endpoint = environment.call("sagemaker", "DescribeEndpoint", EndpointName="bedplate-local-churn")
    assert endpoint["EndpointStatus"] == "InService"
    assert endpoint["EndpointConfigName"] == outputs.fallback_releases["churn"]
    tags = environment.call("sagemaker", "ListTags", ResourceArn=endpoint["EndpointArn"])["Tags"]
    assert {"Model", "Owner", INTENT_TAG} <= {tag["Key"] for tag in tags}

    assert not environment.stack.up().has_changes
    assert not environment.stack.refresh().has_changes

    environment.stack.destroy()
    assert list_inventory(environment.url) == []


def test_a_change_of_serving_replaces_release_zero_and_keeps_the_endpoint(environment: Environment) -> None:
    before = PlatformOutputs.model_validate(environment.stack.up().outputs)
    serving = {"instance_type": "ml.m5.xlarge", "slo": {"latency_p99_ms": 200}}
    environment.write_model(serving=serving, rollout={"bake_s": 30})
    update = environment.stack.up()
    assert changes_of(update) == {
        ("replace", "EndpointConfiguration"),
        ("update", "Dashboard"),
        ("update", "MetricAlarm"),
        ("update", "Parameter"),
    }
    after = PlatformOutputs.model_validate(update.outputs)
    assert after.fallback_releases != before.fallback_releases
    endpoint = environment.call("sagemaker", "DescribeEndpoint", EndpointName="bedplate-local-churn")
    assert endpoint["EndpointConfigName"] == before.fallback_releases["churn"]
    assert not environment.stack.up().has_changes
    environment.stack.destroy()
    assert list_inventory(environment.url) == []


def test_up_never_reverts_a_release(environment: Environment) -> None:
    before = PlatformOutputs.model_validate(environment.stack.up().outputs)
    fallback = environment.call(
        "sagemaker", "DescribeEndpointConfig", EndpointConfigName=before.fallback_releases["churn"]
    )
    release = "bedplate-local-churn-v1-0a1b2c3d"
    variants = fallback["ProductionVariants"]
    environment.call("sagemaker", "CreateEndpointConfig", EndpointConfigName=release, ProductionVariants=variants)
    environment.call("sagemaker", "UpdateEndpoint", EndpointName="bedplate-local-churn", EndpointConfigName=release)

    def live() -> bool:
        endpoint = environment.call("sagemaker", "DescribeEndpoint", EndpointName="bedplate-local-churn")
        return (endpoint["EndpointConfigName"], endpoint["EndpointStatus"]) == (release, "InService")

    environment.cloud.wait_until("the release to be live", live)
    environment.write_model(rollout={"bake_s": 30}, owner="new.owner@example.com")
    update = environment.stack.up()
    assert ("update", "Endpoint") in changes_of(update)  # its tags
    assert live()
    environment.stack.refresh()
    environment.stack.up()
    assert live()


def test_refresh_finds_manual_changes_and_up_reverts_them(environment: Environment) -> None:
    environment.stack.up()
    bucket = "bedplate-local-ledger-123456789012"
    environment.call("s3", "DeletePublicAccessBlock", Bucket=bucket)
    environment.call("s3", "PutBucketVersioning", Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    drift = environment.stack.refresh()
    assert changes_of(drift) == {("delete", "BucketPublicAccessBlock"), ("update", "BucketVersioning")}
    update = environment.stack.up()
    assert changes_of(update) == {("create", "BucketPublicAccessBlock"), ("update", "BucketVersioning")}
    assert environment.call("s3", "GetBucketVersioning", Bucket=bucket)["Status"] == "Enabled"


def test_a_second_model_can_be_added_and_removed(environment: Environment) -> None:
    environment.stack.up()
    folder = environment.project / "models" / "prices"
    folder.mkdir()
    spec = a_spec("prices").model_dump(mode="json", exclude_none=True)
    (folder / "model.yaml").write_text(yaml.safe_dump(spec))
    environment.write_stack(models=["churn", "prices"])
    added = environment.stack.up()
    assert {op for op, _ in changes_of(added)} <= {"create", "update"}
    assert {d["EndpointName"] for d in environment.call("sagemaker", "ListEndpoints")["Endpoints"]} == {
        "bedplate-local-churn",
        "bedplate-local-prices",
    }
    environment.write_stack()
    removed = environment.stack.up()
    assert ("delete", "Endpoint") in changes_of(removed)
    assert json.loads(json.dumps(environment.stack.outputs()["models"])) == ["churn"]
    assert len(environment.call("sagemaker", "ListEndpoints")["Endpoints"]) == 1


def test_network_readers_and_cost_tags_are_created_and_destroyed(environment: Environment) -> None:
    reader = {"reader_account_ids": ["222222222222"]}
    environment.write_stack(network={"enabled": True}, registry=reader, cost_allocation_tags=True)
    assert set(environment.stack.preview().counts) == {"create"}
    outputs = PlatformOutputs.model_validate(environment.stack.up().outputs)
    assert outputs.network is not None
    config = environment.call("sagemaker", "DescribeEndpoint", EndpointName="bedplate-local-churn")
    assert config["EndpointStatus"] == "InService"
    assert not environment.stack.up().has_changes
    assert not environment.stack.refresh().has_changes

    vpcs = environment.call("ec2", "DescribeVpcs", Filters=[{"Name": "tag:Project", "Values": ["bedplate"]}])["Vpcs"]
    vpc = vpcs[0]["VpcId"]
    environment.call("ec2", "ModifyVpcAttribute", VpcId=vpc, EnableDnsHostnames={"Value": False})
    drift = environment.stack.refresh()
    assert changes_of(drift) == {("update", "Vpc")}
    assert changes_of(environment.stack.up()) == {("update", "Vpc")}

    tags = environment.call("ce", "ListCostAllocationTags", Status="Active")["CostAllocationTags"]
    assert {tag["TagKey"] for tag in tags} == {"Project", "Stack", "Model", "Owner", "CostCenter"}
    environment.stack.destroy()
    assert list_inventory(environment.url) == []
    assert (
        environment.call("ec2", "DescribeVpcs", VpcIds=[])["Vpcs"]
        == environment.call("ec2", "DescribeVpcs", Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    )


@pytest.mark.parametrize("calls", [5, 60])
def test_a_killed_update_neither_loses_nor_duplicates_resources(environment: Environment, calls: int) -> None:
    kill_in(environment, "up", calls)
    environment.stack.up()
    inventory = list_inventory(environment.url)
    assert len(inventory) == len(set(inventory)), "a resource exists twice"
    assert len([entry for entry in inventory if entry.startswith("kms Keys: ")]) == 2
    assert not environment.stack.refresh().has_changes
    assert not environment.stack.up().has_changes
    kill_in(environment, "destroy", calls)
    environment.stack.destroy()
    assert list_inventory(environment.url) == []
