"""The Terraform export of a stack's state: names, blocks, references, imports, secrets, and the directory it writes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bedplate.engine.terraform import build_export, write_export
from bedplate.engine.terraform.names import TYPE_EXCEPTIONS, find_terraform_type, load_schema
from bedplate.engine.terraform.values import SECRET, SIGNATURE
from bedplate.errors import BedplateError, UsageError

ROOT = "urn:pulumi:dev::shop::"
STORAGE = f"{ROOT}bedplate:platform:Storage$"


def build_resource(
    token: str, name: str, inputs: dict[str, Any], *, parent: str = STORAGE, **more: Any
) -> dict[str, Any]:
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


BUCKET = build_resource(
    "aws:s3/bucket:Bucket",
    "data",
    {"bucket": "shop-dev-data", "forceDestroy": True, "tags": {"CostCenter": "${ml}"}},
    id="shop-dev-data",
    outputs={"arn": "arn:aws:s3:::shop-dev-data"},
)
POLICY = build_resource(
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


def build_document(*resources: dict[str, Any], outputs: dict[str, Any] | None = None) -> dict[str, Any]:
    provider = {
        "urn": f"{ROOT}pulumi:providers:aws::default",
        "type": "pulumi:providers:aws",
        "inputs": {"region": "eu-west-1"},
    }
    stack = {"urn": f"{ROOT}pulumi:pulumi:Stack::shop-dev", "type": "pulumi:pulumi:Stack", "outputs": outputs or {}}
    return {"version": 3, "deployment": {"resources": [stack, provider, *resources]}}


def build_blocks(*resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The block of every resource, by its address."""
    export = build_export(build_document(*resources))
    return {
        f"{resource_type}.{name}": block
        for tree in export.files.values()
        for resource_type, blocks in tree.get("resource", {}).items()
        for name, block in blocks.items()
    }


def test_a_value_that_came_from_another_resource_becomes_a_reference() -> None:
    policy = build_blocks(BUCKET, POLICY)["aws_s3_bucket_policy.data"]
    assert policy["bucket"] == "${aws_s3_bucket.data.id}"
    assert "${aws_s3_bucket.data.arn}/*" in policy["policy"]


def test_a_longer_name_with_the_value_as_prefix_is_not_replaced() -> None:
    assert "arn:aws:s3:::shop-dev-data2" in build_blocks(BUCKET, POLICY)["aws_s3_bucket_policy.data"]["policy"]


def test_an_equal_text_without_a_dependency_stays_text() -> None:
    independent = {**POLICY, "propertyDependencies": {}, "dependencies": []}
    assert build_blocks(BUCKET, independent)["aws_s3_bucket_policy.data"]["bucket"] == "shop-dev-data"


def test_text_that_terraform_would_read_as_an_expression_is_escaped() -> None:
    assert build_blocks(BUCKET)["aws_s3_bucket.data"]["tags"] == {"CostCenter": "$${ml}"}


def test_plural_lists_become_singular_blocks_and_objects_stay_single() -> None:
    rules = build_resource(
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "data",
        {"bucket": "b", "rules": [{"id": "old", "status": "Enabled", "expiration": {"days": 30.0}, "filter": {}}]},
    )
    block = build_blocks(rules)["aws_s3_bucket_lifecycle_configuration.data"]
    assert block["rule"] == [{"id": "old", "status": "Enabled", "expiration": {"days": 30}, "filter": {}}]


def test_keys_of_maps_are_not_renamed() -> None:
    alarm = build_resource(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "a",
        {
            "name": "shop-a",
            "comparisonOperator": "GreaterThanThreshold",
            "evaluationPeriods": 1,
            "dimensions": {"EndpointName": "e"},
        },
    )
    block = build_blocks(alarm)["aws_cloudwatch_metric_alarm.a"]
    assert (block["alarm_name"], block["dimensions"]) == ("shop-a", {"EndpointName": "e"})


