"""Alarms that go off and tell, statistics and metric math on the local platform."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from inbox import Inbox

Client = Callable[[str], Any]


def test_an_alarm_goes_off_within_seconds_and_tells_its_topic_and_the_bus(client: Client, inbox: Inbox) -> None:
    cw, events = client("cloudwatch"), client("events")
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": ["quick"], "state": {"value": ["ALARM"]}}}
    events.put_rule(Name="quick", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="quick", Targets=[{"Id": "1", "Arn": inbox.topic}])
    cw.put_metric_alarm(
        AlarmName="quick", Namespace="Test", MetricName="Errors", Statistic="Maximum", Period=10, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold", TreatMissingData="notBreaching",
        AlarmActions=[inbox.topic], Tags=[{"Key": "Project", "Value": "p"}],
    )  # fmt: skip
    cw.put_composite_alarm(AlarmName="quick-too", AlarmRule='ALARM("quick")')
    began = time.monotonic()
    cw.put_metric_data(Namespace="Test", MetricData=[{"MetricName": "Errors", "Value": 5.0, "StorageResolution": 1}])
    told = inbox.read(2)
    assert time.monotonic() - began < 4
    assert sorted(subject or "" for subject, _ in told) == ["", 'ALARM: "quick" in US East (N. Virginia)']
    message = next(json.loads(m) for subject, m in told if subject)
    assert (message["NewStateValue"], message["Trigger"]["Threshold"]) == ("ALARM", 1.0)
    composite = cw.describe_alarms(AlarmTypes=["CompositeAlarm"], AlarmNames=["quick-too"])["CompositeAlarms"]
    assert composite[0]["StateValue"] == "ALARM"
    history = cw.describe_alarm_history(AlarmName="quick", HistoryItemType="Action")["AlarmHistoryItems"]
    assert "Successfully executed action" in history[0]["HistorySummary"]
    cw.delete_alarms(AlarmNames=["quick-too", "quick"])


def test_setting_a_state_by_hand_notifies(client: Client, inbox: Inbox) -> None:
    cw = client("cloudwatch")
    cw.put_metric_alarm(
        AlarmName="by-hand", Namespace="Test", MetricName="Nothing", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore", AlarmActions=[inbox.topic],
    )  # fmt: skip
    cw.set_alarm_state(AlarmName="by-hand", StateValue="ALARM", StateReason="rehearsal")
    assert json.loads(inbox.read()[0][1])["NewStateReason"] == "rehearsal"
    cw.delete_alarms(AlarmNames=["by-hand"])


def test_statistics_have_percentiles_and_metric_math(client: Client) -> None:
    cw = client("cloudwatch")
    cw.put_metric_data(Namespace="Stats", MetricData=[{"MetricName": "L", "Values": [float(i) for i in range(1, 101)]}])
    now = datetime.now(UTC)
    between = {"StartTime": now - timedelta(minutes=2), "EndTime": now + timedelta(minutes=2)}
    rows = cw.get_metric_statistics(
        Namespace="Stats", MetricName="L", Period=300, Statistics=["Average"], ExtendedStatistics=["p99"], **between
    )["Datapoints"]
    assert (rows[0]["Average"], rows[0]["ExtendedStatistics"]) == (50.5, {"p99": 99.0})
    stat = {"Metric": {"Namespace": "Stats", "MetricName": "L"}, "Period": 300, "Stat": "p90"}
    queries = [{"Id": "m1", "MetricStat": stat, "ReturnData": False}, {"Id": "e1", "Expression": "m1 * 2"}]
    results = cw.get_metric_data(MetricDataQueries=queries, **between)["MetricDataResults"]
    assert [(r["Id"], r["Values"]) for r in results] == [("e1", [180.0])]
