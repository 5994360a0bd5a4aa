"""What a platform engineer types between two `up`s, on one stack of the real program on a running local platform."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from benchmarks.terraform_cli import Terraform, missing_reason

from standing_stack import Site

pytestmark = pytest.mark.filterwarnings("ignore:.* has been deprecated in favor of:DeprecationWarning")
ENDPOINT = "bedplate-local-churn"
ALARM = "bedplate-local-churn-latency"
BUCKET = "bedplate-local-artifacts-123456789012"


def test_drift_names_what_was_changed_and_deleted_and_refresh_takes_it_over(site: Site) -> None:
    clean = site.run("drift", "--json")
    assert (clean.code, clean.json["drifted"], clean.json["differences"]) == (0, False, [])
    before = state(site)
    site.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    site.client("cloudwatch").delete_alarms(AlarmNames=[ALARM])

    drift = site.run("drift", "--json")
    assert (drift.code, drift.json["drifted"], drift.json["unapplied_changes"]) == (3, True, False)
    assert [(d["kind"], d["name"], d["path"], d["program"], d["live"]) for d in drift.json["differences"]] == [
        ("changed", "artifacts", "versioningConfiguration.status", "Enabled", "Suspended"),
        ("gone", ALARM, "", "exists", None),
    ]
    assert state(site) == before, "drift only looks"
    calls = {event and event["name"] for event in drift.json["changed_by"].values()}
    assert calls == {"PutBucketVersioning", "DeleteAlarms"}
    assert drift.json["trail_error"] is None

    assert site.run("refresh", "--dry-run", "--json").json["changed"]
    assert state(site) == before
    assert {step["op"] for step in site.run("refresh", "--json").json["steps"]} == {"update", "delete"}
    after = site.run("drift", "--json")
    assert (after.code, after.json["unapplied_changes"]) == (0, True)
    assert site.run("up", "--json").json["counts"].items() >= {"create": 1, "update": 1}.items()
    assert site.client("s3").get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"


def state(site: Site) -> str:
    return (site.project / ".bedplate" / "state" / "local.json").read_text()


def test_a_release_by_the_command_line_is_no_drift(site: Site) -> None:
    client = site.client("sagemaker")
    now = served(site)
    config = client.describe_endpoint_config(EndpointConfigName=now)
    client.create_endpoint_config(EndpointConfigName="release", ProductionVariants=config["ProductionVariants"])
    serve(site, "release")
    assert served(site) == "release"
    assert site.run("drift").code == 0
    serve(site, now)
    client.delete_endpoint_config(EndpointConfigName="release")


def served(site: Site) -> str:
    return str(site.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"])


def serve(site: Site, config: str) -> None:
    client = site.client("sagemaker")
    waiter = client.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=ENDPOINT, WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})
    client.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=config)
    waiter.wait(EndpointName=ENDPOINT, WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})


def test_preview_prices_the_change_and_warns_of_what_would_be_lost(site: Site) -> None:
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


def test_another_mode_of_an_endpoint_that_is_up_is_refused_with_the_way_out(site: Site) -> None:
    path = site.project / "models" / "churn" / "model.yaml"
    before = path.read_text()
    changed = yaml.safe_load(before)
    changed["serving"]["mode"] = "async"
    path.write_text(yaml.safe_dump(changed))
    try:
        previewed, applied = site.run("preview"), site.run("up", "--yes")
    finally:
        path.write_text(before)
    for told in (previewed, applied):
        assert told.code == 2
        assert f"{ENDPOINT} is up as 'instance', and model.yaml says 'async'" in told.stderr
    assert site.run("preview", "--json").json["counts"].keys() == {"same"}


def test_an_exported_state_comes_back_as_it_was(site: Site, tmp_path: Path) -> None:
    kept = tmp_path / "state.json"
    held = site.run("state", "list", "--json").json["resources"]
    assert BUCKET in {resource["id"] for resource in held}
    written = site.run("state", "export", "--file", str(kept), "--json").json
    assert written["resources"] == len(held)
    assert kept.stat().st_mode & 0o077 == 0

    fewer = json.loads(kept.read_text())
    resources = fewer["deployment"]["resources"]
    fewer["deployment"]["resources"] = [r for r in resources if not r["type"].endswith("dashboard:Dashboard")]
    (tmp_path / "fewer.json").write_text(json.dumps(fewer))
    assert site.run("state", "import", str(tmp_path / "fewer.json"), "--json").code == 2, "it asks, or wants --yes"
    assert site.run("state", "import", str(tmp_path / "fewer.json"), "--yes", "--json").code == 0
    assert site.run("preview", "--json").json["counts"]["create"] == 1

    assert site.run("state", "import", str(kept), "--yes").code == 0
    assert site.run("state", "list", "--json").json["resources"] == held
    assert not site.run("preview", "--json").json["changed"]


@pytest.mark.parametrize("text", ["no json", "[]", "{}", '{"deployment": null}'])
def test_what_is_no_exported_state_is_refused(site: Site, tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    ran = site.run("state", "import", str(tmp_path / "other.json"), "--yes")
    assert (ran.code, "bedplate state export" in ran.stderr) == (2, True)


def test_the_whole_stack_is_written_as_terraform_with_an_import_for_each_resource(site: Site, tmp_path: Path) -> None:
    directory = tmp_path / "terraform"
    told = site.run("export", "terraform", str(directory), "--json").json
    held = [r for r in site.run("state", "list", "--json").json["resources"] if r["type"].startswith("aws:")]
    trees = {path.name: json.loads(path.read_text()) for path in directory.glob("*.tf.json")}
    written = [
        f"{kind}.{name}"
        for tree in trees.values()
        for kind, named in tree.get("resource", {}).items()
        for name in named
    ]
    imported = {block["to"]: block["id"] for block in trees["imports.tf.json"]["import"]}
    assert told["resources"] == len(held) == len(written) == len(imported)
    assert set(written) == set(imported)
    assert imported[f"aws_sagemaker_endpoint.{ENDPOINT}"] == ENDPOINT
    endpoint = trees["serving.tf.json"]["resource"]["aws_sagemaker_endpoint"][ENDPOINT]
    assert endpoint["endpoint_config_name"] == f"${{aws_sagemaker_endpoint_configuration.{ENDPOINT}-v0.id}}"
    assert endpoint["lifecycle"]["ignore_changes"] == ["deployment_config", "endpoint_config_name"]


@pytest.mark.skipif(bool(missing_reason()), reason=missing_reason())
def test_terraform_imports_the_whole_stack_and_plans_no_change(site: Site, tmp_path: Path) -> None:
    told = site.run("export", "terraform", str(tmp_path / "terraform"), "--show-secrets", "--json").json
    terraform = Terraform(tmp_path / "terraform")
    terraform.init()
    terraform.run("plan", "-input=false", "-out=plan")
    changes = {
        r["address"]: r["change"] for r in json.loads(terraform.run("show", "-json", "plan"))["resource_changes"]
    }
    assert {address: c["actions"] for address, c in changes.items() if c["actions"] != ["no-op"]} == {}
    assert len(changes) == told["resources"]
    assert all("importing" in change for change in changes.values())
