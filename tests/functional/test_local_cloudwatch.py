"""CloudWatch on the local platform: alarms and their actions, statistics and metric math."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

from inbox import Inbox
from platform_client import ClientFactory


def test_alarm_fires_within_seconds_and_notifies_its_topic_and_the_event_bus(
    client: ClientFactory, inbox: Inbox
) -> None:
    cloudwatch, events = client("cloudwatch"), client("events")
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": ["quick"], "state": {"value": ["ALARM"]}}}
    events.put_rule(Name="quick", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="quick", Targets=[{"Id": "1", "Arn": inbox.topic}])
    cloudwatch.put_metric_alarm(
        AlarmName="quick", Namespace="Test", MetricName="Errors", Statistic="Maximum", Period=10, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold", TreatMissingData="notBreaching",
        AlarmActions=[inbox.topic], Tags=[{"Key": "Project", "Value": "p"}],
    )  # fmt: skip
    cloudwatch.put_composite_alarm(AlarmName="quick-composite", AlarmRule='ALARM("quick")')
    started = time.monotonic()
    cloudwatch.put_metric_data(
        Namespace="Test", MetricData=[{"MetricName": "Errors", "Value": 5.0, "StorageResolution": 1}]
    )
    notifications = inbox.receive(2)
    assert time.monotonic() - started < 4
    assert sorted(subject or "" for subject, _ in notifications) == ["", 'ALARM: "quick" in US East (N. Virginia)']
    message = next(json.loads(text) for subject, text in notifications if subject)
    assert (message["NewStateValue"], message["Trigger"]["Threshold"]) == ("ALARM", 1.0)
    composite = cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"], AlarmNames=["quick-composite"])[
        "CompositeAlarms"
    ]
    assert composite[0]["StateValue"] == "ALARM"
    history = cloudwatch.describe_alarm_history(AlarmName="quick", HistoryItemType="Action")["AlarmHistoryItems"]
    assert "Successfully executed action" in history[0]["HistorySummary"]
    cloudwatch.delete_alarms(AlarmNames=["quick-composite", "quick"])


def test_set_alarm_state_notifies_the_topic(client: ClientFactory, inbox: Inbox) -> None:
    cloudwatch = client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="by-hand", Namespace="Test", MetricName="Nothing", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore", AlarmActions=[inbox.topic],
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName="by-hand", StateValue="ALARM", StateReason="rehearsal")
    assert json.loads(inbox.receive()[0][1])["NewStateReason"] == "rehearsal"
    cloudwatch.delete_alarms(AlarmNames=["by-hand"])


def test_statistics_include_percentiles_and_metric_math(client: ClientFactory) -> None:
    cloudwatch = client("cloudwatch")
    cloudwatch.put_metric_data(
        Namespace="Stats", MetricData=[{"MetricName": "L", "Values": [float(i) for i in range(1, 101)]}]
    )
    now = datetime.now(UTC)
    period = {"StartTime": now - timedelta(minutes=2), "EndTime": now + timedelta(minutes=2)}
    rows = cloudwatch.get_metric_statistics(
        Namespace="Stats", MetricName="L", Period=300, Statistics=["Average"], ExtendedStatistics=["p99"], **period
    )["Datapoints"]
    assert (rows[0]["Average"], rows[0]["ExtendedStatistics"]) == (50.5, {"p99": 99.0})
    metric_stat = {"Metric": {"Namespace": "Stats", "MetricName": "L"}, "Period": 300, "Stat": "p90"}
    queries = [{"Id": "m1", "MetricStat": metric_stat, "ReturnData": False}, {"Id": "e1", "Expression": "m1 * 2"}]
    results = cloudwatch.get_metric_data(MetricDataQueries=queries, **period)["MetricDataResults"]
    assert [(r["Id"], r["Values"]) for r in results] == [("e1", [180.0])]
