"""Rules that every resource of the platform program must keep in every stack."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bedplate.domain import names, tags
from bedplate.domain.policy.ownership import TAGLESS
from bedplate.settings import PlatformOutputs
from builders import a_spec

from .conftest import Program, RegisteredResource


@pytest.fixture(params=["prod", "local"])
def program(request: pytest.FixtureRequest) -> Program:
    return request.getfixturevalue(request.param)


def key_arn(program: Program) -> str:
    return str(program.exports["kms_key_arn"])


def by_bucket(program: Program, type_end: str) -> dict[str, RegisteredResource]:
    """Return the resource of this type of every bucket, by bucket name; fails when a bucket has none."""
    buckets = {r.inputs["bucket"] for r in program.of_type("s3/bucket:Bucket")}
    resources = {r.inputs["bucket"]: r for r in program.of_type(type_end)}
    assert set(resources) == buckets
    return resources


def grants(program: Program) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every Allow statement of the roles' own policies, with the name of the policy."""
    for policy in program.of_type("iam/rolePolicy:RolePolicy"):
        for statement in policy.document():
            if statement["Effect"] == "Allow":
                yield policy.name, statement


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# --- encryption -----------------------------------------------------------------------------------------------------


def test_every_bucket_is_encrypted_with_the_platform_key(program: Program) -> None:
    for name, resource in by_bucket(program, "BucketServerSideEncryptionConfiguration").items():
        (rule,) = resource.inputs["rules"]
        default = rule["applyServerSideEncryptionByDefault"]
        if "-logs-" in name:  # S3's log delivery writes to no bucket with a KMS key
            assert default == {"sseAlgorithm": "AES256"}
            continue
        assert default == {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key_arn(program)}
        assert rule["bucketKeyEnabled"] is True


def test_the_encryption_key_rotates_and_the_signing_key_only_signs(program: Program) -> None:
    signing, encrypting = [], []
    for key in program.of_type("kms/key:Key"):
        (signing if key.inputs.get("keyUsage") == "SIGN_VERIFY" else encrypting).append(key)
    assert [key.inputs["enableKeyRotation"] for key in encrypting] == [True]
    assert [key.inputs["customerMasterKeySpec"] for key in signing] == ["ECC_NIST_P256"]
    assert program.exports["signing_key_arn"] != program.exports["kms_key_arn"]


def test_topics_images_capture_and_job_volumes_are_encrypted_with_the_platform_key(program: Program) -> None:
    key = key_arn(program)
    for topic in program.of_type("sns/topic:Topic"):
        assert topic.inputs["kmsMasterKeyId"] == key
    for repository in program.of_type("ecr/repository:Repository"):
        assert repository.inputs["encryptionConfigurations"] == [{"encryptionType": "KMS", "kmsKey": key}]
    for config in program.of_type("EndpointConfiguration"):
        assert config.inputs["dataCaptureConfig"]["kmsKeyId"] == key
    for job in program.of_type("DataQualityJobDefinition"):
        assert job.inputs["jobResources"]["clusterConfig"]["volumeKmsKeyId"] == key
        assert job.inputs["dataQualityJobOutputConfig"]["kmsKeyId"] == key


def test_every_endpoint_logs_into_an_encrypted_group_with_retention(program: Program) -> None:
    groups = {g.inputs["name"]: g.inputs for g in program.of_type("LogGroup")}
    for endpoint in program.of_type("endpoint:Endpoint"):
        group = groups[f"/aws/sagemaker/Endpoints/{endpoint.inputs['name']}"]
        assert group["kmsKeyId"] == key_arn(program)
        assert group["retentionInDays"] == 90


def test_endpoint_volumes_are_encrypted_unless_the_instance_encrypts_its_own_disk(program: Program) -> None:
    configs = {c.name.split("-")[2]: c.inputs for c in program.of_type("EndpointConfiguration")}
    assert configs["churn"]["kmsKeyArn"] == key_arn(program)  # ml.m5.large
    assert configs["prices"].get("kmsKeyArn") is None  # ml.g5.xlarge, which takes no key


# --- access ---------------------------------------------------------------------------------------------------------


