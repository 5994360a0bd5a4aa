"""Patches moto's Cost Explorer: costs and forecasts from the platform's charges, tags, anomaly monitors."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, ClassVar

import moto.ce.urls
from moto.ce.models import CostExplorerBackend
from moto.ce.responses import CostExplorerResponse

from bedplate.local.billing.budgets import Period, compute_spend, dimension_value, matches
from bedplate.local.billing.charges import Charge
from bedplate.local.billing.cost_queries import cost_and_usage, parse_time, split_periods
from bedplate.local.services.installation import AwsApiError, patch_service
from bedplate.local.wire.gateway import format_iso

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

Json = dict[str, Any]


class Backend(CostExplorerBackend):  # type: ignore[misc]
    _url_module = moto.ce.urls

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.monitors: dict[str, Json] = {}
        self.subscriptions: dict[str, Json] = {}
        self.allocation_tags: dict[str, Json] = {}


class Response(CostExplorerResponse):  # type: ignore[misc]
    platform: ClassVar[LocalPlatform]

    @property
    def _request(self) -> Json:
        return json.loads(self.body or "{}")  # type: ignore[no-any-return]

    # --- costs -----------------------------------------------------------------------------------------------------

    def get_cost_and_usage(self) -> str:
        request = self._request
        if parse_time(request["TimePeriod"]["Start"]) >= parse_time(request["TimePeriod"]["End"]):
            raise AwsApiError("ValidationException", "Start date (and hour) should be before end date (and hour)")
        rows = cost_and_usage(self._charges(), request, self.platform.now())
        groups = {"GroupDefinitions": request["GroupBy"]} if request.get("GroupBy") else {}
        return json.dumps({"ResultsByTime": rows, "DimensionValueAttributes": [], **groups})

    def get_cost_forecast(self) -> str:
        """Forecasts each period at the rate of the last 24 hours, like the budgets of the local platform."""
        request, now = self._request, self.platform.now()
        start, end = parse_time(request["TimePeriod"]["Start"]), parse_time(request["TimePeriod"]["End"])
        recent = self.platform.charges.list_charges(now - 86400, now + 3600)
        recent = [c for c in recent if not request.get("Filter") or matches(c, request["Filter"])]
        one_day = compute_spend(recent, Period(now, now + 86400), now)
        daily = one_day.forecast_usd - one_day.actual_usd
        rows, total = [], 0.0
        for since, until in split_periods(start, end, request["Granularity"]):
            usd = daily * (until - since).total_seconds() / 86400
            period = {"Start": since.strftime("%Y-%m-%d"), "End": until.strftime("%Y-%m-%d")}
            rows.append({"TimePeriod": period, "MeanValue": f"{usd:.10f}"})
            total += usd
        return json.dumps({"Total": {"Amount": f"{total:.10f}", "Unit": "USD"}, "ForecastResultsByTime": rows})

    def get_tags(self) -> str:
        request, charges = self._request, self._charges()
        key = request.get("TagKey")
        values = {c.tags.get(key, "") for c in charges} if key else {k for c in charges for k in c.tags}
        rows = sorted(v for v in values if request.get("SearchString", "") in v)
        return json.dumps({"Tags": rows, "ReturnSize": len(rows), "TotalSize": len(rows)})

    def get_dimension_values(self) -> str:
        request = self._request
        values = {dimension_value(c, request["Dimension"]) for c in self._charges()} - {""}
        rows = [{"Value": v, "Attributes": {}} for v in sorted(values) if request.get("SearchString", "") in v]
        return json.dumps({"DimensionValues": rows, "ReturnSize": len(rows), "TotalSize": len(rows)})

    def _charges(self) -> list[Charge]:
        period = self._request["TimePeriod"]
        start, end = parse_time(period["Start"]).timestamp(), parse_time(period["End"]).timestamp()
        return self.platform.charges.list_charges(start, end)

    # --- anomaly detection -----------------------------------------------------------------------------------------

    def create_anomaly_monitor(self) -> str:
        arn = self._new_arn("anomalymonitor")
        added = {"MonitorArn": arn, "CreationDate": self._today(), "LastUpdatedDate": self._today()}
        self.ce_backend.monitors[arn] = {**self._request["AnomalyMonitor"], **added, "DimensionalValueCount": 0}
        self.ce_backend.tag_resource(arn, self._request.get("ResourceTags") or [])
        return json.dumps({"MonitorArn": arn})

    def get_anomaly_monitors(self) -> str:
        rows = self._select(self.ce_backend.monitors, self._request.get("MonitorArnList"), "UnknownMonitorException")
        return json.dumps({"AnomalyMonitors": rows})

    def update_anomaly_monitor(self) -> str:
        arn = self._request["MonitorArn"]
        (monitor,) = self._select(self.ce_backend.monitors, [arn], "UnknownMonitorException")
        monitor.update({k: v for k, v in self._request.items() if k == "MonitorName"}, LastUpdatedDate=self._today())
        return json.dumps({"MonitorArn": arn})

    def delete_anomaly_monitor(self) -> str:
        self._select(self.ce_backend.monitors, [self._request["MonitorArn"]], "UnknownMonitorException")
        del self.ce_backend.monitors[self._request["MonitorArn"]]
        return "{}"

    def create_anomaly_subscription(self) -> str:
        subscription = self._request["AnomalySubscription"]
        self._select(self.ce_backend.monitors, subscription["MonitorArnList"], "UnknownMonitorException")
        arn = self._new_arn("anomalysubscription")
        added = {"SubscriptionArn": arn, "AccountId": self.current_account}
        self.ce_backend.subscriptions[arn] = {**subscription, **added}
        self.ce_backend.tag_resource(arn, self._request.get("ResourceTags") or [])
        return json.dumps({"SubscriptionArn": arn})

    def get_anomaly_subscriptions(self) -> str:
        request = self._request
        arns = request.get("SubscriptionArnList")
        rows = self._select(self.ce_backend.subscriptions, arns, "UnknownSubscriptionException")
        rows = [r for r in rows if request.get("MonitorArn") in (None, *r["MonitorArnList"])]
        return json.dumps({"AnomalySubscriptions": rows})

    def update_anomaly_subscription(self) -> str:
        arn = self._request["SubscriptionArn"]
        (subscription,) = self._select(self.ce_backend.subscriptions, [arn], "UnknownSubscriptionException")
        subscription.update({k: v for k, v in self._request.items() if k != "SubscriptionArn"})
        return json.dumps({"SubscriptionArn": arn})

    def delete_anomaly_subscription(self) -> str:
        arn = self._request["SubscriptionArn"]
        self._select(self.ce_backend.subscriptions, [arn], "UnknownSubscriptionException")
        del self.ce_backend.subscriptions[arn]
        return "{}"

    def get_anomalies(self) -> str:
        """Returns no anomalies: AWS needs ten days of history to detect any, and a local platform rarely has that."""
        return json.dumps({"Anomalies": []})

    def _select(self, table: dict[str, Json], arns: list[str] | None, error_code: str) -> list[Json]:
        """Returns the rows of these ARNs, or all rows without ARNs. Raises the service's error for a missing ARN."""
        missing = [arn for arn in arns or () if arn not in table]
        if missing:
            raise AwsApiError(error_code, f"{', '.join(missing)} does not exist.")
        return [table[arn] for arn in arns] if arns else list(table.values())

    # --- cost allocation tags --------------------------------------------------------------------------------------

    def update_cost_allocation_tags_status(self) -> str:
        for entry in self._request["CostAllocationTagsStatus"]:
            added = {"Type": "UserDefined", "LastUpdatedDate": f"{self._today()}T00:00:00Z"}
            self.ce_backend.allocation_tags[entry["TagKey"]] = {**entry, **added}
        return json.dumps({"Errors": []})

    def list_cost_allocation_tags(self) -> str:
        request = self._request
        rows = [
            tag
            for tag in self.ce_backend.allocation_tags.values()
            if request.get("Status") in (None, tag["Status"])
            and tag["TagKey"] in request.get("TagKeys", [tag["TagKey"]])
        ]
        return json.dumps({"CostAllocationTags": rows})

    def _new_arn(self, kind: str) -> str:
        return f"arn:aws:ce::{self.current_account}:{kind}/{uuid.uuid4()}"

    def _today(self) -> str:
        return format_iso(self.platform.now())[:10]


def install(platform: LocalPlatform) -> None:
    Response.platform = platform
    patch_service("ce", response=Response, backend=Backend)
