"""A state as Terraform: names, blocks, references, imports, secrets; and a directory that stays its owner's."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bedplate.engine.terraform import export, write
from bedplate.engine.terraform.names import TYPES, schema, terraform_type
from bedplate.engine.terraform.values import SECRET, SIGNATURE
from bedplate.errors import BedplateError, UsageError

ROOT = "urn:pulumi:dev::shop::"
STORAGE = f"{ROOT}bedplate:platform:Storage$"


def a_resource(token: str, name: str, inputs: dict[str, Any], *, parent: str = STORAGE, **more: Any) -> dict[str, Any]:
    outputs = {**inputs, **more.pop("outputs", {})}
    return {
        "urn": f"{parent}{token}::{name}",
        "custom": True,
        "type": token,
        "id": more.pop("id", name),
        "inputs": inputs,
        "outputs": outputs,
        **more,
    }


BUCKET = a_resource(
    "aws:s3/bucket:Bucket",
    "data",
    {"bucket": "shop-dev-data", "forceDestroy": True, "tags": {"CostCenter": "${ml}"}},
    id="shop-dev-data",
    outputs={"arn": "arn:aws:s3:::shop-dev-data"},
)
POLICY = a_resource(
    "aws:s3/bucketPolicy:BucketPolicy",
    "data",
    {
        "bucket": "shop-dev-data",
        "policy": '{"Resource": ["arn:aws:s3:::shop-dev-data/*", "arn:aws:s3:::shop-dev-data2"]}',
    },
    id="shop-dev-data",
    propertyDependencies={"bucket": [BUCKET["urn"]], "policy": [BUCKET["urn"]]},
    dependencies=[BUCKET["urn"]],
)


def a_document(*resources: dict[str, Any], outputs: dict[str, Any] | None = None) -> dict[str, Any]:
    provider = {
        "urn": f"{ROOT}pulumi:providers:aws::default",
        "type": "pulumi:providers:aws",
        "inputs": {"region": "eu-west-1"},
    }
    stack = {"urn": f"{ROOT}pulumi:pulumi:Stack::shop-dev", "type": "pulumi:pulumi:Stack", "outputs": outputs or {}}
    return {"version": 3, "deployment": {"resources": [stack, provider, *resources]}}


def blocks(*resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every resource block by its address."""
    exported = export(a_document(*resources))
    return {
        f"{kind}.{name}": block
        for tree in exported.files.values()
        for kind, named in tree.get("resource", {}).items()
        for name, block in named.items()
    }


def test_a_value_that_came_from_another_resource_becomes_a_reference() -> None:
    policy = blocks(BUCKET, POLICY)["aws_s3_bucket_policy.data"]
    assert policy["bucket"] == "${aws_s3_bucket.data.id}"
    assert "${aws_s3_bucket.data.arn}/*" in policy["policy"]


def test_a_longer_name_that_begins_like_a_known_one_is_left_as_it_is() -> None:
    assert "arn:aws:s3:::shop-dev-data2" in blocks(BUCKET, POLICY)["aws_s3_bucket_policy.data"]["policy"]


def test_without_a_dependency_equal_text_stays_text() -> None:
    lonely = {**POLICY, "propertyDependencies": {}, "dependencies": []}
    assert blocks(BUCKET, lonely)["aws_s3_bucket_policy.data"]["bucket"] == "shop-dev-data"


def test_text_that_terraform_would_read_as_an_expression_is_escaped() -> None:
    assert blocks(BUCKET)["aws_s3_bucket.data"]["tags"] == {"CostCenter": "$${ml}"}


def test_plural_lists_become_singular_blocks_and_objects_stay_single() -> None:
    rules = a_resource(
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "data",
        {"bucket": "b", "rules": [{"id": "old", "status": "Enabled", "expiration": {"days": 30.0}, "filter": {}}]},
    )
    block = blocks(rules)["aws_s3_bucket_lifecycle_configuration.data"]
    assert block["rule"] == [{"id": "old", "status": "Enabled", "expiration": {"days": 30}, "filter": {}}]


def test_keys_of_maps_are_not_renamed() -> None:
    alarm = a_resource(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "a",
        {
            "name": "shop-a",
            "comparisonOperator": "GreaterThanThreshold",
            "evaluationPeriods": 1,
            "dimensions": {"EndpointName": "e"},
        },
    )
    block = blocks(alarm)["aws_cloudwatch_metric_alarm.a"]
    assert (block["alarm_name"], block["dimensions"]) == ("shop-a", {"EndpointName": "e"})


