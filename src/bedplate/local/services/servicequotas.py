"""Service Quotas: SageMaker's quotas on instances, listed, paged, and raised at once when somebody asks.

They are listed and not enforced: on a laptop nothing runs out of instances. The names are SageMaker's, the codes and
values are ours.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import moto.servicequotas.urls
from moto.core.utils import unix_time
from moto.servicequotas.models import ServiceQuotasBackend
from moto.servicequotas.responses import ServiceQuotasResponse

from bedplate.domain.money.prices import known_instance_types
from bedplate.domain.stacks.availability import offers
from bedplate.local.services.installation import AwsApiError, lay

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

USES = (
    "training job usage",
    "spot training job usage",
    "processing job usage",
    "transform job usage",
    "endpoint usage",
)
DEFAULT, SERVERLESS = 20.0, 10.0
_PAGE = 100


class Backend(ServiceQuotasBackend):  # type: ignore[misc]
    _url_module = moto.servicequotas.urls

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.raised: dict[str, float] = {}
        self.changes: list[dict[str, Any]] = []

    def listed(self, service: str, *, defaults: bool = False) -> list[dict[str, Any]]:
        """Every quota of a service; raised ones with their new value unless the defaults are asked for."""
        if service != "sagemaker":
            kept: list[dict[str, Any]] = self.list_aws_default_service_quotas(service)
            return kept
        raised = {} if defaults else self.raised
        quotas = []
        for name, value in _defaults(self.region_name):
            code = code_of(name)
            quotas.append(
                {
                    "ServiceCode": "sagemaker",
                    "ServiceName": "Amazon SageMaker",
                    "QuotaArn": f"arn:aws:servicequotas:{self.region_name}:{self.account_id}:sagemaker/{code}",
                    "QuotaCode": code,
                    "QuotaName": name,
                    "Value": raised.get(code, value),
                    "Unit": "None",
                    "Adjustable": True,
                    "GlobalQuota": False,
                }
            )
        return quotas

    def one(self, service: str, code: str, *, defaults: bool = False) -> dict[str, Any]:
        found = next((q for q in self.listed(service, defaults=defaults) if q["QuotaCode"] == code), None)
        if found is None:
            raise AwsApiError("NoSuchResourceException", f"The quota {code} of {service} does not exist.")
        return found

    def raise_to(self, service: str, code: str, value: float) -> dict[str, Any]:
        quota = self.one(service, code)
        if value <= quota["Value"]:
            said = f"You must provide a quota value greater than the current quota value: {quota['Value']}"
            raise AwsApiError("IllegalArgumentException", said)
        self.raised[code] = value
        kept = {key: quota[key] for key in ("ServiceCode", "ServiceName", "QuotaCode", "QuotaName", "QuotaArn", "Unit")}
        change = {
            **kept,
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
        return self._page("Quotas", self.backend.listed(self._said["ServiceCode"]))

    def list_aws_default_service_quotas(self) -> str:
        return self._page("Quotas", self.backend.listed(self._said["ServiceCode"], defaults=True))

    def get_service_quota(self) -> str:
        return json.dumps({"Quota": self.backend.one(self._said["ServiceCode"], self._said["QuotaCode"])})

    def get_aws_default_service_quota(self) -> str:
        quota = self.backend.one(self._said["ServiceCode"], self._said["QuotaCode"], defaults=True)
        return json.dumps({"Quota": quota})

    def request_service_quota_increase(self) -> str:
        """Granted at once; AWS may take days."""
        said = self._said
        change = self.backend.raise_to(said["ServiceCode"], said["QuotaCode"], float(said["DesiredValue"]))
        return json.dumps({"RequestedQuota": change})

    def list_requested_service_quota_change_history(self) -> str:
        return self._page("RequestedQuotas", self.backend.changes)

    @property
    def _said(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.body)
        return said

    def _page(self, key: str, rows: list[dict[str, Any]]) -> str:
        start = int(self._said.get("NextToken") or 0)
        end = start + int(self._said.get("MaxResults") or _PAGE)
        more = {"NextToken": str(end)} if end < len(rows) else {}
        return json.dumps({key: rows[start:end], **more})


def code_of(name: str) -> str:
    """A code in the form of AWS's, made of the name.

    >>> code_of("ml.m5.large for endpoint usage")
    'L-735C41FD'
    """
    return f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"


def _defaults(region: str) -> list[tuple[str, float]]:
    known = {*known_instance_types("training"), *known_instance_types("endpoint")}
    there = [kind for kind in known if offers(region, kind) is not False]
    named = [(f"{kind} for {use}", DEFAULT) for kind in sorted(there) for use in USES]
    return [*named, ("Maximum total concurrency across all serverless endpoints", SERVERLESS)]


def install(platform: LocalPlatform) -> None:
    del platform
    lay("servicequotas", response=Response, backend=Backend)
