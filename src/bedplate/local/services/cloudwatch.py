"""CloudWatch: metrics in a store of their own, statistics and metric math, alarms that are evaluated and tell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import moto.cloudwatch.urls
from moto.cloudwatch.models import CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.resource_tagging import TaggedResource
from moto.core.responses import ActionResult, EmptyResult

from bedplate.local.metrics.alarms import AlarmRuleError, names_in
from bedplate.local.metrics.metric_queries import aligned, answers
from bedplate.local.metrics.store import Metric, points_of, statistic
from bedplate.local.services.installation import AwsApiError, lay
from bedplate.local.services.records import plain

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform
    from bedplate.local.services.alarm_evaluation import AlarmEvaluator

_PAGE = 500
_STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")

Alarm = dict[str, Any]


class Backend(CloudWatchBackend):  # type: ignore[misc]
    _url_module = moto.cloudwatch.urls

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.watched: dict[str, Alarm] = {}
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.alarm_tags: dict[str, dict[str, str]] = {}

    # What follows is for the Resource Groups Tagging API, which asks every service.

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        yield from super().iter_tagged_resources()  # of alarms moto holds none
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
    watch: ClassVar[AlarmEvaluator]

    @property
    def _in(self) -> dict[str, Any]:
        asked: dict[str, Any] = plain(self.params)
        return asked

    # --- metrics ---------------------------------------------------------------------------------------------------

    def put_metric_data(self) -> ActionResult:
        asked, now = self._in, self.platform.now()
        for datum in asked.get("MetricData") or ():
            metric = Metric.of({"Namespace": asked["Namespace"], **datum})
            self.platform.metrics.put(metric, points_of(datum, now))
        return EmptyResult()

    def get_metric_statistics(self) -> ActionResult:
        asked = self._in
        names = [*(asked.get("Statistics") or ()), *(asked.get("ExtendedStatistics") or ())]
        if not names:
            message = "Must specify either Statistics or ExtendedStatistics"
            raise AwsApiError("InvalidParameterCombination", message)
        if asked["StartTime"] >= asked["EndTime"]:
            message = "The parameter StartTime must be less than the parameter EndTime."
            raise AwsApiError("InvalidParameterValue", message)
        metric = Metric.of(asked)
        stretches = aligned(asked["StartTime"], asked["EndTime"], int(asked["Period"]))
        everything = self.platform.metrics.between(metric, stretches[0][0], stretches[-1][1], asked.get("Unit"))
        rows = []
        for start, end in stretches:
            points = [p for p in everything if start <= p.at < end]
            if not points:
                continue
            figures = {name: statistic(points, name) for name in names}
            row: dict[str, Any] = {"Timestamp": start, "Unit": points[-1].unit}
            row |= {k: v for k, v in figures.items() if k in (asked.get("Statistics") or ())}
            extended = {k: v for k, v in figures.items() if k in (asked.get("ExtendedStatistics") or ())}
            rows.append({**row, **({"ExtendedStatistics": extended} if extended else {})})
        return ActionResult({"Label": asked["MetricName"], "Datapoints": rows})

    def get_metric_data(self) -> ActionResult:
        asked = self._in
        queries = asked["MetricDataQueries"]
        if asked["StartTime"] >= asked["EndTime"]:
            raise AwsApiError("ValidationError", "The parameter EndTime must be greater than StartTime.")
        try:
            made = answers(self.platform.metrics, queries, asked["StartTime"], asked["EndTime"])
        except ValueError as exc:
            raise AwsApiError("ValidationError", str(exc)) from exc
        newest_first = asked.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results = []
        for query in (q for q in queries if q.get("ReturnData", True)):
            rows = sorted(made[query["Id"]].items(), reverse=newest_first)
            stat = query.get("MetricStat") or {}
            results.append(
                {
                    "Id": query["Id"],
                    "Label": query.get("Label") or stat.get("Metric", {}).get("MetricName") or query["Id"],
                    "Timestamps": [at for at, _ in rows],
                    "Values": [value for _, value in rows],
                    "StatusCode": "Complete",
                }
            )
        return ActionResult({"MetricDataResults": results, "Messages": []})

    def list_metrics(self) -> ActionResult:
        asked = self._in
        wanted = [(d["Name"], d.get("Value")) for d in asked.get("Dimensions") or ()]
        found = [
            {
                "Namespace": m.namespace,
                "MetricName": m.name,
                "Dimensions": [{"Name": k, "Value": v} for k, v in m.dims],
            }
            for m in self.platform.metrics.metrics(asked.get("Namespace"), asked.get("MetricName"))
            if all(any(k == name and value in (None, v) for k, v in m.dims) for name, value in wanted)
        ]
        page, token = _page(found, asked.get("NextToken"), _PAGE)
        return ActionResult({"Metrics": page, "NextToken": token})

    # --- alarms ----------------------------------------------------------------------------------------------------

    def put_metric_alarm(self) -> ActionResult:
        asked = self._in
        if not asked.get("Metrics") and not asked.get("MetricName"):
            raise AwsApiError("ValidationError", "At least one of MetricName and Metrics is needed.")
        if asked.get("MetricName") and not (asked.get("Statistic") or asked.get("ExtendedStatistic")):
            raise AwsApiError("ValidationError", "At least one of Statistic and ExtendedStatistic is needed.")
        if int(asked.get("DatapointsToAlarm") or 1) > int(asked["EvaluationPeriods"]):
            message = "DatapointsToAlarm must not be greater than EvaluationPeriods."
            raise AwsApiError("ValidationError", message)
        self._keep(asked)
        return EmptyResult()

    def put_composite_alarm(self) -> ActionResult:
        asked = self._in
        try:
            names = names_in(asked["AlarmRule"])
        except AlarmRuleError as exc:
            raise AwsApiError("ValidationError", str(exc)) from exc
        unknown = [n for n in names if n not in self.cloudwatch_backend.watched]
        if unknown:
            raise AwsApiError("ValidationError", f"Could not find alarm {', '.join(unknown)}.")
        self._keep(asked)
        return EmptyResult()

    def _keep(self, asked: Alarm) -> None:
        """Store an alarm; one that exists keeps its state, a new one begins without data."""
        name, now = asked["AlarmName"], self.platform.now()
        watched = self.cloudwatch_backend.watched
        arn = f"arn:aws:cloudwatch:{self.region}:{self.current_account}:alarm:{name}"
        tags = {t["Key"]: t["Value"] for t in asked.pop("Tags", None) or ()}
        born = {
            "StateValue": "INSUFFICIENT_DATA",
            "StateReason": "Unchecked: Initial alarm creation",
            "StateReasonData": "{}",
            "StateUpdatedTimestamp": now,
            "StateTransitionedTimestamp": now,
        }
        state = {key: watched[name][key] for key in born} if name in watched else born
        if name not in watched:
            self.cloudwatch_backend.alarm_tags[arn] = tags
        watched[name] = {
            "ActionsEnabled": True,
            **{key: [] for key in ("OKActions", "AlarmActions", "InsufficientDataActions")},
            **({} if "AlarmRule" in asked else {"Dimensions": []}),
            **asked,
            "AlarmArn": arn,
            "AlarmConfigurationUpdatedTimestamp": now,
            **state,
        }

    def describe_alarms(self) -> ActionResult:
        asked = self._in
        kinds = asked.get("AlarmTypes") or ["MetricAlarm"]
        if asked.get("AlarmNames") and "AlarmTypes" not in asked:
            kinds = ["MetricAlarm", "CompositeAlarm"]
        found = [a for a in self.cloudwatch_backend.watched.values() if _wanted(a, asked) and _kind(a) in kinds]
        page, token = _page(found, asked.get("NextToken"), int(asked.get("MaxRecords") or 100))
        metric = [a for a in page if _kind(a) == "MetricAlarm"]
        composite = [a for a in page if _kind(a) == "CompositeAlarm"]
        return ActionResult({"MetricAlarms": metric, "CompositeAlarms": composite, "NextToken": token})

    def describe_alarms_for_metric(self) -> ActionResult:
        asked = self._in
        metric = Metric.of(asked)
        alarms = [a for a in self.cloudwatch_backend.watched.values() if a.get("MetricName") and Metric.of(a) == metric]
        return ActionResult({"MetricAlarms": alarms})

    def describe_alarm_history(self) -> ActionResult:
        asked = self._in
        history = self.cloudwatch_backend.history
        names = [asked["AlarmName"]] if asked.get("AlarmName") else list(history)
        rows = [row for name in names for row in history.get(name, ())]
        rows = [
            row
            for row in rows
            if asked.get("HistoryItemType") in (None, row["HistoryItemType"])
            and row["Timestamp"] >= asked.get("StartDate", 0)
            and row["Timestamp"] <= asked.get("EndDate", row["Timestamp"])
        ]
        rows.sort(key=lambda r: r["Timestamp"], reverse=asked.get("ScanBy") != "TimestampAscending")
        page, token = _page(rows, asked.get("NextToken"), int(asked.get("MaxRecords") or 100))
        return ActionResult({"AlarmHistoryItems": page, "NextToken": token})

    def delete_alarms(self) -> ActionResult:
        for name in self._in["AlarmNames"]:
            alarm = self.cloudwatch_backend.watched.pop(name, None)
            if alarm:
                self.cloudwatch_backend.alarm_tags.pop(alarm["AlarmArn"], None)
                self.cloudwatch_backend.history.pop(name, None)
        return EmptyResult()

    def enable_alarm_actions(self) -> ActionResult:
        return self._switch(True)

    def disable_alarm_actions(self) -> ActionResult:
        return self._switch(False)

    def _switch(self, on: bool) -> ActionResult:
        for name in self._in["AlarmNames"]:
            if name in self.cloudwatch_backend.watched:
                self.cloudwatch_backend.watched[name]["ActionsEnabled"] = on
        return EmptyResult()

    def set_alarm_state(self) -> ActionResult:
        asked = self._in
        alarm = self.cloudwatch_backend.watched.get(asked["AlarmName"])
        if alarm is None:
            raise AwsApiError("ResourceNotFound", f"Alarm {asked['AlarmName']} does not exist.")
        if asked["StateValue"] not in _STATES:
            raise AwsApiError("ValidationError", f"StateValue must be one of {', '.join(_STATES)}.")
        data = asked.get("StateReasonData")
        if data is not None:
            try:
                json.loads(data)
            except ValueError as exc:
                raise AwsApiError("InvalidFormat", "StateReasonData is not JSON.") from exc
        self.watch.set_state(alarm, asked["StateValue"], asked["StateReason"], data)
        return EmptyResult()

    # --- tags ------------------------------------------------------------------------------------------------------

    def list_tags_for_resource(self) -> ActionResult:
        tags = self._tags()
        if tags is None:
            return super().list_tags_for_resource()
        return ActionResult({"Tags": [{"Key": k, "Value": v} for k, v in tags.items()]})

    def tag_resource(self) -> ActionResult:
        tags = self._tags()
        if tags is None:
            return super().tag_resource()
        tags.update({t["Key"]: t["Value"] for t in self._in["Tags"]})
        return EmptyResult()

    def untag_resource(self) -> ActionResult:
        tags = self._tags()
        if tags is None:
            return super().untag_resource()
        for key in self._in["TagKeys"]:
            tags.pop(key, None)
        return EmptyResult()

    def _tags(self) -> dict[str, str] | None:
        """Of an alarm; None for the ARN of anything else."""
        arn = self._in["ResourceARN"]
        if ":alarm:" not in arn:
            return None
        if arn not in self.cloudwatch_backend.alarm_tags:
            raise AwsApiError("ResourceNotFoundException", f"{arn} does not exist.")
        return self.cloudwatch_backend.alarm_tags[arn]  # type: ignore[no-any-return]


def install(platform: LocalPlatform) -> None:
    from bedplate.local.services.alarm_evaluation import AlarmEvaluator

    Response.platform, Response.watch = platform, AlarmEvaluator(platform)
    platform.loops.append(("alarms", Response.watch.step, 1.0))
    lay("cloudwatch", response=Response, backend=Backend)


def _kind(alarm: Alarm) -> str:
    return "CompositeAlarm" if "AlarmRule" in alarm else "MetricAlarm"


def _wanted(alarm: Alarm, asked: dict[str, Any]) -> bool:
    actions: Iterable[str] = (a for key in ("OKActions", "AlarmActions", "InsufficientDataActions") for a in alarm[key])
    prefix = asked.get("ActionPrefix")
    return (
        (not asked.get("AlarmNames") or alarm["AlarmName"] in asked["AlarmNames"])
        and alarm["AlarmName"].startswith(asked.get("AlarmNamePrefix") or "")
        and asked.get("StateValue") in (None, alarm["StateValue"])
        and (not prefix or any(a.startswith(prefix) for a in actions))
    )


def _page(rows: list[Any], token: str | None, size: int) -> tuple[list[Any], str | None]:
    first = int(token or 0)
    return rows[first : first + size], str(first + size) if first + size < len(rows) else None