def test_what_only_the_provider_keeps_is_left_out_and_told() -> None:
    exported = export(a_document(BUCKET))
    assert "force_destroy" not in exported.files["storage.tf.json"]["resource"]["aws_s3_bucket"]["data"]
    assert exported.left_out == ("aws_s3_bucket.data.force_destroy",)


def test_every_resource_has_an_import_with_the_id_that_terraform_asks_for() -> None:
    target = a_resource(
        "aws:appautoscaling/target:Target",
        "t",
        {
            "serviceNamespace": "sagemaker",
            "resourceId": "endpoint/e/variant/live",
            "scalableDimension": "sagemaker:variant:DesiredInstanceCount",
            "minCapacity": 1,
            "maxCapacity": 2,
        },
        id="endpoint/e/variant/live",
    )
    imports = {i["to"]: i["id"] for i in export(a_document(BUCKET, target)).files["imports.tf.json"]["import"]}
    assert imports == {
        "aws_s3_bucket.data": "shop-dev-data",
        "aws_appautoscaling_target.t": "sagemaker/endpoint/e/variant/live/sagemaker:variant:DesiredInstanceCount",
    }


def test_ignored_changes_and_protection_become_lifecycle_rules() -> None:
    endpoint = a_resource(
        "aws:sagemaker/endpoint:Endpoint",
        "e",
        {"name": "e", "endpointConfigName": "c"},
        ignoreChanges=["endpointConfigName", "deploymentConfig.autoRollbackConfiguration"],
        protect=True,
    )
    assert blocks(endpoint)["aws_sagemaker_endpoint.e"]["lifecycle"] == {
        "ignore_changes": ["deployment_config", "endpoint_config_name"],
        "prevent_destroy": True,
    }


def test_a_dependency_that_no_argument_shows_is_written_out() -> None:
    late = {**POLICY, "propertyDependencies": {}}
    assert blocks(BUCKET, late)["aws_s3_bucket_policy.data"]["depends_on"] == ["aws_s3_bucket.data"]


@pytest.mark.parametrize(("shown", "value"), [({"ciphertext": "v1:x"}, None), ({"plaintext": '"s3cret"'}, "s3cret")])
def test_a_secret_is_a_variable_and_never_in_the_configuration(
    shown: dict[str, str], value: str | None, tmp_path: Path
) -> None:
    secret = {SIGNATURE: SECRET, **shown}
    parameter = a_resource("aws:ssm/parameter:Parameter", "p", {"name": "/p", "type": "String", "value": secret})
    exported = export(a_document(parameter))
    assert exported.secrets == {"aws_ssm_parameter_p_value": value}
    block = exported.files["storage.tf.json"]["resource"]["aws_ssm_parameter"]["p"]
    assert block["value"] == "${var.aws_ssm_parameter_p_value}"
    write(exported, tmp_path / "tf", stack="dev", project_dir=tmp_path)
    held = tmp_path / "tf" / "secrets.auto.tfvars.json"
    assert held.exists() == (value is not None)
    if value is not None:
        assert held.stat().st_mode & 0o077 == 0
        assert json.loads(held.read_text()) == {"aws_ssm_parameter_p_value": "s3cret"}
        assert held.name in (tmp_path / "tf" / ".gitignore").read_text()


@pytest.mark.parametrize(
    ("inputs", "told"),
    [({"bucket": "b", "colour": "red"}, "'colour'"), ({"bucket": "b", "versioning": {"hue": 1}}, "'versioning.hue'")],
)
def test_a_property_without_a_counterpart_is_an_error_not_an_omission(inputs: dict[str, Any], told: str) -> None:
    with pytest.raises(BedplateError, match=told):
        export(a_document(a_resource("aws:s3/bucket:Bucket", "b", inputs)))


def test_a_missing_required_argument_is_an_error() -> None:
    with pytest.raises(BedplateError, match="requires comparison_operator"):
        export(a_document(a_resource("aws:cloudwatch/metricAlarm:MetricAlarm", "a", {"name": "a"})))


