"""Reads an AWS account's region, service endpoints, quotas, simulated permissions, keys and subscriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from bedplate.aws.errors import error_code, map_client_errors
from bedplate.aws.session import Session
from bedplate.aws.storage import images
from bedplate.domain.stacks.diagnosis import Quota, Subscription
from bedplate.domain.stacks.permissions import Permission
from bedplate.errors import PlatformError
from bedplate.ports import ServerTime

REACH_TIMEOUT_S = 5
_DEFAULT_REGIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""For each partition a region that is enabled in every account."""
_UNCONFIRMED = "PendingConfirmation"


class AwsAccount:
    """The `Account` port. It calls no operation that changes a resource."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list_service_urls(self, services: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Takes the URLs from botocore's endpoint rules; needs no credentials."""
        services_by_url: dict[str, tuple[str, ...]] = {}
        with map_client_errors("Cannot look up the services' endpoints"):
            for service in services:
                url = self._session.service_url(service)
                services_by_url[url] = (*services_by_url.get(url, ()), service)
        return services_by_url

    def get_server_time(self, url: str) -> ServerTime:
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies

        http = URLLib3Session(
            proxies={} if self._session.endpoint_url else get_environ_proxies(url),
            verify=self._session.ca_bundle() or True,
            timeout=REACH_TIMEOUT_S,
        )
        try:
            response = http.send(AWSRequest("GET", url).prepare())
        except BotoCoreError as exc:
            raise PlatformError(str(exc)) from exc
        return ServerTime(url, _parse_date(response.headers.get("Date")), datetime.now(UTC))

    def find_principal(self) -> str | None:
        """Asks IAM for a role's ARN, because STS's ARN lacks the role's path; without permission assumes no path."""
        arn = self._session.caller_identity()["Arn"]
        service, kind, name = arn.split(":")[2], *arn.split(":", 5)[5].partition("/")[::2]
        if kind == "root" or (self._session.endpoint_url and (service, kind) == ("sts", "user")):
            return None
        if kind == "user":
            return arn
        if kind != "assumed-role":
            raise PlatformError(f"IAM simulates users and roles, but {arn} is neither")
        from botocore.exceptions import ClientError

        role = name.partition("/")[0]
        try:
            return str(self._session.client("iam").get_role(RoleName=role)["Role"]["Arn"])
        except ClientError as exc:
            if error_code(exc) not in ("AccessDenied", "AccessDeniedException"):
                raise
            partition, account = arn.split(":")[1], arn.split(":")[4]
            return f"arn:{partition}:iam::{account}:role/{role}"

    def get_region_state(self) -> str:
        """Asks EC2 in a default region, because a region that is not enabled rejects the account's credentials."""
        region = client_region = self._session.region
        if not self._session.endpoint_url:
            client_region = _DEFAULT_REGIONS[self._session.caller_identity()["Arn"].split(":")[1]]
        with map_client_errors(f"Cannot read whether region {region} is enabled"):
            client = self._session.client_in_region("ec2", client_region)
            filters = [{"Name": "region-name", "Values": [region]}]
            regions = client.describe_regions(AllRegions=True, Filters=filters)["Regions"]
        return str(regions[0].get("OptInStatus", "opt-in-not-required")) if regions else "unknown"

    def has_sagemaker(self) -> bool:
        session, region = self._session.boto3_session(), self._session.region
        try:
            partition = session.get_partition_for_region(region)
        except ValueError:
            return True
        regions = session.get_available_regions("sagemaker", partition_name=partition)
        return region in regions or region not in session.get_available_regions("sts", partition_name=partition)

    def list_quotas(self) -> Mapping[str, Quota]:
        """Returns the account's values, and AWS's defaults for quotas without one."""
        client = self._session.client("service-quotas")
        quotas: dict[str, Quota] = {}
        for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
            with map_client_errors("Cannot list SageMaker's quotas"):
                pages = client.get_paginator(operation).paginate(
                    ServiceCode="sagemaker", PaginationConfig={"PageSize": 100}
                )
                for entry in (entry for page in pages for entry in page["Quotas"]):
                    name = entry["QuotaName"]
                    quota = Quota(name, entry["QuotaCode"], float(entry["Value"]), bool(entry["Adjustable"]))
                    quotas.setdefault(name.casefold(), quota)
        return quotas

    def count_budgets(self) -> int:
        with map_client_errors("Cannot list the account's budgets"):
            account = self._session.caller_identity()["Account"]
            pages = self._session.client("budgets").get_paginator("describe_budgets").paginate(AccountId=account)
            return sum(len(page.get("Budgets") or ()) for page in pages)

    def simulate_permissions(self, principal: str, request: Permission) -> Mapping[str, bool]:
        context = (("aws:PrincipalAccount", principal.split(":")[4]), *request.condition_keys)
        entries = [
            {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]} for key, value in context
        ]
        with map_client_errors(f"Cannot simulate the permissions of {principal}"):
            pages = (
                self._session.client("iam")
                .get_paginator("simulate_principal_policy")
                .paginate(
                    PolicySourceArn=principal,
                    ActionNames=list(request.actions),
                    ResourceArns=[request.resource],
                    ContextEntries=entries,
                )
            )
            rows: list[dict[str, Any]] = [row for page in pages for row in page["EvaluationResults"]]
        return {row["EvalActionName"]: row["EvalDecision"] == "allowed" for row in rows}

    def get_key_state(self, key_arn: str) -> str:
        with map_client_errors(f"Cannot describe key {key_arn}"):
            return str(self._session.client("kms").describe_key(KeyId=key_arn)["KeyMetadata"]["KeyState"])

    def check_key(self, key_arn: str) -> None:
        with map_client_errors(f"Cannot use key {key_arn}"):
            client = self._session.client("kms")
            data_key = client.generate_data_key(KeyId=key_arn, KeySpec="AES_256")
            decrypted = client.decrypt(CiphertextBlob=data_key["CiphertextBlob"], KeyId=key_arn)
        if decrypted["Plaintext"] != data_key["Plaintext"]:
            raise PlatformError(f"Key {key_arn} decrypts a data key that it generated to other bytes")

    def list_subscriptions(self, topic_arn: str) -> Sequence[Subscription]:
        with map_client_errors("Cannot list the subscriptions to the alerts"):
            paginator = self._session.client("sns").get_paginator("list_subscriptions_by_topic")
            entries = [entry for page in paginator.paginate(TopicArn=topic_arn) for entry in page["Subscriptions"]]
        return [Subscription(e["Endpoint"], e["SubscriptionArn"] not in (_UNCONFIRMED, "Deleted")) for e in entries]

    def pin_image(self, image_uri: str) -> str | None:
        return images.pin_image(self._session, image_uri)


def _parse_date(header: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(header).astimezone(UTC) if header else None
    except ValueError:
        return None