def test_no_bucket_can_become_public(program: Program) -> None:
    for resource in by_bucket(program, "BucketPublicAccessBlock").values():
        switches = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        assert all(resource.inputs[switch] is True for switch in switches), str(resource)
    for resource in by_bucket(program, "BucketOwnershipControls").values():
        assert resource.inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


def test_no_bucket_or_topic_accepts_requests_without_tls(program: Program) -> None:
    policies = [*by_bucket(program, "BucketPolicy").values(), *program.of_type("TopicPolicy")]
    for resource in policies:
        denials = [s for s in resource.document() if s["Effect"] == "Deny"]
        assert any(
            s["Principal"] == "*" and s["Condition"] == {"Bool": {"aws:SecureTransport": "false"}} for s in denials
        ), str(resource)


def test_no_resource_policy_allows_other_accounts_without_condition(program: Program) -> None:
    for resource in [*program.of_type("BucketPolicy"), *program.of_type("TopicPolicy")]:
        for statement in resource.document():
            if statement["Effect"] == "Allow":
                assert statement["Principal"] not in ("*", {"AWS": "*"}), str(resource)
                assert "Condition" in statement, str(resource)


def test_no_role_has_a_wildcard_action_on_a_wildcard_resource(program: Program) -> None:
    for policy_name, statement in grants(program):
        if "*" in as_list(statement["Resource"]):
            for action in as_list(statement["Action"]):
                assert "*" not in action, f"{policy_name}: {action} on *"


def test_all_actions_of_a_service_are_allowed_only_on_resources_of_the_environment(program: Program) -> None:
    for policy_name, statement in grants(program):
        if any(action.endswith(":*") for action in as_list(statement["Action"])):
            for resource in as_list(statement["Resource"]):
                grant = f"{policy_name}: {statement['Action']} on {resource}"
                is_own = f"bedplate-{program.stack}" in resource or f"bedplate/{program.stack}/" in resource
                assert is_own or "*" not in resource, grant


def test_no_role_is_an_administrator(program: Program) -> None:
    for policy_name, statement in grants(program):
        assert "*" not in as_list(statement["Action"]), policy_name
        assert not any(
            a.startswith("iam:") and "*" in a.replace("GetPolicy*", "") for a in as_list(statement["Action"])
        )


def test_only_the_platform_engineer_may_write_roles_and_only_under_the_boundary(program: Program) -> None:
    writes = {"iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"}
    count = 0
    for policy_name, statement in grants(program):
        if writes & set(as_list(statement["Action"])):
            count += 1
            if policy_name == "budget-actions":  # AWS Budgets may only attach policies that deny
                attached = statement["Condition"]["ArnLike"]["iam:PolicyARN"]
                assert attached.endswith("-stop-training")
                assert set(as_list(statement["Action"])) == {"iam:AttachRolePolicy", "iam:DetachRolePolicy"}
                continue
            assert policy_name == "platform-engineer"
            assert "iam:PermissionsBoundary" in statement["Condition"]["StringEquals"]
    assert count == 2


def test_every_role_is_under_the_boundary_and_trusts_only_this_account(program: Program) -> None:
    for role in program.of_type("iam/role:Role"):
        assert role.inputs["permissionsBoundary"].endswith(":boundary"), str(role)
        for statement in role.document("assumeRolePolicy"):
            assert "Condition" in statement, str(role)
            assert statement["Principal"] in (
                {"Service": "sagemaker.amazonaws.com"},
                {"Service": "budgets.amazonaws.com"},
                {"Service": "events.amazonaws.com"},
                {"AWS": "arn:aws:iam::123456789012:root"},
            )


def test_an_execution_role_may_access_only_its_own_models_objects(program: Program) -> None:
    roles = {r.inputs["name"]: r for r in program.of_type("iam/role:Role")}
    for model in ("churn", "prices"):
        assert f"bedplate-{program.stack}.{model}" in roles
        (policy,) = [p for p in program.of_type("RolePolicy") if p.name == f"execution-{model}"]
        objects = [
            a for s in policy.document() if "s3:" in str(s["Action"]) for a in as_list(s["Resource"]) if "/" in a
        ]
        assert objects
        assert all(resource.endswith(f"/*/{model}/*") for resource in objects)
        other = {"churn": "prices", "prices": "churn"}[model]
        assert other not in policy.inputs["policy"]
    for resource in program.of_type("sagemaker/model:Model"):
        assert resource.inputs["executionRoleArn"].endswith(f":execution-{resource.inputs['tags']['Model']}")
    outputs = PlatformOutputs.model_validate(program.exports)
    assert outputs.execution_role("churn") == f"arn:aws:iam::123456789012:role/bedplate-{program.stack}.churn"