def test_an_unknown_type_is_an_error_that_names_it() -> None:
    with pytest.raises(BedplateError, match="aws:rds/cluster:Cluster"):
        export(a_document(a_resource("aws:rds/cluster:Cluster", "db", {})))


def test_an_empty_stack_says_what_to_do() -> None:
    with pytest.raises(BedplateError) as caught:
        export(a_document())
    assert caught.value.next_step == "bedplate up"


def test_components_are_files_and_equal_names_of_one_type_are_told_apart() -> None:
    twin = {**BUCKET, "urn": f"{ROOT}bedplate:platform:Audit$aws:s3/bucket:Bucket::data"}
    exported = export(a_document(BUCKET, twin))
    assert list(exported.files["storage.tf.json"]["resource"]["aws_s3_bucket"]) == ["data"]
    assert list(exported.files["audit.tf.json"]["resource"]["aws_s3_bucket"]) == ["data-2"]


def test_the_provider_is_held_to_the_account_on_aws_and_to_the_endpoint_on_the_laptop() -> None:
    role = a_resource(
        "aws:iam/role:Role", "r", {"assumeRolePolicy": "{}"}, outputs={"arn": "arn:aws:iam::210987654321:role/r"}
    )
    on_aws = export(a_document(role)).files["providers.tf.json"]["provider"]["aws"]
    assert (on_aws["region"], on_aws["allowed_account_ids"]) == ("eu-west-1", ["210987654321"])
    local = export(a_document(role), endpoint_url="http://127.0.0.1:1").files["providers.tf.json"]["provider"]["aws"]
    assert set(local["endpoints"].values()) == {"http://127.0.0.1:1"}


def test_the_tag_that_the_embedded_engine_leaves_is_ignored() -> None:
    provider = export(a_document(BUCKET)).files["providers.tf.json"]["provider"]["aws"]
    assert provider["ignore_tags"] == {"keys": ["bedplate:intent"]}


def test_arguments_whose_default_an_import_does_not_set_are_ignored() -> None:
    mail = a_resource(
        "aws:sns/topicSubscription:TopicSubscription",
        "mail",
        {"topic": "arn:t", "protocol": "email", "endpoint": "ops@example.com"},
    )
    ignored = blocks(mail)["aws_sns_topic_subscription.mail"]["lifecycle"]["ignore_changes"]
    assert "confirmation_timeout_in_minutes" in ignored


def test_outputs_follow_the_resources_they_name() -> None:
    exported = export(a_document(BUCKET, outputs={"data_arn": "arn:aws:s3:::shop-dev-data", "stack": "dev"}))
    assert exported.files["outputs.tf.json"]["output"] == {
        "data_arn": {"value": "${aws_s3_bucket.data.arn}"},
        "stack": {"value": "dev"},
    }


def test_a_second_export_replaces_the_first_and_removes_what_is_no_longer_part(tmp_path: Path) -> None:
    first = write(export(a_document(BUCKET, outputs={"a": "b"})), tmp_path / "tf", stack="dev", project_dir=tmp_path)
    second = write(export(a_document(BUCKET)), tmp_path / "tf", stack="dev", project_dir=tmp_path)
    assert set(first) - set(second) == {"outputs.tf.json"}
    assert not (tmp_path / "tf" / "outputs.tf.json").exists()


def test_a_directory_with_other_files_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "mine.tf").write_text("# mine\n")
    with pytest.raises(UsageError, match="no export wrote"):
        write(export(a_document(BUCKET)), tmp_path, stack="dev", project_dir=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.tf"]


def test_every_type_of_the_embedded_provider_has_a_counterpart() -> None:
    from bedplate.engine.provider.tables import KINDS

    lacking = [token for token in KINDS if not _known(token)]
    assert lacking == []


def _known(token: str) -> bool:
    try:
        return terraform_type(token) in schema()
    except BedplateError:
        return False


def test_exceptions_name_types_of_the_schema() -> None:
    assert set(TYPES.values()) <= set(schema())


@pytest.mark.skipif(shutil.which("terraform") is None, reason="no terraform on PATH")
def test_terraform_reads_the_configuration(tmp_path: Path) -> None:
    write(export(a_document(BUCKET, POLICY)), tmp_path / "tf", stack="dev", project_dir=tmp_path)
    run = subprocess.run(["terraform", f"-chdir={tmp_path / 'tf'}", "get"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