def test_arguments_that_aws_does_not_store_are_left_out_and_listed() -> None:
    export = build_export(build_document(BUCKET))
    assert "force_destroy" not in export.files["storage.tf.json"]["resource"]["aws_s3_bucket"]["data"]
    assert export.left_out == ["aws_s3_bucket.data.force_destroy"]


def test_every_resource_has_an_import_with_the_id_that_terraform_requires() -> None:
    target = build_resource(
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
    imports = {
        i["to"]: i["id"] for i in build_export(build_document(BUCKET, target)).files["imports.tf.json"]["import"]
    }
    assert imports == {
        "aws_s3_bucket.data": "shop-dev-data",
        "aws_appautoscaling_target.t": "sagemaker/endpoint/e/variant/live/sagemaker:variant:DesiredInstanceCount",
    }


def test_ignored_changes_and_protection_become_lifecycle_rules() -> None:
    endpoint = build_resource(
        "aws:sagemaker/endpoint:Endpoint",
        "e",
        {"name": "e", "endpointConfigName": "c"},
        ignoreChanges=["endpointConfigName", "deploymentConfig.autoRollbackConfiguration"],
        protect=True,
    )
    assert build_blocks(endpoint)["aws_sagemaker_endpoint.e"]["lifecycle"] == {
        "ignore_changes": ["deployment_config", "endpoint_config_name"],
        "prevent_destroy": True,
    }


def test_a_dependency_without_a_reference_becomes_depends_on() -> None:
    policy = {**POLICY, "propertyDependencies": {}}
    assert build_blocks(BUCKET, policy)["aws_s3_bucket_policy.data"]["depends_on"] == ["aws_s3_bucket.data"]


@pytest.mark.parametrize(("shown", "value"), [({"ciphertext": "v1:x"}, None), ({"plaintext": '"s3cret"'}, "s3cret")])
def test_a_secret_is_a_variable_and_never_in_the_configuration(
    shown: dict[str, str], value: str | None, tmp_path: Path
) -> None:
    secret = {SIGNATURE: SECRET, **shown}
    parameter = build_resource("aws:ssm/parameter:Parameter", "p", {"name": "/p", "type": "String", "value": secret})
    export = build_export(build_document(parameter))
    assert export.secrets == {"aws_ssm_parameter_p_value": value}
    block = export.files["storage.tf.json"]["resource"]["aws_ssm_parameter"]["p"]
    assert block["value"] == "${var.aws_ssm_parameter_p_value}"
    write_export(export, tmp_path / "tf", stack="dev", project_dir=tmp_path)
    secrets_file = tmp_path / "tf" / "secrets.auto.tfvars.json"
    assert secrets_file.exists() == (value is not None)
    if value is not None:
        assert secrets_file.stat().st_mode & 0o077 == 0
        assert json.loads(secrets_file.read_text()) == {"aws_ssm_parameter_p_value": "s3cret"}
        assert secrets_file.name in (tmp_path / "tf" / ".gitignore").read_text()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [({"bucket": "b", "colour": "red"}, "'colour'"), ({"bucket": "b", "versioning": {"hue": 1}}, "'versioning.hue'")],
)
def test_a_property_without_an_argument_is_an_error(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(BedplateError, match=message):
        build_export(build_document(build_resource("aws:s3/bucket:Bucket", "b", inputs)))


def test_a_missing_required_argument_is_an_error() -> None:
    with pytest.raises(BedplateError, match="requires comparison_operator"):
        build_export(build_document(build_resource("aws:cloudwatch/metricAlarm:MetricAlarm", "a", {"name": "a"})))


def test_an_unknown_type_is_an_error_with_its_name() -> None:
    with pytest.raises(BedplateError, match="aws:rds/cluster:Cluster"):
        build_export(build_document(build_resource("aws:rds/cluster:Cluster", "db", {})))


def test_an_empty_stack_is_an_error_with_a_next_step() -> None:
    with pytest.raises(BedplateError) as caught:
        build_export(build_document())
    assert caught.value.next_step == "bedplate up"


def test_components_are_files_and_equal_names_of_one_type_get_numbers() -> None:
    second_bucket = {**BUCKET, "urn": f"{ROOT}bedplate:platform:Audit$aws:s3/bucket:Bucket::data"}
    export = build_export(build_document(BUCKET, second_bucket))
    assert list(export.files["storage.tf.json"]["resource"]["aws_s3_bucket"]) == ["data"]
    assert list(export.files["audit.tf.json"]["resource"]["aws_s3_bucket"]) == ["data-2"]


def test_the_provider_is_restricted_to_the_account_on_aws_and_to_the_endpoint_locally() -> None:
    role = build_resource(
        "aws:iam/role:Role", "r", {"assumeRolePolicy": "{}"}, outputs={"arn": "arn:aws:iam::210987654321:role/r"}
    )
    on_aws = build_export(build_document(role)).files["providers.tf.json"]["provider"]["aws"]
    assert (on_aws["region"], on_aws["allowed_account_ids"]) == ("eu-west-1", ["210987654321"])
    local = build_export(build_document(role), endpoint_url="http://127.0.0.1:1").files["providers.tf.json"][
        "provider"
    ]["aws"]
    assert set(local["endpoints"].values()) == {"http://127.0.0.1:1"}


def test_the_intent_tag_of_the_embedded_engine_is_ignored() -> None:
    provider = build_export(build_document(BUCKET)).files["providers.tf.json"]["provider"]["aws"]
    assert provider["ignore_tags"] == {"keys": ["bedplate:intent"]}


def test_arguments_whose_default_an_import_does_not_set_are_ignored() -> None:
    subscription = build_resource(
        "aws:sns/topicSubscription:TopicSubscription",
        "mail",
        {"topic": "arn:t", "protocol": "email", "endpoint": "ops@example.com"},
    )
    ignored = build_blocks(subscription)["aws_sns_topic_subscription.mail"]["lifecycle"]["ignore_changes"]
    assert "confirmation_timeout_in_minutes" in ignored


def test_stack_outputs_refer_to_the_resources_they_come_from() -> None:
    export = build_export(build_document(BUCKET, outputs={"data_arn": "arn:aws:s3:::shop-dev-data", "stack": "dev"}))
    assert export.files["outputs.tf.json"]["output"] == {
        "data_arn": {"value": "${aws_s3_bucket.data.arn}"},
        "stack": {"value": "dev"},
    }


def test_a_second_export_deletes_files_that_only_the_first_wrote(tmp_path: Path) -> None:
    first = write_export(
        build_export(build_document(BUCKET, outputs={"a": "b"})), tmp_path / "tf", stack="dev", project_dir=tmp_path
    )
    second = write_export(build_export(build_document(BUCKET)), tmp_path / "tf", stack="dev", project_dir=tmp_path)
    assert set(first) - set(second) == {"outputs.tf.json"}
    assert not (tmp_path / "tf" / "outputs.tf.json").exists()


def test_a_directory_with_other_files_is_an_error_and_stays_unchanged(tmp_path: Path) -> None:
    (tmp_path / "mine.tf").write_text("# mine\n")
    with pytest.raises(UsageError, match="no export wrote"):
        write_export(build_export(build_document(BUCKET)), tmp_path, stack="dev", project_dir=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.tf"]


def test_every_type_of_the_embedded_provider_has_a_terraform_type() -> None:
    from bedplate.engine.provider.tables import RESOURCE_TYPES

    missing = [token for token in RESOURCE_TYPES if not _has_terraform_type(token)]
    assert missing == []


def _has_terraform_type(token: str) -> bool:
    try:
        return find_terraform_type(token) in load_schema()
    except BedplateError:
        return False


def test_exceptions_name_types_of_the_schema() -> None:
    assert set(TYPE_EXCEPTIONS.values()) <= set(load_schema())


@pytest.mark.skipif(shutil.which("terraform") is None, reason="no terraform on PATH")
def test_terraform_reads_the_configuration(tmp_path: Path) -> None:
    write_export(build_export(build_document(BUCKET, POLICY)), tmp_path / "tf", stack="dev", project_dir=tmp_path)
    run = subprocess.run(["terraform", f"-chdir={tmp_path / 'tf'}", "get"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