def test_other_accounts_may_read_versions_images_and_artifacts_only_if_the_stack_lists_them(
    run_stack: Callable[..., Program], prod: Program
) -> None:
    for kind in ("ModelPackageGroupPolicy", "RepositoryPolicy"):
        assert not prod.has(kind)
    program = run_stack("staging", registry={"reader_account_ids": ["222222222222"]})
    groups = {p.inputs["modelPackageGroupName"]: p for p in program.of_type("ModelPackageGroupPolicy")}
    assert set(groups) == {"bedplate-staging-churn", "bedplate-staging-prices"}
    (artifacts,) = [p for p in program.of_type("BucketPolicy") if p.name == "artifacts"]
    images = program.of_type("RepositoryPolicy")
    statements = [s for p in groups.values() for s in p.document("resourcePolicy")]
    statements += [s for p in [artifacts, *images] for s in p.document() if s["Effect"] == "Allow"]
    for statement in statements:
        assert statement["Principal"] == {"AWS": ["arn:aws:iam::222222222222:root"]}
        for action in as_list(statement["Action"]):
            assert action.split(":")[1].startswith(("Describe", "List", "Get", "Batch")), action
    (key,) = [k for k in program.of_type("kms/key:Key") if k.name == "key"]
    (reading,) = [s for s in key.document() if s["Sid"] == "PromoteFromHere"]
    assert reading["Action"] == ["kms:Decrypt", "kms:DescribeKey"]


def test_no_role_can_delete_from_the_ledger(program: Program) -> None:
    ledger = next(r for r in program.of_type("s3/bucket:Bucket") if "-ledger-" in r.inputs["bucket"])
    boundary = next(p for p in program.of_type("iam/policy:Policy") if p.name == "boundary")
    denied = {a for s in boundary.document() if s["Sid"] == "ProtectLedger" for a in s["Action"]}
    assert {"s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"} <= denied
    (resource,) = next(s["Resource"] for s in boundary.document() if s["Sid"] == "ProtectLedger")
    assert resource == f"arn:aws:s3:us-east-1:123456789012:{ledger.name}/*"


def test_an_exhausted_budget_denies_only_new_trainings_of_its_model(program: Program) -> None:
    policies = {p.name: p for p in program.of_type("iam/policy:Policy") if p.name.endswith("-stop-training")}
    budgets = {b.inputs["name"] for b in program.of_type("budgets/budget:Budget")}
    assert {name.removesuffix("-stop-training") for name in policies} == budgets
    prefix = f"{program.project}-{program.stack}"
    for name, policy in policies.items():
        (statement,) = policy.document()
        assert statement["Effect"] == "Deny"
        assert set(statement["Action"]) == {
            "sagemaker:CreateTrainingJob",
            "sagemaker:CreateHyperParameterTuningJob",
        }, "a rollback scores its target with a processing job, which no budget may deny"
        model = name.removesuffix("-stop-training").removeprefix(prefix).removeprefix("-")
        condition = {"StringEquals": {"aws:RequestTag/Model": model}} if model else None
        assert statement.get("Condition") == condition
    for action in program.of_type("budgetAction:BudgetAction"):
        assert action.inputs["approvalModel"] == "AUTOMATIC"
        assert action.inputs["actionThreshold"]["actionThresholdValue"] == 100
        roles = action.inputs["definition"]["iamActionDefinition"]["roles"]
        assert [role.split(":")[-1] for role in roles] == ["data-scientist", "reconciler"]


