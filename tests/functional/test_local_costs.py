"""AWS Budgets, and Cost Explorer with its anomaly monitors, on the local platform."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from builders import ACCOUNT
from platform_client import ClientFactory, error_code_of


def test_budget_can_be_read_updated_and_tagged(client: ClientFactory) -> None:
    budgets = client("budgets")
    names = {"AccountId": ACCOUNT, "BudgetName": "plain"}
    budget = {
        "BudgetName": "plain", "BudgetType": "COST", "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": "10", "Unit": "USD"}, "CostFilters": {"TagKeyValue": ["user:Model$unused"]},
    }  # fmt: skip
    alert = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}
    mail = {"SubscriptionType": "EMAIL", "Address": "finance@bedplate.example"}
    budgets.create_budget(
        AccountId=ACCOUNT,
        Budget=budget,
        NotificationsWithSubscribers=[{"Notification": alert, "Subscribers": [mail]}],
        ResourceTags=[{"Key": "Project", "Value": "p"}],
    )
    described = budgets.describe_budget(**names)["Budget"]
    assert described["CalculatedSpend"]["ActualSpend"]["Amount"] == "0"
    assert budgets.describe_subscribers_for_notification(**names, Notification=alert)["Subscribers"] == [mail]
    state = budgets.describe_notifications_for_budget(**names)["Notifications"][0]["NotificationState"]
    assert state == "OK"
    arn = f"arn:aws:budgets::{ACCOUNT}:budget/plain"
    assert budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"] == [{"Key": "Project", "Value": "p"}]
    budgets.update_budget(AccountId=ACCOUNT, NewBudget={**budget, "BudgetLimit": {"Amount": "20", "Unit": "USD"}})
    assert budgets.describe_budget(**names)["Budget"]["BudgetLimit"]["Amount"] == "20"
    budgets.delete_budget(**names)
    assert error_code_of(budgets.describe_budget, **names) == "NotFoundException"


def test_cost_explorer_returns_a_row_for_every_day_of_a_period(client: ClientFactory) -> None:
    today = datetime.now(UTC).date()
    period = {"Start": (today - timedelta(days=2)).isoformat(), "End": (today + timedelta(days=1)).isoformat()}
    response = client("ce").get_cost_and_usage(
        TimePeriod=period, Granularity="DAILY", Metrics=["UnblendedCost"], GroupBy=[{"Type": "TAG", "Key": "Model"}]
    )
    assert len(response["ResultsByTime"]) == 3


def test_anomaly_monitors_and_subscriptions_can_be_created_and_deleted(client: ClientFactory) -> None:
    ce = client("ce")
    monitor = {"MonitorName": "m", "MonitorType": "DIMENSIONAL", "MonitorDimension": "SERVICE"}
    arn = ce.create_anomaly_monitor(AnomalyMonitor=monitor)["MonitorArn"]
    subscription = {
        "SubscriptionName": "s", "MonitorArnList": [arn], "Frequency": "DAILY",
        "Subscribers": [{"Type": "EMAIL", "Address": "a@bedplate.example"}],
        "ThresholdExpression": {"Dimensions": {"Key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE", "Values": ["1"]}},
    }  # fmt: skip
    subscription_arn = ce.create_anomaly_subscription(AnomalySubscription=subscription)["SubscriptionArn"]
    assert (
        ce.get_anomaly_subscriptions(MonitorArn=arn)["AnomalySubscriptions"][0]["SubscriptionArn"] == subscription_arn
    )
    ce.delete_anomaly_subscription(SubscriptionArn=subscription_arn)
    ce.delete_anomaly_monitor(MonitorArn=arn)
    assert error_code_of(ce.get_anomaly_monitors, MonitorArnList=[arn]) == "UnknownMonitorException"
