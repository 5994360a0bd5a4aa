"""Patches moto's CloudWatch: a metric store, statistics, metric math, and alarms that are evaluated and notify."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import moto.cloudwatch.urls
from moto.cloudwatch.models import CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.resource_tagging import TaggedResource
from moto.core.responses import ActionResult, EmptyResult

from bedplate.local.metrics.alarms import AlarmRuleError, alarm_names
from bedplate.local.metrics.metric_queries import aligned_periods, query_metrics
from bedplate.local.metrics.store import Metric, parse_datum, statistic
from bedplate.local.services.installation import AwsApiError, patch_service
from bedplate.local.services.records import page_of, to_plain

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform
    from bedplate.local.services.alarm_evaluation import AlarmEvaluator

_METRICS_PAGE_SIZE = 500
_ALARM_STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")

Alarm = dict[str, Any]


class Backend(CloudWatchBackend):  # type: ignore[misc]
    _url_module = moto.cloudwatch.urls

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.alarm_records: dict[str, Alarm] = {}  # moto's own `alarms` stays empty
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.alarm_tags: dict[str, dict[str, str]] = {}

    # The Resource Groups Tagging API calls these methods of every service.

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        yield from super().iter_tagged_resources()  # moto's own resources, no alarms
        for arn, tags in self.alarm_tags.items():
            yield TaggedResource(arn, dict(tags), "cloudwatch:alarm")

    def tag_resource(self, arn: str, tags: Mapping[str, str]) -> None:
        if arn in self.alarm_tags:
            self.alarm_tags[arn].update(tags)
        else:
            super().tag_resource(arn, tags)

    def untag_resource(self, arn: str, tag_keys: Sequence[str]) -> None:
        if arn not in self.alarm_tags:
            super().untag_resource(arn, tag_keys)
            return
        for key in tag_keys:
            self.alarm_tags[arn].pop(key, None)


class Response(CloudWatchResponse):  # type: ignore[misc]
    platform: ClassVar[LocalPlatform]
    evaluator: ClassVar[AlarmEvaluator]

    @property
    def _request(self) -> dict[str, Any]:
        """The parameters of the request, with times in epoch seconds."""
        return to_plain(self.params)  # type: ignore[no-any-return]

    # --- metrics ---------------------------------------------------------------------------------------------------

    def put_metric_data(self) -> ActionResult:
        request, now = self._request, self.platform.now()
        for datum in request.get("MetricData") or ():
            metric = Metric.parse({"Namespace": request["Namespace"], **datum})
            self.platform.metrics.put(metric, parse_datum(datum, now))
        return EmptyResult()

    def get_metric_statistics(self) -> ActionResult:
        request = self._request
        if not request.get("Statistics") and not request.get("ExtendedStatistics"):
            message = "Must specify either Statistics or ExtendedStatistics"
            raise AwsApiError("InvalidParameterCombination", message)
        if request["StartTime"] >= request["EndTime"]:
            message = "The parameter StartTime must be less than the parameter EndTime."
            raise AwsApiError("InvalidParameterValue", message)
        metric = Metric.parse(request)
        periods = aligned_periods(request["StartTime"], request["EndTime"], int(request["Period"]))
        all_points = self.platform.metrics.list_points(metric, periods[0][0], periods[-1][1], request.get("Unit"))
        rows = []
        for start, end in periods:
            points = [p for p in all_points if start <= p.time < end]
            if not points:
                continue
            row: dict[str, Any] = {"Timestamp": start, "Unit": points[-1].unit}
            row |= {name: statistic(points, name) for name in request.get("Statistics") or ()}
            if request.get("ExtendedStatistics"):
                row["ExtendedStatistics"] = {name: statistic(points, name) for name in request["ExtendedStatistics"]}
            rows.append(row)
        return ActionResult({"Label": request["MetricName"], "Datapoints": rows})

    def get_metric_data(self) -> ActionResult:
        request = self._request
        queries = request["MetricDataQueries"]
        if request["StartTime"] >= request["EndTime"]:
            raise AwsApiError("ValidationError", "The parameter EndTime must be greater than StartTime.")
        try:
            series = query_metrics(self.platform.metrics, queries, request["StartTime"], request["EndTime"])
        except ValueError as exc:
            raise AwsApiError("ValidationError", str(exc)) from exc
        newest_first = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results = []
        for query in (q for q in queries if q.get("ReturnData", True)):
            rows = sorted(series[query["Id"]].items(), reverse=newest_first)
            metric_stat = query.get("MetricStat") or {}
            results.append(
                {
                    "Id": query["Id"],
                    "Label": query.get("Label") or metric_stat.get("Metric", {}).get("MetricName") or query["Id"],
                    "Timestamps": [at for at, _ in rows],
                    "Values": [value for _, value in rows],
                    "StatusCode": "Complete",
                }
            )
        return ActionResult({"MetricDataResults": results, "Messages": []})

    def list_metrics(self) -> ActionResult:
        request = self._request
        # A dimension filter without a value selects every value, as on AWS.
        filters = [(d["Name"], d.get("Value")) for d in request.get("Dimensions") or ()]
        rows = [
            {
                "Namespace": m.namespace,
                "MetricName": m.name,
                "Dimensions": [{"Name": k, "Value": v} for k, v in m.dims],
            }
            for m in self.platform.metrics.list_metrics(request.get("Namespace"), request.get("MetricName"))
            if all(any(k == name and value in (None, v) for k, v in m.dims) for name, value in filters)
        ]
        page, token = page_of(rows, request.get("NextToken"), _METRICS_PAGE_SIZE)
        return ActionResult({"Metrics": page, "NextToken": token})

    # --- alarms ----------------------------------------------------------------------------------------------------

    def put_metric_alarm(self) -> ActionResult:
        request = self._request
        if not request.get("Metrics") and not request.get("MetricName"):
            raise AwsApiError("ValidationError", "MetricName or Metrics is required.")
        if request.get("MetricName") and not (request.get("Statistic") or request.get("ExtendedStatistic")):
            raise AwsApiError("ValidationError", "Statistic or ExtendedStatistic is required.")
        if int(request.get("DatapointsToAlarm") or 1) > int(request["EvaluationPeriods"]):
            message = "DatapointsToAlarm must not be greater than EvaluationPeriods."
            raise AwsApiError("ValidationError", message)
        self._store_alarm(request)
        return EmptyResult()

    def put_composite_alarm(self) -> ActionResult:
        request = self._request
        try:
            names = alarm_names(request["AlarmRule"])
        except AlarmRuleError as exc:
            raise AwsApiError("ValidationError", str(exc)) from exc
        unknown = [n for n in names if n not in self.cloudwatch_backend.alarm_records]
        if unknown:
            raise AwsApiError("ValidationError", f"Could not find alarm {', '.join(unknown)}.")
        self._store_alarm(request)
        return EmptyResult()

    def _store_alarm(self, request: Alarm) -> None:
        """Stores an alarm. An alarm that exists keeps its state and tags; a new one starts as INSUFFICIENT_DATA."""
        name, now = request["AlarmName"], self.platform.now()
        records = self.cloudwatch_backend.alarm_records
        arn = f"arn:aws:cloudwatch:{self.region}:{self.current_account}:alarm:{name}"
        tags = {t["Key"]: t["Value"] for t in request.pop("Tags", None) or ()}
        initial_state = {
            "StateValue": "INSUFFICIENT_DATA",
            "StateReason": "Unchecked: Initial alarm creation",
            "StateReasonData": "{}",
            "StateUpdatedTimestamp": now,
            "StateTransitionedTimestamp": now,
        }
        state = {key: records[name][key] for key in initial_state} if name in records else initial_state
        if name not in records:
            self.cloudwatch_backend.alarm_tags[arn] = tags
        records[name] = {
            "ActionsEnabled": True,
            **{key: [] for key in ("OKActions", "AlarmActions", "InsufficientDataActions")},
            **({} if "AlarmRule" in request else {"Dimensions": []}),
            **request,
            "AlarmArn": arn,
            "AlarmConfigurationUpdatedTimestamp": now,
            **state,
        }

    def describe_alarms(self) -> ActionResult:
        request = self._request
        # Without AlarmTypes AWS returns metric alarms only, unless AlarmNames selects the alarms.
        default = ["MetricAlarm", "CompositeAlarm"] if request.get("AlarmNames") else ["MetricAlarm"]
        types, alarms = request.get("AlarmTypes") or default, self.cloudwatch_backend.alarm_records.values()
        matches = [alarm for alarm in alarms if _matches(alarm, request) and _alarm_type(alarm) in types]
        page, token = page_of(matches, request.get("NextToken"), int(request.get("MaxRecords") or 100))
        metric = [a for a in page if _alarm_type(a) == "MetricAlarm"]
        composite = [a for a in page if _alarm_type(a) == "CompositeAlarm"]
        return ActionResult({"MetricAlarms": metric, "CompositeAlarms": composite, "NextToken": token})

    def describe_alarms_for_metric(self) -> ActionResult:
        request = self._request
        metric = Metric.parse(request)
        records = self.cloudwatch_backend.alarm_records.values()
        alarms = [alarm for alarm in records if alarm.get("MetricName") and Metric.parse(alarm) == metric]
        return ActionResult({"MetricAlarms": alarms})

    def describe_alarm_history(self) -> ActionResult:
        request = self._request
        history = self.cloudwatch_backend.history
        names = [request["AlarmName"]] if request.get("AlarmName") else list(history)
        rows = [row for name in names for row in history.get(name, ())]
        rows = [
            row
            for row in rows
            if request.get("HistoryItemType") in (None, row["HistoryItemType"])
            and row["Timestamp"] >= request.get("StartDate", 0)
            and row["Timestamp"] <= request.get("EndDate", row["Timestamp"])
        ]
        rows.sort(key=lambda r: r["Timestamp"], reverse=request.get("ScanBy") != "TimestampAscending")
        page, token = page_of(rows, request.get("NextToken"), int(request.get("MaxRecords") or 100))
        return ActionResult({"AlarmHistoryItems": page, "NextToken": token})

    def delete_alarms(self) -> ActionResult:
        for name in self._request["AlarmNames"]:
            alarm = self.cloudwatch_backend.alarm_records.pop(name, None)
            if alarm:
                self.cloudwatch_backend.alarm_tags.pop(alarm["AlarmArn"], None)
                self.cloudwatch_backend.history.pop(name, None)
        return EmptyResult()

    def enable_alarm_actions(self) -> ActionResult:
        return self._set_actions_enabled(True)

    def disable_alarm_actions(self) -> ActionResult:
        return self._set_actions_enabled(False)

    def _set_actions_enabled(self, enabled: bool) -> ActionResult:
        for name in self._request["AlarmNames"]:
            if name in self.cloudwatch_backend.alarm_records:
                self.cloudwatch_backend.alarm_records[name]["ActionsEnabled"] = enabled
        return EmptyResult()

    def set_alarm_state(self) -> ActionResult:
        request = self._request
        alarm = self.cloudwatch_backend.alarm_records.get(request["AlarmName"])
        if alarm is None:
            raise AwsApiError("ResourceNotFound", f"Alarm {request['AlarmName']} does not exist.")
        if request["StateValue"] not in _ALARM_STATES:
            raise AwsApiError("ValidationError", f"StateValue must be one of {', '.join(_ALARM_STATES)}.")
        data = request.get("StateReasonData")
        if data is not None:
            try:
                json.loads(data)
            except ValueError as exc:
                raise AwsApiError("InvalidFormat", "StateReasonData is not JSON.") from exc
        self.evaluator.set_state(alarm, request["StateValue"], request["StateReason"], data)
        return EmptyResult()

    # --- tags ------------------------------------------------------------------------------------------------------

    def list_tags_for_resource(self) -> ActionResult:
        tags = self._alarm_tags()
        if tags is None:
            return super().list_tags_for_resource()
        return ActionResult({"Tags": [{"Key": k, "Value": v} for k, v in tags.items()]})

    def tag_resource(self) -> ActionResult:
        tags = self._alarm_tags()
        if tags is None:
            return super().tag_resource()
        tags.update({t["Key"]: t["Value"] for t in self._request["Tags"]})
        return EmptyResult()

    def untag_resource(self) -> ActionResult:
        tags = self._alarm_tags()
        if tags is None:
            return super().untag_resource()
        for key in self._request["TagKeys"]:
            tags.pop(key, None)
        return EmptyResult()

    def _alarm_tags(self) -> dict[str, str] | None:
        """Returns the tags of the alarm in the request; None when the ARN is not an alarm's."""
        arn = self._request["ResourceARN"]
        if ":alarm:" not in arn:
            return None
        if arn not in self.cloudwatch_backend.alarm_tags:
            raise AwsApiError("ResourceNotFoundException", f"{arn} does not exist.")
        return self.cloudwatch_backend.alarm_tags[arn]  # type: ignore[no-any-return]


def install(platform: LocalPlatform) -> None:
    from bedplate.local.services.alarm_evaluation import AlarmEvaluator

    Response.platform, Response.evaluator = platform, AlarmEvaluator(platform)
    platform.loops.append(("alarms", Response.evaluator.step, 1.0))
    patch_service("cloudwatch", response=Response, backend=Backend)


def _alarm_type(alarm: Alarm) -> str:
    return "CompositeAlarm" if "AlarmRule" in alarm else "MetricAlarm"


def _matches(alarm: Alarm, request: dict[str, Any]) -> bool:
    actions: Iterable[str] = (a for key in ("OKActions", "AlarmActions", "InsufficientDataActions") for a in alarm[key])
    action_prefix = request.get("ActionPrefix")
    return (
        (not request.get("AlarmNames") or alarm["AlarmName"] in request["AlarmNames"])
        and alarm["AlarmName"].startswith(request.get("AlarmNamePrefix") or "")
        and request.get("StateValue") in (None, alarm["StateValue"])
        and (not action_prefix or any(a.startswith(action_prefix) for a in actions))
    )
