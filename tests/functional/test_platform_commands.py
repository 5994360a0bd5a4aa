"""Commands of a platform engineer between two updates, on the real program on a running local platform."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from benchmarks.terraform_cli import Terraform, missing_reason

from provisioned_site import Site

pytestmark = pytest.mark.filterwarnings("ignore:.* has been deprecated in favor of:DeprecationWarning")
ENDPOINT = "bedplate-local-churn"
ALARM = "bedplate-local-churn-latency"
BUCKET = "bedplate-local-artifacts-123456789012"


def test_drift_names_changes_and_deletions_and_refresh_updates_the_state(site: Site) -> None:
    clean = site.run("drift", "--json")
    assert (clean.code, clean.json["drifted"], clean.json["differences"]) == (0, False, [])
    before = read_state(site)
    site.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    site.client("cloudwatch").delete_alarms(AlarmNames=[ALARM])

    drift = site.run("drift", "--json")
    assert (drift.code, drift.json["drifted"], drift.json["unapplied_changes"]) == (3, True, False)
    assert [(d["kind"], d["name"], d["path"], d["program"], d["live"]) for d in drift.json["differences"]] == [
        ("changed", "artifacts", "versioningConfiguration.status", "Enabled", "Suspended"),
        ("gone", ALARM, "", "exists", None),
    ]
    assert read_state(site) == before, "drift changes nothing"
    calls = {event and event["name"] for event in drift.json["changed_by"].values()}
    assert calls == {"PutBucketVersioning", "DeleteAlarms"}
    assert drift.json["trail_error"] is None

    assert site.run("refresh", "--dry-run", "--json").json["changed"]
    assert read_state(site) == before
    assert {step["op"] for step in site.run("refresh", "--json").json["steps"]} == {"update", "delete"}
    after = site.run("drift", "--json")
    assert (after.code, after.json["unapplied_changes"]) == (0, True)
    assert site.run("up", "--json").json["counts"].items() >= {"create": 1, "update": 1}.items()
    assert site.client("s3").get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"


def read_state(site: Site) -> str:
    return (site.project / ".bedplate" / "state" / "local.json").read_text()


def test_a_release_of_the_cli_is_not_drift(site: Site) -> None:
    client = site.client("sagemaker")
    config_before = read_live_config(site)
    config = client.describe_endpoint_config(EndpointConfigName=config_before)
    client.create_endpoint_config(EndpointConfigName="release", ProductionVariants=config["ProductionVariants"])
    deploy_config(site, "release")
    assert read_live_config(site) == "release"
    assert site.run("drift").code == 0
    deploy_config(site, config_before)
    client.delete_endpoint_config(EndpointConfigName="release")


def read_live_config(site: Site) -> str:
    return str(site.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"])


def deploy_config(site: Site, config: str) -> None:
    client = site.client("sagemaker")
    waiter = client.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=ENDPOINT, WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})
    client.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=config)
    waiter.wait(EndpointName=ENDPOINT, WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})


def test_preview_prices_the_change_and_warns_of_losses(site: Site) -> None:
    site.configure(models=[])
    plan = site.run("preview", "--json").json
    assert {(w["kind"], w["type"].split(":")[-1]) for w in plan["warnings"]} == {
        ("traffic", "Endpoint"),
        ("data", "ModelPackageGroup"),
        ("data", "LogGroup"),
    }
    cost = plan["monthly_cost"]
    instances, alarms, health, dashboard = 2 * 0.115 * 730, 3 * 0.10, 0.50, 3
    assert cost["difference_usd"] == pytest.approx(-(instances + alarms + health + dashboard), abs=0.01)
    assert {line["type"].split(":")[-1] for line in cost["lines"] if line["difference_usd"] is None} == {
        "BudgetAction",
        "DataQualityJobDefinition",
        "LogGroup",
    }
    text = site.run("preview", "--markdown").stdout
    assert "- **DROPS TRAFFIC** delete aws sagemaker Endpoint bedplate-local-churn" in text
    assert "**Difference a month: -$171.70, and 3 unknown**" in text
    assert site.run("preview", "--markdown", "--json").code == 2
    site.configure()
    assert site.run("preview", "--json").json["monthly_cost"]["lines"] == []


def test_a_mode_change_of_an_existing_endpoint_is_refused(site: Site) -> None:
    path = site.project / "models" / "churn" / "model.yaml"
    before = path.read_text()
    changed = yaml.safe_load(before)
    changed["serving"]["mode"] = "async"
    path.write_text(yaml.safe_dump(changed))
    try:
        previewed, applied = site.run("preview"), site.run("up", "--yes")
    finally:
        path.write_text(before)
    for result in (previewed, applied):
        assert result.code == 2
        assert f"{ENDPOINT} has mode 'instance', but model.yaml declares 'async'" in result.stderr
    assert site.run("preview", "--json").json["counts"].keys() == {"same"}


def test_an_exported_state_can_be_imported(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    resources_before = site.run("state", "list", "--json").json["resources"]
    assert BUCKET in {resource["id"] for resource in resources_before}
    written = site.run("state", "export", "--file", str(path), "--json").json
    assert written["resources"] == len(resources_before)
    assert path.stat().st_mode & 0o077 == 0

    reduced = json.loads(path.read_text())
    resources = reduced["deployment"]["resources"]
    reduced["deployment"]["resources"] = [r for r in resources if not r["type"].endswith("dashboard:Dashboard")]
    (tmp_path / "fewer.json").write_text(json.dumps(reduced))
    assert site.run("state", "import", str(tmp_path / "fewer.json"), "--json").code == 2, (
        "it needs a confirmation or --yes"
    )
    assert site.run("state", "import", str(tmp_path / "fewer.json"), "--yes", "--json").code == 0
    assert site.run("preview", "--json").json["counts"]["create"] == 1

    assert site.run("state", "import", str(path), "--yes").code == 0
    assert site.run("state", "list", "--json").json["resources"] == resources_before
    assert not site.run("preview", "--json").json["changed"]


@pytest.mark.parametrize("text", ["no json", "[]", "{}", '{"deployment": null}'])
def test_an_invalid_exported_state_is_refused(site: Site, tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    result = site.run("state", "import", str(tmp_path / "other.json"), "--yes")
    assert (result.code, "bedplate state export" in result.stderr) == (2, True)


def test_the_terraform_export_imports_every_resource(site: Site, tmp_path: Path) -> None:
    directory = tmp_path / "terraform"
    summary = site.run("export", "terraform", str(directory), "--json").json
    resources = [r for r in site.run("state", "list", "--json").json["resources"] if r["type"].startswith("aws:")]
    trees = {path.name: json.loads(path.read_text()) for path in directory.glob("*.tf.json")}
    written = [
        f"{kind}.{name}"
        for tree in trees.values()
        for kind, named in tree.get("resource", {}).items()
        for name in named
    ]
    imported = {block["to"]: block["id"] for block in trees["imports.tf.json"]["import"]}
    assert summary["resources"] == len(resources) == len(written) == len(imported)
    assert set(written) == set(imported)
    assert imported[f"aws_sagemaker_endpoint.{ENDPOINT}"] == ENDPOINT
    endpoint = trees["serving.tf.json"]["resource"]["aws_sagemaker_endpoint"][ENDPOINT]
    assert endpoint["endpoint_config_name"] == f"${{aws_sagemaker_endpoint_configuration.{ENDPOINT}-v0.id}}"
    assert endpoint["lifecycle"]["ignore_changes"] == ["deployment_config", "endpoint_config_name"]


@pytest.mark.skipif(bool(missing_reason()), reason=missing_reason())
def test_terraform_imports_the_stack_and_plans_no_change(site: Site, tmp_path: Path) -> None:
    summary = site.run("export", "terraform", str(tmp_path / "terraform"), "--show-secrets", "--json").json
    terraform = Terraform(tmp_path / "terraform")
    terraform.init()
    terraform.run("plan", "-input=false", "-out=plan")
    changes = {
        r["address"]: r["change"] for r in json.loads(terraform.run("show", "-json", "plan"))["resource_changes"]
    }
    assert {address: c["actions"] for address, c in changes.items() if c["actions"] != ["no-op"]} == {}
    assert len(changes) == summary["resources"]
    assert all("importing" in change for change in changes.values())