def test_a_stage_with_a_limit_has_its_own_budget(run_stack: Callable[..., Program]) -> None:
    program = run_stack(budget={"monthly_usd": 1000, "stages": {"training": 100, "storage": 20}})
    budgets = {b.inputs["name"]: b.inputs for b in program.of_type("budgets/budget:Budget")}
    (tag, bill) = budgets["bedplate-prod.training"]["filterExpression"]["ands"]
    assert tag["tags"]["values"] == ["bedplate"]
    assert bill["dimensions"] == {"key": "USAGE_TYPE", "values": ["Train:"], "matchOptions": ["CONTAINS"]}
    assert budgets["bedplate-prod.storage"]["limitAmount"] == "20.00"
    with_action = {a.inputs["budgetName"] for a in program.of_type("budgetAction:BudgetAction")}
    assert {"bedplate-prod", "bedplate-prod.training"} <= with_action
    assert "bedplate-prod.storage" not in with_action


def test_personas_that_train_and_release_cannot_approve(program: Program) -> None:
    for policy_name in ("data-scientist", "reconciler"):
        policy = next(p for p in program.of_type("RolePolicy") if p.name == policy_name)
        denials = [s for s in policy.document() if s["Effect"] == "Deny"]
        assert any(
            "sagemaker:UpdateModelPackage" in s["Action"]
            and s["Condition"] == {"StringEquals": {"sagemaker:ModelApprovalStatus": "Approved"}}
            for s in denials
        )


def test_the_approver_can_neither_train_nor_release(program: Program) -> None:
    actions = {a for policy_name, s in grants(program) if policy_name == "approver" for a in as_list(s["Action"])}
    assert "sagemaker:UpdateModelPackage" in actions
    assert not {a for a in actions if a.startswith(("sagemaker:Create", "sagemaker:UpdateEndpoint", "iam:"))}


def test_inline_policies_fit_iams_limit(program: Program) -> None:
    for policy in program.of_type("RolePolicy"):
        assert len("".join(policy.inputs["policy"].split())) <= 10_240, policy.name
    for policy in program.of_type("iam/policy:Policy"):
        assert len("".join(policy.inputs["policy"].split())) <= 6_144, policy.name


def test_every_bucket_but_the_log_bucket_has_access_logs(program: Program) -> None:
    (logs,) = [r.inputs["bucket"] for r in program.of_type("s3/bucket:Bucket") if "-logs-" in r.inputs["bucket"]]
    logged = {r.inputs["bucket"]: r.inputs for r in program.of_type("BucketLogging")}
    assert set(logged) == {r.inputs["bucket"] for r in program.of_type("s3/bucket:Bucket")} - {logs}
    assert {inputs["targetBucket"] for inputs in logged.values()} == {logs}
    assert len({inputs["targetPrefix"] for inputs in logged.values()}) == len(logged)


def test_the_trail_is_encrypted_and_signed_and_records_the_ledgers_objects(program: Program) -> None:
    (trail,) = program.of_type("cloudtrail/trail:Trail")
    assert trail.inputs["kmsKeyId"] == key_arn(program)
    assert trail.inputs["enableLogFileValidation"] is True
    assert trail.inputs["s3BucketName"] == program.exports["trail_bucket"]
    (selector,) = trail.inputs["eventSelectors"]
    assert selector["includeManagementEvents"] is True
    assert selector["dataResources"] == [
        {"type": "AWS::S3::Object", "values": ["arn:aws:s3:us-east-1:123456789012:ledger/"]}
    ]
    assert names.trail_arn("bedplate", program.stack, "us-east-1", "123456789012").endswith(trail.inputs["name"])


def test_a_stack_with_audit_disabled_has_no_trail(run_stack: Callable[..., Program]) -> None:
    program = run_stack(audit={"enabled": False})
    assert not program.has("cloudtrail/trail:Trail")
    assert program.exports["trail_bucket"] is None


def test_cost_allocation_tags_are_activated_only_if_the_stack_says_so(
    run_stack: Callable[..., Program], prod: Program
) -> None:
    assert not prod.has("CostAllocationTag")
    activated = {r.inputs["tagKey"] for r in run_stack(cost_allocation_tags=True).of_type("CostAllocationTag")}
    assert activated == {"Project", "Stack", "Model", "Owner", "CostCenter"}


