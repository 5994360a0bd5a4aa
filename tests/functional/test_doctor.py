"""`doctor` on a stack that is up: each thing is broken over the wire, found, and mended by what doctor says."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.aws.account import AwsAccount
from bedplate.aws.session import Credentials, Session
from bedplate.cli import main
from bedplate.domain.diagnosis import Health
from bedplate.domain.names import PERSONAS
from bedplate.domain.permissions import Ask
from bedplate.errors import NotFound, PlatformError
from bedplate.local import lifecycle
from bedplate.wiring import connect
from bedplate.workflows.doctor_account import permissions
from builders import a_spec
from platform_client import client_of

pytestmark = pytest.mark.filterwarnings("ignore:.* has been deprecated in favor of:DeprecationWarning")
ROOT = Path(__file__).resolve().parents[2]
ENDPOINT_QUOTA = "quota: ml.m5.large for endpoint usage"


@dataclass(frozen=True)
class Ward:
    project: Path
    url: str

    def examine(self, *words: str) -> tuple[int, dict[str, dict[str, str]]]:
        """Exit code, and the findings by their names."""
        code, out = self.run("doctor", "--json", *words)
        return code, {each["check"]: each for each in json.loads(out)["findings"]}

    def run(self, *args: str) -> tuple[int, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main(args)
        return int(ended.value.code or 0), out.getvalue()

    def client(self, service: str) -> Any:
        return client_of(self.url, service)

    def model(self, **changes: Any) -> None:
        spec = a_spec("churn", **changes).model_dump(mode="json", exclude_none=True)
        (self.project / "models" / "churn" / "model.yaml").write_text(yaml.safe_dump(spec))


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """A stack with one model that is up; a test leaves it well."""
    project = tmp_path_factory.mktemp("ward")
    (project / "stacks").mkdir()
    (project / "models" / "churn").mkdir(parents=True)
    shutil.copy(ROOT / "Pulumi.yaml", project)
    shutil.copytree(ROOT / "infra", project / "infra")
    values = {
        "target": "local",
        "owner": "platform@example.com",
        "cost_center": "ml",
        "models": ["churn"],
        "budget": {"monthly_usd": 1000},
        "alerts": {"emails": ["ops@example.com"]},
        "storage": {"force_destroy": True},
    }
    config = {"aws:region": "us-east-1", **{f"bedplate:{key}": value for key, value in values.items()}}
    (project / "stacks" / "Pulumi.local.yaml").write_text(yaml.safe_dump({"config": config}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEDPLATE_PROJECT", str(project))
        patch.delenv("BEDPLATE_STATE_DIR", raising=False)
        patch.delenv("BEDPLATE_STACK", raising=False)
        made = Ward(project, str(lifecycle.start(project, port=0).url))
        made.model()
        assert made.run("up", "--json")[0] == 0
        yield made
        lifecycle.stop(project)


def test_what_up_made_is_well_and_every_role_may_its_work_and_no_more(ward: Ward) -> None:
    code, found = ward.examine()
    sick = {n: each for n, each in found.items() if each["health"] != "OK" and each["section"] != "this machine"}
    assert list(sick) == ["image"], "no image is pushed for a laptop"
    assert code == (1 if any(each["health"] == "FAIL" for each in found.values()) else 0)
    assert {f"role {persona}" for persona in PERSONAS} <= found.keys()
    assert "17 services" in found["endpoints"]["what"]


def test_a_role_that_lost_or_gained_something_is_found(ward: Ward) -> None:
    iam = ward.client("iam")
    role, policy = "bedplate-local-data-scientist", "data-scientist"
    kept = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    less = {**kept, "Statement": [s for s in kept["Statement"] if s.get("Sid") not in ("RunJobs", "NeverApprove")]}
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(less))
    boundary = iam.get_role(RoleName="bedplate-local-platform-engineer")["Role"]["PermissionsBoundary"]
    iam.delete_role_permissions_boundary(RoleName="bedplate-local-platform-engineer")
    code, found = ward.examine()
    assert code == 1
    assert "must not: sagemaker:UpdateModelPackage" in found["role data-scientist"]["what"]
    assert "s3:DeleteObjectVersion" in found["role platform-engineer"]["what"], "only the boundary keeps it from that"
    assert found["role reconciler"]["health"] == "OK"

    kept_approval = {**kept, "Statement": [s for s in kept["Statement"] if s.get("Sid") != "RunJobs"]}
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(kept_approval))
    iam.put_role_permissions_boundary(
        RoleName="bedplate-local-platform-engineer", PermissionsBoundary=boundary["PermissionsBoundaryArn"]
    )
    _, found = ward.examine()
    assert "may not do its work: sagemaker:CreateTrainingJob" in found["role data-scientist"]["what"]
    assert found["role platform-engineer"]["health"] == "OK"
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(kept))


def test_a_disabled_key_lost_subscribers_and_a_foreign_lock_are_found_in_one_look(ward: Ward) -> None:
    outputs = connect(ward.project, "local").outputs
    kms, sns = ward.client("kms"), ward.client("sns")
    key = outputs.kms_key_arn.rpartition("/")[2]
    lock = ward.project / ".bedplate" / "state" / "local.lock"
    owner = {"pid": 1, "host": "elsewhere.example", "user": "eve", "verb": "up", "since": 0}
    listed = sns.list_subscriptions_by_topic(TopicArn=outputs.alerts_topic_arn)["Subscriptions"]
    try:
        kms.disable_key(KeyId=key)
        lock.write_text(json.dumps(owner))
        for each in listed:
            sns.unsubscribe(SubscriptionArn=each["SubscriptionArn"])
        code, found = ward.examine()
    finally:
        kms.enable_key(KeyId=key)
        assert ward.run("state", "unlock", "--yes")[0] == 0
        for each in listed:
            sns.subscribe(TopicArn=outputs.alerts_topic_arn, Protocol=each["Protocol"], Endpoint=each["Endpoint"])
    assert code == 1
    assert (found["key"]["health"], found["key"]["mend"]) == ("FAIL", f"aws kms enable-key --key-id {key}")
    assert (found["alerts"]["health"], found["alerts"]["mend"]) == ("FAIL", "bedplate up --stack local")
    assert (found["lock"]["health"], "eve@elsewhere.example" in found["lock"]["what"]) == ("WARN", True)
    well = ward.examine()[1]
    assert {well[name]["health"] for name in ("key", "alerts", "lock")} == {"OK"}


def test_a_quota_that_is_too_small_is_mended_by_the_line_that_is_shown(ward: Ward) -> None:
    ward.model(serving={"instance_type": "ml.m5.large", "instance_count": 12, "max_instances": 30})
    code, shown = ward.run("doctor")
    lines = shown.splitlines()
    assert (code, lines[-1].startswith("local: ")) == (1, True), "12 serve and 12 stand beside them: more than 20"
    sections = ("This machine", "Files", "Account", "The platform", "How to mend it")
    assert tuple(line for line in lines if line in sections) == sections
    words = next(line for line in lines if line.startswith(f"FAIL {ENDPOINT_QUOTA}: ")).split()
    asked = {flag: words[words.index(flag) + 1] for flag in ("--service-code", "--quota-code", "--desired-value")}
    ward.client("service-quotas").request_service_quota_increase(
        ServiceCode=asked["--service-code"],
        QuotaCode=asked["--quota-code"],
        DesiredValue=float(asked["--desired-value"]),
    )
    assert ward.examine()[1][ENDPOINT_QUOTA]["health"] == "OK"
    ward.model()


def test_a_user_without_policies_may_do_nobodys_work_and_one_with_a_role_may_do_that(ward: Ward) -> None:
    iam = ward.client("iam")
    iam.create_user(UserName="eve")
    issued = iam.create_access_key(UserName="eve")["AccessKey"]
    at = connect(ward.project, "local")
    keys = Credentials(issued["AccessKeyId"], issued["SecretAccessKey"])
    at.__dict__["session"] = Session("us-east-1", ward.url, keys)
    found = permissions(at, None)
    assert (found[0].check, found[0].health) == ("permissions", Health.FAIL)
    assert "user/eve may do nobody's work" in found[0].what

    finance = iam.get_role_policy(RoleName="bedplate-local-finance", PolicyName="finance")["PolicyDocument"]
    iam.put_user_policy(UserName="eve", PolicyName="finance", PolicyDocument=json.dumps(finance))
    by_name = {each.check: each.health for each in permissions(at, None)}
    assert (by_name["you as finance"], by_name["you as approver"]) == (Health.OK, Health.WARN)
    assert permissions(at, "approver")[0].health is Health.FAIL


def test_somebody_who_assumed_a_role_is_looked_at_as_that_role(ward: Ward) -> None:
    arn = connect(ward.project, "local").outputs.persona_role_arns["auditor"]
    given = ward.client("sts").assume_role(RoleArn=arn, RoleSessionName="ada")["Credentials"]
    at = connect(ward.project, "local")
    keys = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    at.__dict__["session"] = Session("us-east-1", ward.url, keys)
    assert at.account.principal() == arn
    found = permissions(at, None)
    assert [(each.check, each.health) for each in found] == [("you as auditor", Health.OK)]


def test_the_adapter_says_what_it_cannot_know(ward: Ward) -> None:
    account = AwsAccount(Session.local("us-east-1", ward.url))
    nobody = "arn:aws:iam::123456789012:role/nobody"
    with pytest.raises((NotFound, PlatformError), match="does not simulate"):
        account.allowed(nobody, Ask(("s3:GetObject",), "*"))
    with pytest.raises(PlatformError):
        account.reach("http://127.0.0.1:9/")
    assert account.region_state() == "opt-in-not-required"
    assert AwsAccount(Session.aws("us-east-1")).has_sagemaker()
    addresses = AwsAccount(Session.aws("eu-west-1")).addresses(("sagemaker", "kms"))
    assert addresses == {
        "https://api.sagemaker.eu-west-1.amazonaws.com": ("sagemaker",),
        "https://kms.eu-west-1.amazonaws.com": ("kms",),
    }
