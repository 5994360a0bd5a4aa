"""What an account allows, asked of AWS: region, endpoints, quotas, simulated permissions, keys and subscribers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from bedplate.aws.errors import code_of, translated
from bedplate.aws.session import Session
from bedplate.aws.storage.images import pinned
from bedplate.domain.stacks.diagnosis import Quota, Subscription
from bedplate.domain.stacks.permissions import PermissionRequest
from bedplate.errors import PlatformError
from bedplate.ports import ServerTime

REACH_TIMEOUT_S = 5
_HOME = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""A region of each partition that needs no opting in."""
_UNCONFIRMED = "PendingConfirmation"


class AwsAccount:
    """The `Account` port. Nothing it calls changes anything."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def addresses(self, services: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """As botocore's endpoint rules have them; no credentials are needed."""
        found: dict[str, tuple[str, ...]] = {}
        with translated("Cannot look up where the services are"):
            for service in services:
                url = self._session.address(service)
                found[url] = (*found.get(url, ()), service)
        return found

    def reach(self, url: str) -> ServerTime:
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies

        ours = self._session.endpoint_url is not None
        http = URLLib3Session(
            proxies={} if ours else get_environ_proxies(url),
            verify=self._session.ca_bundle() or True,
            timeout=REACH_TIMEOUT_S,
        )
        try:
            answer = http.send(AWSRequest("GET", url).prepare())
        except BotoCoreError as exc:
            raise PlatformError(str(exc)) from exc
        return ServerTime(url, _date(answer.headers.get("Date")), datetime.now(UTC))

    def principal(self) -> str | None:
        """A role's path is not in STS's ARN, so IAM is asked for it; where IAM refuses, the role has none."""
        arn = self._session.caller()["Arn"]
        service, kind, name = arn.split(":")[2], *arn.split(":", 5)[5].partition("/")[::2]
        if kind == "root" or (self._session.endpoint_url and (service, kind) == ("sts", "user")):
            return None
        if kind == "user":
            return arn
        if kind != "assumed-role":
            raise PlatformError(f"IAM simulates users and roles, and {arn} is neither")
        from botocore.exceptions import ClientError

        role = name.partition("/")[0]
        try:
            found: str = self._session.client("iam").get_role(RoleName=role)["Role"]["Arn"]
        except ClientError as exc:
            if code_of(exc) not in ("AccessDenied", "AccessDeniedException"):
                raise
            partition, account = arn.split(":")[1], arn.split(":")[4]
            found = f"arn:{partition}:iam::{account}:role/{role}"
        return found

    def region_state(self) -> str:
        """Asked where every account may ask: a region that is not enabled does not know the account's credentials."""
        region, ours = self._session.region, self._session.endpoint_url
        home = region if ours else _HOME[self._session.caller()["Arn"].split(":")[1]]
        with translated(f"Cannot ask whether region {region} is enabled"):
            client = self._session.client_in("ec2", home)
            filters = [{"Name": "region-name", "Values": [region]}]
            listed = client.describe_regions(AllRegions=True, Filters=filters)["Regions"]
        return str(listed[0].get("OptInStatus", "opt-in-not-required")) if listed else "unknown"

    def has_sagemaker(self) -> bool:
        session, region = self._session.boto3_session(), self._session.region
        try:
            partition = session.get_partition_for_region(region)
        except ValueError:
            return True
        listed = session.get_available_regions("sagemaker", partition_name=partition)
        return region in listed or region not in session.get_available_regions("sts", partition_name=partition)

    def quotas(self) -> Mapping[str, Quota]:
        """The account's values; AWS's defaults for what has none of its own."""
        client = self._session.client("service-quotas")
        found: dict[str, Quota] = {}
        for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
            with translated("Cannot list SageMaker's quotas"):
                pages = client.get_paginator(operation).paginate(
                    ServiceCode="sagemaker", PaginationConfig={"PageSize": 100}
                )
                for listed in (quota for page in pages for quota in page["Quotas"]):
                    name = listed["QuotaName"]
                    quota = Quota(name, listed["QuotaCode"], float(listed["Value"]), bool(listed["Adjustable"]))
                    found.setdefault(name.casefold(), quota)
        return found

    def budget_count(self) -> int:
        with translated("Cannot list the account's budgets"):
            account = self._session.caller()["Account"]
            pages = self._session.client("budgets").get_paginator("describe_budgets").paginate(AccountId=account)
            return sum(len(page.get("Budgets") or ()) for page in pages)

    def allowed(self, principal: str, ask: PermissionRequest) -> Mapping[str, bool]:
        context = (("aws:PrincipalAccount", principal.split(":")[4]), *ask.context)
        entries = [
            {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]} for key, value in context
        ]
        with translated(f"IAM does not simulate {principal}"):
            pages = (
                self._session.client("iam")
                .get_paginator("simulate_principal_policy")
                .paginate(
                    PolicySourceArn=principal,
                    ActionNames=list(ask.actions),
                    ResourceArns=[ask.resource],
                    ContextEntries=entries,
                )
            )
            rows: list[dict[str, Any]] = [row for page in pages for row in page["EvaluationResults"]]
        return {row["EvalActionName"]: row["EvalDecision"] == "allowed" for row in rows}

    def key_state(self, key: str) -> str:
        with translated("Cannot look at the key"):
            return str(self._session.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"])

    def try_key(self, key: str) -> None:
        with translated("The key cannot be used"):
            client = self._session.client("kms")
            made = client.generate_data_key(KeyId=key, KeySpec="AES_256")
            opened = client.decrypt(CiphertextBlob=made["CiphertextBlob"], KeyId=key)
        if opened["Plaintext"] != made["Plaintext"]:
            raise PlatformError(f"What {key} encrypts, it opens as something else")

    def subscriptions(self, topic: str) -> Sequence[Subscription]:
        with translated("Cannot list who is subscribed to the alerts"):
            pages = self._session.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
            listed = [each for page in pages for each in page["Subscriptions"]]
        return [
            Subscription(each["Endpoint"], each["SubscriptionArn"] not in (_UNCONFIRMED, "Deleted")) for each in listed
        ]

    def image_digest(self, image_uri: str) -> str | None:
        return pinned(self._session, image_uri)


def _date(header: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(header) if header else None
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment else None