# --- retention ------------------------------------------------------------------------------------------------------


def test_every_bucket_is_versioned_and_aborts_incomplete_uploads(program: Program) -> None:
    for resource in by_bucket(program, "BucketVersioning").values():
        assert resource.inputs["versioningConfiguration"] == {"status": "Enabled"}
    for resource in by_bucket(program, "BucketLifecycleConfiguration").values():
        assert any("abortIncompleteMultipartUpload" in rule for rule in resource.inputs["rules"]), str(resource)


def test_models_and_ledger_never_expire_and_captured_requests_do(program: Program) -> None:
    rules = {b.split("-")[2]: r.inputs["rules"] for b, r in by_bucket(program, "LifecycleConfiguration").items()}
    expiring = {
        purpose: {r["filter"]["prefix"]: r["expiration"]["days"] for r in bucket_rules if "expiration" in r}
        for purpose, bucket_rules in rules.items()
    }
    assert expiring["ledger"] == {}
    assert not any("noncurrentVersionExpiration" in rule for rule in rules["ledger"])
    assert not any("training/".startswith(prefix) or prefix.startswith("training/") for prefix in expiring["artifacts"])
    assert expiring["capture"] == {"capture/churn/": 90, "capture/prices/": 90}


def test_a_data_contract_shortens_retention_and_never_lengthens_it(run_stack: Any) -> None:
    program = run_stack("short", storage={"data_retention_days": 100})
    (data,) = [r for b, r in by_bucket(program, "LifecycleConfiguration").items() if "-data-" in b]
    days = {r["filter"]["prefix"]: r["expiration"]["days"] for r in data.inputs["rules"] if "expiration" in r}
    assert days["datasets/churn/"] == 100  # the contract says 365
    (data,) = [r for b, r in by_bucket(run_stack("prod"), "LifecycleConfiguration").items() if "-data-" in b]
    days = {r["filter"]["prefix"]: r["expiration"]["days"] for r in data.inputs["rules"] if "expiration" in r}
    assert days["datasets/churn/"] == 365  # the stack says 730


def test_a_privacy_class_shortens_the_retention_of_its_models(run_stack: Any) -> None:
    columns = a_spec("churn").model_dump(mode="json", exclude_none=True)["data"]["columns"]
    columns["age"]["privacy"] = "personal"
    limits = {"privacy_retention_days": {"personal": 20}}
    program = run_stack("private", storage=limits, overrides={"churn": {"data": {"columns": columns}}})
    (capture,) = [r for b, r in by_bucket(program, "LifecycleConfiguration").items() if "-capture-" in b]
    days = {r["filter"]["prefix"]: r["expiration"]["days"] for r in capture.inputs["rules"] if "expiration" in r}
    assert days == {"capture/churn/": 20, "capture/prices/": 90}


def test_the_ledger_is_locked_on_aws_and_only_there(prod: Program, local: Program) -> None:
    (lock,) = prod.of_type("BucketObjectLockConfiguration")
    assert "-ledger-" in lock.inputs["bucket"]
    assert lock.inputs["rule"]["defaultRetention"]["mode"] == "GOVERNANCE"
    assert not local.has("BucketObjectLockConfiguration")


def test_images_cannot_be_overwritten_and_are_scanned(program: Program) -> None:
    for repository in program.of_type("ecr/repository:Repository"):
        assert repository.inputs["imageTagMutability"] == "IMMUTABLE"
        assert repository.inputs["imageScanningConfiguration"] == {"scanOnPush": True}


# --- monitoring and budgets -----------------------------------------------------------------------------------------


def test_every_endpoint_captures_input_and_output(program: Program) -> None:
    assert len(program.of_type("EndpointConfiguration")) == len(program.of_type("endpoint:Endpoint"))
    for config in program.of_type("EndpointConfiguration"):
        capture = config.inputs["dataCaptureConfig"]
        assert capture["enableCapture"] is True
        assert {o["captureMode"] for o in capture["captureOptions"]} == {"Input", "Output"}
        bucket = program.exports["capture_bucket"]
        model = config.name.split("-")[2]
        assert capture["destinationS3Uri"] == f"s3://{bucket}/capture/{model}"


