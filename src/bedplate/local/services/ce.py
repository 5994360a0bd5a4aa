"""Cost Explorer: costs and forecasts computed from what ran, tags and dimensions, anomaly monitors, allocation tags."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, ClassVar

import moto.ce.urls
from moto.ce.models import CostExplorerBackend
from moto.ce.responses import CostExplorerResponse

from bedplate.local.billing.budgets import Period, dimension, matches, spend
from bedplate.local.billing.charges import Charge
from bedplate.local.billing.cost_queries import cost_and_usage, moment, stretches
from bedplate.local.services.installation import AwsApiError, lay

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
    def _in(self) -> Json:
        return json.loads(self.body or "{}")  # type: ignore[no-any-return]

    # --- costs -----------------------------------------------------------------------------------------------------

    def get_cost_and_usage(self) -> str:
        asked = self._in
        if moment(asked["TimePeriod"]["Start"]) >= moment(asked["TimePeriod"]["End"]):
            raise AwsApiError("ValidationException", "Start date (and hour) should be before end date (and hour)")
        rows = cost_and_usage(self._charges(), asked, self.platform.now())
        groups = {"GroupDefinitions": asked["GroupBy"]} if asked.get("GroupBy") else {}
        return json.dumps({"ResultsByTime": rows, "DimensionValueAttributes": [], **groups})

    def get_cost_forecast(self) -> str:
        """The rate of the last day until the end, as budgets forecast."""
        asked, now = self._in, self.platform.now()
        start, end = moment(asked["TimePeriod"]["Start"]), moment(asked["TimePeriod"]["End"])
        recent = self.platform.charges.between(now - 86400, now + 3600)
        recent = [c for c in recent if not asked.get("Filter") or matches(c, asked["Filter"])]
        one_day = spend(recent, Period(now, now + 86400), now)
        daily = one_day.forecast_usd - one_day.actual_usd
        rows, total = [], 0.0
        for since, until in stretches(start, end, asked["Granularity"]):
            usd = daily * (until - since).total_seconds() / 86400
            period = {"Start": since.strftime("%Y-%m-%d"), "End": until.strftime("%Y-%m-%d")}
            rows.append({"TimePeriod": period, "MeanValue": f"{usd:.10f}"})
            total += usd
        return json.dumps({"Total": {"Amount": f"{total:.10f}", "Unit": "USD"}, "ForecastResultsByTime": rows})

    def get_tags(self) -> str:
        asked, charges = self._in, self._charges()
        key = asked.get("TagKey")
        found = {c.tags.get(key, "") for c in charges} if key else {k for c in charges for k in c.tags}
        rows = sorted(v for v in found if asked.get("SearchString", "") in v)
        return json.dumps({"Tags": rows, "ReturnSize": len(rows), "TotalSize": len(rows)})

    def get_dimension_values(self) -> str:
        asked = self._in
        found = {dimension(c, asked["Dimension"]) for c in self._charges()} - {""}
        rows = [{"Value": v, "Attributes": {}} for v in sorted(found) if asked.get("SearchString", "") in v]
        return json.dumps({"DimensionValues": rows, "ReturnSize": len(rows), "TotalSize": len(rows)})

    def _charges(self) -> list[Charge]:
        period = self._in["TimePeriod"]
        return self.platform.charges.between(moment(period["Start"]).timestamp(), moment(period["End"]).timestamp())

    # --- anomaly detection -----------------------------------------------------------------------------------------

    def create_anomaly_monitor(self) -> str:
        arn = self._arn("anomalymonitor")
        today = self._today()
        monitor = {**self._in["AnomalyMonitor"], "MonitorArn": arn, "CreationDate": today, "LastUpdatedDate": today}
        self.ce_backend.monitors[arn] = {**monitor, "DimensionalValueCount": 0}
        self.ce_backend.tag_resource(arn, self._in.get("ResourceTags") or [])
        return json.dumps({"MonitorArn": arn})

    def get_anomaly_monitors(self) -> str:
        rows = self._chosen(self.ce_backend.monitors, self._in.get("MonitorArnList"), "UnknownMonitorException")
        return json.dumps({"AnomalyMonitors": rows})

    def update_anomaly_monitor(self) -> str:
        arn = self._in["MonitorArn"]
        (monitor,) = self._chosen(self.ce_backend.monitors, [arn], "UnknownMonitorException")
        monitor.update({k: v for k, v in self._in.items() if k == "MonitorName"}, LastUpdatedDate=self._today())
        return json.dumps({"MonitorArn": arn})

    def delete_anomaly_monitor(self) -> str:
        self._chosen(self.ce_backend.monitors, [self._in["MonitorArn"]], "UnknownMonitorException")
        del self.ce_backend.monitors[self._in["MonitorArn"]]
        return "{}"

    def create_anomaly_subscription(self) -> str:
        asked = self._in["AnomalySubscription"]
        self._chosen(self.ce_backend.monitors, asked["MonitorArnList"], "UnknownMonitorException")
        arn = self._arn("anomalysubscription")
        subscription = {**asked, "SubscriptionArn": arn, "AccountId": self.current_account}
        self.ce_backend.subscriptions[arn] = subscription
        self.ce_backend.tag_resource(arn, self._in.get("ResourceTags") or [])
        return json.dumps({"SubscriptionArn": arn})

    def get_anomaly_subscriptions(self) -> str:
        asked = self._in
        known = self.ce_backend.subscriptions
        rows = self._chosen(known, asked.get("SubscriptionArnList"), "UnknownSubscriptionException")
        rows = [r for r in rows if asked.get("MonitorArn") in (None, *r["MonitorArnList"])]
        return json.dumps({"AnomalySubscriptions": rows})

    def update_anomaly_subscription(self) -> str:
        arn = self._in["SubscriptionArn"]
        (row,) = self._chosen(self.ce_backend.subscriptions, [arn], "UnknownSubscriptionException")
        row.update({k: v for k, v in self._in.items() if k != "SubscriptionArn"})
        return json.dumps({"SubscriptionArn": arn})

    def delete_anomaly_subscription(self) -> str:
        arn = self._in["SubscriptionArn"]
        self._chosen(self.ce_backend.subscriptions, [arn], "UnknownSubscriptionException")
        del self.ce_backend.subscriptions[arn]
        return "{}"

    def get_anomalies(self) -> str:
        """None: a detector needs ten days of history on AWS, and this one has none to learn from."""
        return json.dumps({"Anomalies": []})

    def _chosen(self, known: dict[str, Json], arns: list[str] | None, code: str) -> list[Json]:
        missing = [arn for arn in arns or () if arn not in known]
        if missing:
            raise AwsApiError(code, f"{', '.join(missing)} does not exist.")
        return [known[arn] for arn in arns] if arns else list(known.values())

    # --- cost allocation tags --------------------------------------------------------------------------------------

    def update_cost_allocation_tags_status(self) -> str:
        for entry in self._in["CostAllocationTagsStatus"]:
            tag = {"TagKey": entry["TagKey"], "Type": "UserDefined", "LastUpdatedDate": f"{self._today()}T00:00:00Z"}
            self.ce_backend.allocation_tags[entry["TagKey"]] = {**tag, "Status": entry["Status"]}
        return json.dumps({"Errors": []})

    def list_cost_allocation_tags(self) -> str:
        asked = self._in
        rows = [
            tag
            for tag in self.ce_backend.allocation_tags.values()
            if asked.get("Status") in (None, tag["Status"]) and tag["TagKey"] in asked.get("TagKeys", [tag["TagKey"]])
        ]
        return json.dumps({"CostAllocationTags": rows})

    def _arn(self, kind: str) -> str:
        return f"arn:aws:ce::{self.current_account}:{kind}/{uuid.uuid4()}"

    def _today(self) -> str:
        from bedplate.local.wire.gateway import stamp

        return stamp(self.platform.now())[:10]


def install(platform: LocalPlatform) -> None:
    Response.platform = platform
    lay("ce", response=Response, backend=Backend)
