"""`doctor` on a stack that is up: each thing is broken over the wire, found, and mended by what doctor says."""

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
from standing_stack import Site

pytestmark = pytest.mark.filterwarnings("ignore:.* has been deprecated in favor of:DeprecationWarning")
ENDPOINT_QUOTA = "quota: ml.m5.large for endpoint usage"


def examine(site: Site, *words: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit code, and the findings by their names."""
    ran = site.run("doctor", "--json", *words)
    return ran.code, {each["check"]: each for each in ran.json["findings"]}


def test_what_up_made_is_well_and_every_role_may_its_work_and_no_more(site: Site) -> None:
    code, found = examine(site)
    sick = {n: each for n, each in found.items() if each["health"] != "OK" and each["section"] != "this machine"}
    assert list(sick) == ["image"], "no image is pushed for a laptop"
    assert code == (1 if any(each["health"] == "FAIL" for each in found.values()) else 0)
    assert {f"role {persona}" for persona in PERSONAS} <= found.keys()
    assert "17 services" in found["endpoints"]["detail"]


def test_a_role_that_lost_or_gained_something_is_found(site: Site) -> None:
    iam = site.client("iam")
    role, policy = "bedplate-local-data-scientist", "data-scientist"
    kept = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    less = {**kept, "Statement": [s for s in kept["Statement"] if s.get("Sid") not in ("RunJobs", "NeverApprove")]}
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(less))
    boundary = iam.get_role(RoleName="bedplate-local-platform-engineer")["Role"]["PermissionsBoundary"]
    iam.delete_role_permissions_boundary(RoleName="bedplate-local-platform-engineer")
    code, found = examine(site)
    assert code == 1
    assert "must not: sagemaker:UpdateModelPackage" in found["role data-scientist"]["detail"]
    assert "s3:DeleteObjectVersion" in found["role platform-engineer"]["detail"], "only the boundary keeps it from that"
    assert found["role reconciler"]["health"] == "OK"

    kept_approval = {**kept, "Statement": [s for s in kept["Statement"] if s.get("Sid") != "RunJobs"]}
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(kept_approval))
    iam.put_role_permissions_boundary(
        RoleName="bedplate-local-platform-engineer", PermissionsBoundary=boundary["PermissionsBoundaryArn"]
    )
    _, found = examine(site)
    assert "may not do its work: sagemaker:CreateTrainingJob" in found["role data-scientist"]["detail"]
    assert found["role platform-engineer"]["health"] == "OK"
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(kept))


def test_a_disabled_key_lost_subscribers_and_a_foreign_lock_are_found_in_one_look(site: Site) -> None:
    outputs = connect(site.project, "local").outputs
    kms, sns = site.client("kms"), site.client("sns")
    key = outputs.kms_key_arn.rpartition("/")[2]
    lock = site.project / ".bedplate" / "state" / "local.lock"
    owner = {"pid": 1, "host": "elsewhere.example", "user": "eve", "verb": "up", "since": 0}
    listed = sns.list_subscriptions_by_topic(TopicArn=outputs.alerts_topic_arn)["Subscriptions"]
    try:
        kms.disable_key(KeyId=key)
        lock.write_text(json.dumps(owner))
        for each in listed:
            sns.unsubscribe(SubscriptionArn=each["SubscriptionArn"])
        code, found = examine(site)
    finally:
        kms.enable_key(KeyId=key)
        assert site.run("state", "unlock", "--yes").code == 0
        mended = site.run(*["up", "--refresh", "--stack", "local", "--yes"])
    assert code == 1
    assert (found["key"]["health"], found["key"]["fix"]) == ("FAIL", f"aws kms enable-key --key-id {key}")
    assert (found["alerts"]["health"], found["alerts"]["fix"]) == ("FAIL", "bedplate up --refresh --stack local")
    assert mended.code == 0, mended.stderr
    assert (found["lock"]["health"], "eve@elsewhere.example" in found["lock"]["detail"]) == ("WARN", True)
    well = examine(site)[1]
    assert {well[name]["health"] for name in ("key", "alerts", "lock")} == {"OK"}


def test_a_quota_that_is_too_small_is_mended_by_the_line_that_is_shown(site: Site) -> None:
    site.model(serving={"instance_type": "ml.m5.large", "instance_count": 12, "max_instances": 30})
    shown = site.run("doctor")
    lines = shown.stdout.splitlines()
    assert (shown.code, lines[-1].startswith("local: ")) == (1, True), "12 serve and 12 stand beside them: more than 20"
    sections = ("This machine", "Files", "Account", "The platform", "Fixes")
    assert tuple(line for line in lines if line in sections) == sections
    words = next(line for line in lines if line.startswith(f"FAIL {ENDPOINT_QUOTA}: ")).split()
    asked = {flag: words[words.index(flag) + 1] for flag in ("--service-code", "--quota-code", "--desired-value")}
    site.client("service-quotas").request_service_quota_increase(
        ServiceCode=asked["--service-code"],
        QuotaCode=asked["--quota-code"],
        DesiredValue=float(asked["--desired-value"]),
    )
    assert examine(site)[1][ENDPOINT_QUOTA]["health"] == "OK"
    site.model()


def test_a_user_without_policies_may_do_nobodys_work_and_one_with_a_role_may_do_that(site: Site) -> None:
    iam = site.client("iam")
    iam.create_user(UserName="eve")
    issued = iam.create_access_key(UserName="eve")["AccessKey"]
    at = connect(site.project, "local")
    keys = Credentials(issued["AccessKeyId"], issued["SecretAccessKey"])
    at.__dict__["session"] = Session("us-east-1", site.url, keys)
    found = check_permissions(at, None)
    assert (found[0].check, found[0].health) == ("permissions", Health.FAIL)
    assert "user/eve may do nobody's work" in found[0].detail

    finance = iam.get_role_policy(RoleName="bedplate-local-finance", PolicyName="finance")["PolicyDocument"]
    iam.put_user_policy(UserName="eve", PolicyName="finance", PolicyDocument=json.dumps(finance))
    by_name = {each.check: each.health for each in check_permissions(at, None)}
    assert (by_name["you as finance"], by_name["you as approver"]) == (Health.OK, Health.WARN)
    assert check_permissions(at, "approver")[0].health is Health.FAIL


def test_somebody_who_assumed_a_role_is_looked_at_as_that_role(site: Site) -> None:
    arn = connect(site.project, "local").outputs.persona_role_arns["auditor"]
    given = site.client("sts").assume_role(RoleArn=arn, RoleSessionName="ada")["Credentials"]
    at = connect(site.project, "local")
    keys = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    at.__dict__["session"] = Session("us-east-1", site.url, keys)
    assert at.account.find_principal() == arn
    found = check_permissions(at, None)
    assert [(each.check, each.health) for each in found] == [("you as auditor", Health.OK)]


def test_the_adapter_says_what_it_cannot_know(site: Site) -> None:
    account = AwsAccount(Session.local("us-east-1", site.url))
    nobody = "arn:aws:iam::123456789012:role/nobody"
    with pytest.raises((NotFound, PlatformError), match="Cannot simulate the permissions"):
        account.simulate_permissions(nobody, Permission(("s3:GetObject",), "*"))
    with pytest.raises(PlatformError):
        account.get_server_time("http://127.0.0.1:9/")
    assert account.get_region_state() == "opt-in-not-required"
    assert AwsAccount(Session.aws("us-east-1")).has_sagemaker()
    addresses = AwsAccount(Session.aws("eu-west-1")).list_service_urls(("sagemaker", "kms"))
    assert addresses == {
        "https://api.sagemaker.eu-west-1.amazonaws.com": ("sagemaker",),
        "https://kms.eu-west-1.amazonaws.com": ("kms",),
    }