def test_every_endpoint_has_its_alarms_schedule_scaling_and_budget(program: Program) -> None:
    alarms = {a.inputs["name"]: a.inputs for a in program.of_type("MetricAlarm")}
    budgets = {b.inputs["name"] for b in program.of_type("Budget")}
    schedules = {s.inputs["name"] for s in program.of_type("MonitoringSchedule")}
    scaled = {t.inputs["resourceId"] for t in program.of_type("appautoscaling/target:Target")}
    for endpoint in program.of_type("endpoint:Endpoint"):
        name = names.ModelNames("bedplate", program.stack, endpoint.name.split("-")[2])
        assert {name.errors_alarm, name.latency_alarm, name.drift_alarm} <= set(alarms)
        assert name.budget in budgets
        assert name.monitoring_schedule in schedules
        assert f"endpoint/{name.endpoint}/variant/{names.VARIANT}" in scaled
        rollback = endpoint.inputs["deploymentConfig"]["autoRollbackConfiguration"]["alarms"]
        assert [a["alarmName"] for a in rollback] == list(name.rollback_alarms)
    assert program.exports["platform_budget"] in budgets


def test_every_alarm_is_in_a_composite_alarm_that_notifies_and_ignores_missing_data(program: Program) -> None:
    for alarm in program.of_type("MetricAlarm"):
        (composite,) = [
            c for c in program.of_type("CompositeAlarm") if f'ALARM("{alarm.inputs["name"]}")' in c.inputs["alarmRule"]
        ]
        assert composite.inputs["alarmActions"] == [program.exports["alerts_topic_arn"]], str(alarm)
        assert alarm.inputs["treatMissingData"] == "notBreaching", str(alarm)


def test_alarm_thresholds_are_the_slo_in_the_metrics_units(prod: Program) -> None:
    alarms = {a.inputs["name"]: a.inputs for a in prod.of_type("MetricAlarm")}
    assert alarms["bedplate-prod-churn-errors"]["threshold"] == 0.01  # 1 % as a share
    assert alarms["bedplate-prod-churn-latency"]["threshold"] == 500_000  # 500 ms in microseconds
    assert alarms["bedplate-prod-churn-drift"]["threshold"] == 0.25


def test_rollouts_become_sagemakers_traffic_routing(prod: Program) -> None:
    routing = {
        e.name.split("-")[2]: e.inputs["deploymentConfig"]["blueGreenUpdatePolicy"]["trafficRoutingConfiguration"]
        for e in prod.of_type("endpoint:Endpoint")
    }
    step = {"type": "CAPACITY_PERCENT", "value": 10}
    assert routing["churn"] == {"type": "CANARY", "waitIntervalInSeconds": 600, "canarySize": step}
    assert routing["prices"] == {"type": "LINEAR", "waitIntervalInSeconds": 600, "linearStepSize": step}


def test_budgets_alert_at_every_threshold_of_actual_and_forecast_spend(program: Program) -> None:
    for budget in program.of_type("Budget"):
        thresholds = Counter((n["notificationType"], n["threshold"]) for n in budget.inputs["notifications"])
        assert thresholds == Counter({("ACTUAL", 50): 1, ("ACTUAL", 80): 1, ("ACTUAL", 100): 1, ("FORECASTED", 100): 1})
        for notification in budget.inputs["notifications"]:
            assert notification["subscriberSnsTopicArns"] == [program.exports["alerts_topic_arn"]]
            assert notification["subscriberEmailAddresses"] == ["finance@example.com", "ops@example.com"]


def test_budgets_count_by_cost_allocation_tag(prod: Program) -> None:
    filters = {b.inputs["name"]: b.inputs["costFilters"] for b in prod.of_type("Budget")}
    assert filters["bedplate-prod"] == [{"name": "TagKeyValue", "values": ["user:Project$bedplate"]}]
    assert filters["bedplate-prod-churn"] == [{"name": "TagKeyValue", "values": ["user:Model$churn"]}]


