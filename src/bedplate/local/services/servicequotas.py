"""Patches moto's Service Quotas: lists SageMaker's instance quotas and grants every increase at once.

The quotas are not enforced, because a local platform does not run out of instances. The names are SageMaker's; the
codes and values are Bedplate's.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import moto.servicequotas.urls
from moto.core.utils import unix_time
from moto.servicequotas.models import ServiceQuotasBackend
from moto.servicequotas.responses import ServiceQuotasResponse

from bedplate.domain.money.prices import list_instance_types
from bedplate.domain.stacks.availability import is_offered
from bedplate.local.services.installation import AwsApiError, patch_service
from bedplate.local.services.records import page_of

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_USAGES = (
    "training job usage",
    "spot training job usage",
    "processing job usage",
    "transform job usage",
    "endpoint usage",
)
_INSTANCE_QUOTA, _SERVERLESS_QUOTA = 20.0, 10.0
_PAGE_SIZE = 100


class Backend(ServiceQuotasBackend):  # type: ignore[misc]
    _url_module = moto.servicequotas.urls

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.raised: dict[str, float] = {}
        self.changes: list[dict[str, Any]] = []

    def list_quotas(self, service: str, *, defaults: bool = False) -> list[dict[str, Any]]:
        """Returns every quota of a service, with its raised value or, with `defaults`, with AWS's default value."""
        if service != "sagemaker":
            return self.list_aws_default_service_quotas(service)  # type: ignore[no-any-return]
        raised = {} if defaults else self.raised
        return [
            {
                "ServiceCode": "sagemaker",
                "ServiceName": "Amazon SageMaker",
                "QuotaArn": f"arn:aws:servicequotas:{self.region_name}:{self.account_id}:sagemaker/{quota_code(name)}",
                "QuotaCode": quota_code(name),
                "QuotaName": name,
                "Value": raised.get(quota_code(name), value),
                "Unit": "None",
                "Adjustable": True,
                "GlobalQuota": False,
            }
            for name, value in _default_quotas(self.region_name)
        ]

    def find_quota(self, service: str, code: str, *, defaults: bool = False) -> dict[str, Any]:
        quota = next((q for q in self.list_quotas(service, defaults=defaults) if q["QuotaCode"] == code), None)
        if quota is None:
            raise AwsApiError("NoSuchResourceException", f"The quota {code} of {service} does not exist.")
        return quota

    def raise_quota(self, service: str, code: str, value: float) -> dict[str, Any]:
        """Raises a quota and returns the request for it, which is approved. Raises an error unless the value grows."""
        quota = self.find_quota(service, code)
        if value <= quota["Value"]:
            message = f"You must provide a quota value greater than the current quota value: {quota['Value']}"
            raise AwsApiError("IllegalArgumentException", message)
        self.raised[code] = value
        fields = ("ServiceCode", "ServiceName", "QuotaCode", "QuotaName", "QuotaArn", "Unit")
        change = {
            **{field: quota[field] for field in fields},
            "Id": hashlib.sha256(f"{code}{len(self.changes)}".encode()).hexdigest()[:40],
            "DesiredValue": value,
            "Status": "APPROVED",
            "Created": unix_time(),
            "LastUpdated": unix_time(),
            "GlobalQuota": False,
        }
        self.changes.append(change)
        return change


class Response(ServiceQuotasResponse):  # type: ignore[misc]
    def list_service_quotas(self) -> str:
        return self._page("Quotas", self.backend.list_quotas(self._request["ServiceCode"]))

    def list_aws_default_service_quotas(self) -> str:
        return self._page("Quotas", self.backend.list_quotas(self._request["ServiceCode"], defaults=True))

    def get_service_quota(self) -> str:
        return json.dumps({"Quota": self.backend.find_quota(self._request["ServiceCode"], self._request["QuotaCode"])})

    def get_aws_default_service_quota(self) -> str:
        quota = self.backend.find_quota(self._request["ServiceCode"], self._request["QuotaCode"], defaults=True)
        return json.dumps({"Quota": quota})

    def request_service_quota_increase(self) -> str:
        """Grants the increase at once; AWS may take days."""
        request = self._request
        change = self.backend.raise_quota(request["ServiceCode"], request["QuotaCode"], float(request["DesiredValue"]))
        return json.dumps({"RequestedQuota": change})

    def list_requested_service_quota_change_history(self) -> str:
        return self._page("RequestedQuotas", self.backend.changes)

    @property
    def _request(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]

    def _page(self, field: str, rows: list[dict[str, Any]]) -> str:
        size = int(self._request.get("MaxResults") or _PAGE_SIZE)
        page, token = page_of(rows, self._request.get("NextToken"), size)
        return json.dumps({field: page, **({"NextToken": token} if token else {})})


def quota_code(name: str) -> str:
    """Returns a code in AWS's format, derived from the quota's name.

    >>> quota_code("ml.m5.large for endpoint usage")
    'L-735C41FD'
    """
    return f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"


def _default_quotas(region: str) -> list[tuple[str, float]]:
    """Returns the name and the default value of every SageMaker quota of a region."""
    instance_types = {*list_instance_types("training"), *list_instance_types("endpoint")}
    available = sorted(name for name in instance_types if is_offered(region, name) is not False)
    quotas = [(f"{instance_type} for {usage}", _INSTANCE_QUOTA) for instance_type in available for usage in _USAGES]
    return [*quotas, ("Maximum total concurrency across all serverless endpoints", _SERVERLESS_QUOTA)]


def install(platform: LocalPlatform) -> None:
    del platform
    patch_service("servicequotas", response=Response, backend=Backend)
