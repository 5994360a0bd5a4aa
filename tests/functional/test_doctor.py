"""`doctor` on a stack that is up finds each problem caused over the API, and its fixes work."""

from __future__ import annotations

import json

import pytest

from bedplate.aws.account.account import AwsAccount
from bedplate.aws.session import Credentials, Session
from bedplate.domain.names import PERSONAS
from bedplate.domain.stacks.diagnosis import Health
from bedplate.domain.stacks.permissions import Permission
from bedplate.errors import NotFound, PlatformError
from bedplate.wiring import connect
from bedplate.workflows.stacks.doctor_account import check_permissions
from provisioned_site import Site

pytestmark = pytest.mark.filterwarnings("ignore:.* has been deprecated in favor of:DeprecationWarning")
ENDPOINT_QUOTA = "quota: ml.m5.large for endpoint usage"


def examine(site: Site, *words: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Returns the exit code and the findings by name."""
    result = site.run("doctor", "--json", *words)
    return result.code, {finding["check"]: finding for finding in result.json["findings"]}


def test_a_new_stack_is_healthy_and_every_role_has_exactly_its_permissions(site: Site) -> None:
    code, findings = examine(site)
    problems = {
        name: finding
        for name, finding in findings.items()
        if finding["health"] != "OK" and finding["section"] != "this machine"
    }
    assert list(problems) == ["image"], "the local platform needs no image"
    assert code == (1 if any(finding["health"] == "FAIL" for finding in findings.values()) else 0)
    assert {f"role {persona}" for persona in PERSONAS} <= findings.keys()
    assert "17 services" in findings["endpoints"]["detail"]


def test_a_role_with_missing_or_excess_permissions_is_found(site: Site) -> None:
    iam = site.client("iam")
    role, policy = "bedplate-local-data-scientist", "data-scientist"
    stored = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    reduced = {
        **stored,
        "Statement": [s for s in stored["Statement"] if s.get("Sid") not in ("RunJobs", "NeverApprove")],
    }
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(reduced))
    boundary = iam.get_role(RoleName="bedplate-local-platform-engineer")["Role"]["PermissionsBoundary"]
    iam.delete_role_permissions_boundary(RoleName="bedplate-local-platform-engineer")
    code, findings = examine(site)
    assert code == 1
    assert "must not do: sagemaker:UpdateModelPackage" in findings["role data-scientist"]["detail"]
    assert "s3:DeleteObjectVersion" in findings["role platform-engineer"]["detail"], "only the boundary denies it"
    assert findings["role reconciler"]["health"] == "OK"

    without_jobs = {**stored, "Statement": [s for s in stored["Statement"] if s.get("Sid") != "RunJobs"]}
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(without_jobs))
    iam.put_role_permissions_boundary(
        RoleName="bedplate-local-platform-engineer", PermissionsBoundary=boundary["PermissionsBoundaryArn"]
    )
    _, findings = examine(site)
    assert "is denied what it needs: sagemaker:CreateTrainingJob" in findings["role data-scientist"]["detail"]
    assert findings["role platform-engineer"]["health"] == "OK"
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(stored))


def test_a_disabled_key_missing_subscribers_and_a_foreign_lock_are_found(site: Site) -> None:
    outputs = connect(site.project, "local").outputs
    kms, sns = site.client("kms"), site.client("sns")
    key = outputs.kms_key_arn.rpartition("/")[2]
    lock = site.project / ".bedplate" / "state" / "local.lock"
    owner = {"pid": 1, "host": "elsewhere.example", "user": "eve", "verb": "up", "since": 0}
    subscriptions = sns.list_subscriptions_by_topic(TopicArn=outputs.alerts_topic_arn)["Subscriptions"]
    try:
        kms.disable_key(KeyId=key)
        lock.write_text(json.dumps(owner))
        for subscription in subscriptions:
            sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
        code, findings = examine(site)
    finally:
        kms.enable_key(KeyId=key)
        assert site.run("state", "unlock", "--yes").code == 0
        update = site.run("up", "--refresh", "--stack", "local", "--yes")
    assert code == 1
    assert (findings["key"]["health"], findings["key"]["fix"]) == ("FAIL", f"aws kms enable-key --key-id {key}")
    assert (findings["alerts"]["health"], findings["alerts"]["fix"]) == ("FAIL", "bedplate up --refresh --stack local")
    assert update.code == 0, update.stderr
    assert (findings["lock"]["health"], "eve@elsewhere.example" in findings["lock"]["detail"]) == ("WARN", True)
    healthy = examine(site)[1]
    assert {healthy[name]["health"] for name in ("key", "alerts", "lock")} == {"OK"}


def test_the_shown_command_fixes_a_quota_that_is_too_small(site: Site) -> None:
    site.write_model(serving={"instance_type": "ml.m5.large", "instance_count": 12, "max_instances": 30})
    shown = site.run("doctor")
    lines = shown.stdout.splitlines()
    assert (shown.code, lines[-1].startswith("local: ")) == (1, True), "12 serve and a deployment adds 12: more than 20"
    sections = ("This machine", "Files", "Account", "The platform", "Fixes")
    assert tuple(line for line in lines if line in sections) == sections
    words = next(line for line in lines if line.startswith(f"FAIL {ENDPOINT_QUOTA}: ")).split()
    request = {flag: words[words.index(flag) + 1] for flag in ("--service-code", "--quota-code", "--desired-value")}
    site.client("service-quotas").request_service_quota_increase(
        ServiceCode=request["--service-code"],
        QuotaCode=request["--quota-code"],
        DesiredValue=float(request["--desired-value"]),
    )
    assert examine(site)[1][ENDPOINT_QUOTA]["health"] == "OK"
    site.write_model()


def test_a_user_has_the_permissions_of_its_policies(site: Site) -> None:
    iam = site.client("iam")
    iam.create_user(UserName="eve")
    issued = iam.create_access_key(UserName="eve")["AccessKey"]
    stack = connect(site.project, "local")
    keys = Credentials(issued["AccessKeyId"], issued["SecretAccessKey"])
    stack.__dict__["session"] = Session("us-east-1", site.url, keys)
    findings = check_permissions(stack, None)
    assert (findings[0].check, findings[0].health) == ("permissions", Health.FAIL)
    assert "user/eve does not have the permissions of any persona" in findings[0].detail

    finance = iam.get_role_policy(RoleName="bedplate-local-finance", PolicyName="finance")["PolicyDocument"]
    iam.put_user_policy(UserName="eve", PolicyName="finance", PolicyDocument=json.dumps(finance))
    by_name = {finding.check: finding.health for finding in check_permissions(stack, None)}
    assert (by_name["you as finance"], by_name["you as approver"]) == (Health.OK, Health.WARN)
    assert check_permissions(stack, "approver")[0].health is Health.FAIL


def test_an_assumed_role_is_checked_as_its_persona(site: Site) -> None:
    arn = connect(site.project, "local").outputs.persona_role_arns["auditor"]
    credentials = site.client("sts").assume_role(RoleArn=arn, RoleSessionName="ada")["Credentials"]
    stack = connect(site.project, "local")
    keys = Credentials(credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])
    stack.__dict__["session"] = Session("us-east-1", site.url, keys)
    assert stack.account.find_principal() == arn
    findings = check_permissions(stack, None)
    assert [(finding.check, finding.health) for finding in findings] == [("you as auditor", Health.OK)]


def test_the_adapter_raises_what_it_cannot_determine(site: Site) -> None:
    account = AwsAccount(Session.local("us-east-1", site.url))
    missing_role = "arn:aws:iam::123456789012:role/missing"
    with pytest.raises((NotFound, PlatformError), match="Cannot simulate the permissions"):
        account.simulate_permissions(missing_role, Permission(("s3:GetObject",), "*"))
    with pytest.raises(PlatformError):
        account.get_server_time("http://127.0.0.1:9/")
    assert account.get_region_state() == "opt-in-not-required"
    assert AwsAccount(Session.aws("us-east-1")).has_sagemaker()
    addresses = AwsAccount(Session.aws("eu-west-1")).list_service_urls(("sagemaker", "kms"))
    assert addresses == {
        "https://api.sagemaker.eu-west-1.amazonaws.com": ("sagemaker",),
        "https://kms.eu-west-1.amazonaws.com": ("kms",),
    }