def test_every_event_rule_has_a_target_and_a_pattern_of_this_environment(program: Program) -> None:
    targets = {t.inputs["rule"] for t in program.of_type("EventTarget")}
    for rule in program.of_type("EventRule"):
        assert rule.inputs["name"] in targets
        detail = json.loads(rule.inputs["eventPattern"])["detail"]
        assert f"bedplate-{program.stack}-" in json.dumps(detail)


# --- tags -----------------------------------------------------------------------------------------------------------


def test_every_taggable_resource_has_owner_and_cost_center_tags(program: Program) -> None:
    needed = set(tags.KEYS) - {"Model", "ModelVersion"}
    for resource in program.resources:
        if resource.type in TAGLESS:
            assert "tags" not in resource.inputs, f"{resource} takes tags: remove it from TAGLESS"
        else:
            assert needed <= set(resource.inputs.get("tags") or {}), str(resource)


def test_every_resource_of_a_model_has_the_model_tag(program: Program) -> None:
    types = (
        "Endpoint",
        "EndpointConfiguration",
        "Model",
        "DataQualityJobDefinition",
        "MetricAlarm",
        "ModelPackageGroup",
    )
    for resource in program.resources:
        if resource.type.split(":")[-1] in types:
            assert resource.inputs["tags"]["Model"] in ("churn", "prices"), str(resource)


# --- network ----------------------------------------------------------------------------------------------------------


def test_without_a_network_no_ec2_resource_is_created(program: Program) -> None:
    assert not program.has("ec2/vpc:Vpc")
    assert program.exports["network"] is None
    assert "ec2:" not in " ".join(r.inputs["policy"] for r in program.of_type("RolePolicy"))


def test_a_network_has_no_internet_access_and_all_models_and_jobs_run_in_it(run_stack: Callable[..., Program]) -> None:
    program = run_stack("inside", network={"enabled": True})
    assert not any(program.has(kind) for kind in ("InternetGateway", "NatGateway", "ec2/route:Route"))
    subnets = program.of_type("ec2/subnet:Subnet")
    assert [s.inputs["availabilityZone"] for s in subnets] == ["us-east-1a", "us-east-1b"]
    assert len({s.inputs["cidrBlock"] for s in subnets}) == 2
    assert not any(s.inputs.get("mapPublicIpOnLaunch") for s in subnets)
    services = {
        e.inputs["serviceName"].removeprefix("com.amazonaws.us-east-1.") for e in program.of_type("VpcEndpoint")
    }
    assert {"s3", "sagemaker.api", "sagemaker.runtime", "ecr.api", "ecr.dkr", "logs", "kms", "sts"} <= services
    for rule in [*program.of_type("SecurityGroupIngressRule"), *program.of_type("SecurityGroupEgressRule")]:
        assert not rule.inputs.get("cidrIpv4"), "rules name security groups or prefix lists, never address ranges"
    network = program.exports["network"]
    for model in program.of_type("sagemaker/model:Model"):
        assert model.inputs["vpcConfig"]["subnets"] == network["subnet_ids"]
        assert model.inputs["vpcConfig"]["securityGroupIds"] == network["security_group_ids"]
    for job in program.of_type("DataQualityJobDefinition"):
        assert job.inputs["networkConfig"]["vpcConfig"]["subnets"] == network["subnet_ids"]
    for policy in program.of_type("RolePolicy"):
        if policy.name.startswith("execution-"):
            assert "ec2:CreateNetworkInterface" in policy.inputs["policy"]


def test_existing_subnets_are_used_and_no_vpc_is_created(run_stack: Callable[..., Program]) -> None:
    existing = {"subnet_ids": ["subnet-1", "subnet-2"], "security_group_ids": ["sg-1"]}
    program = run_stack("guest", network={"enabled": True, **existing})
    assert not program.has("ec2/vpc:Vpc")
    assert program.exports["network"] == existing


def test_policies_of_a_stack_with_a_network_fit_iams_limit(run_stack: Callable[..., Program]) -> None:
    program = run_stack("inside", network={"enabled": True})
    for policy in program.of_type("RolePolicy"):
        assert len("".join(policy.inputs["policy"].split())) <= 10_240, policy.name
    for policy in program.of_type("iam/policy:Policy"):
        assert len("".join(policy.inputs["policy"].split())) <= 6_144, policy.name
