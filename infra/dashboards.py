"""Creates a model's CloudWatch dashboard, and a composite alarm over all of the model's alarms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from bedplate.domain.names import VARIANT, ModelNames
from bedplate.settings import ModelSpec

WIDTH, HEIGHT = 12, 6  # of a chart, in units of CloudWatch's grid, which has 24 columns
DRIFT_NAMESPACE = "aws/sagemaker/Endpoints/data-metrics"
"""CloudWatch namespace of the metrics that a Model Monitor container publishes for an endpoint."""
SERVING_NAMESPACE = "Bedplate/Serving"
Json = dict[str, Any]


@dataclass(frozen=True)
class DashboardArgs:
    prefix: str
    """Prefix of all resource names of the environment: `<project>-<stack>-`."""
    region: str
    names: ModelNames
    spec: ModelSpec
    alarms: Sequence[aws.cloudwatch.MetricAlarm]
    alerts_topic_arn: pulumi.Input[str]
    tags: Mapping[str, str]


class Dashboard(pulumi.ComponentResource):
    """Only the composite alarm notifies people, so they get one message when several alarms go into ALARM together."""

    def __init__(self, name: str, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Dashboard", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names = args.names
        rule = pulumi.Output.all(*(alarm.name for alarm in args.alarms)).apply(
            lambda alarms: " OR ".join(f'ALARM("{alarm}")' for alarm in alarms)
        )
        health = aws.cloudwatch.CompositeAlarm(
            names.health_alarm,
            alarm_name=names.health_alarm,
            alarm_description=f"At least one alarm of model {names.model} is in ALARM. "
            f"Next: bedplate status {names.model} --stack {names.stack}. On call: {args.spec.on_call}",
            alarm_rule=rule,
            alarm_actions=[args.alerts_topic_arn],
            ok_actions=[args.alerts_topic_arn],
            tags=args.tags,
            opts=child,
        )
        alarm_arns = pulumi.Output.all(health.arn, *(alarm.arn for alarm in args.alarms))
        aws.cloudwatch.Dashboard(
            names.dashboard,
            dashboard_name=names.dashboard,
            dashboard_body=alarm_arns.apply(lambda arns: json.dumps(_body(args, arns), sort_keys=True)),
            opts=child,
        )
        self.health_alarm = health.alarm_name
        self.register_outputs({"healthAlarm": self.health_alarm})


def _body(args: DashboardArgs, alarm_arns: Sequence[str]) -> Json:
    """Returns the dashboard with its widgets placed from left to right on CloudWatch's grid."""
    widgets, x, y = [], 0, 0
    for widget in [_title(args), _alarms(alarm_arns), *_charts(args)]:
        width, height = widget.pop("size", (WIDTH, HEIGHT))
        if x + width > 24:  # the widget starts a new row
            x, y = 0, y + HEIGHT
        widgets.append({**widget, "x": x, "y": y, "width": width, "height": height})
        x += width
        if height != HEIGHT:  # a widget of another height fills its own row
            x, y = 0, y + height
    return {"start": "-PT24H", "periodOverride": "inherit", "widgets": widgets}


def _title(args: DashboardArgs) -> Json:
    spec, budget = args.spec, args.spec.budget
    text = (
        f"# {spec.name}\n{spec.description}\n\nOwner {spec.owner}, on call {spec.on_call}. Budget "
        f"{budget.monthly_usd:g} USD a month (AWS Budgets: `{args.names.budget}`). `bedplate status {spec.name} "
        f"--stack {args.names.stack}`"
    )
    return {"type": "text", "size": (24, 3), "properties": {"markdown": text}}


def _alarms(arns: Sequence[str]) -> Json:
    return {"type": "alarm", "size": (24, 2), "properties": {"title": "Alarms", "alarms": list(arns)}}


def _charts(args: DashboardArgs) -> list[Json]:
    names, spec, region = args.names, args.spec, args.region
    live = ["EndpointName", names.endpoint, "VariantName", VARIANT]
    drift = ["Endpoint", names.endpoint, "MonitoringSchedule", names.monitoring_schedule]
    slo = spec.serving.slo
    return [
        _chart(
            "Latency, ms (line: SLO of the 99th percentile)",
            region,
            [
                # ModelLatency is in microseconds; the ids of expressions must differ from those of metrics.
                [{"expression": "p50/1000", "label": "median", "id": "a"}],
                [{"expression": "p99/1000", "label": "99th percentile", "id": "b"}],
                ["AWS/SageMaker", "ModelLatency", *live, {"id": "p50", "stat": "p50", "visible": False}],
                ["AWS/SageMaker", "ModelLatency", *live, {"id": "p99", "stat": "p99", "visible": False}],
            ],
            lines=[("SLO", slo.latency_p99_ms)],
        ),
        _chart(
            "Errors, share of requests",
            region,
            [
                ["AWS/SageMaker", "Invocation5XXErrors", *live, {"stat": "Average", "label": "5xx, the model's"}],
                ["AWS/SageMaker", "Invocation4XXErrors", *live, {"stat": "Average", "label": "4xx, the caller's"}],
            ],
            lines=[("SLO", slo.max_error_pct / 100)],
        ),
        _chart("Predictions by release", region, [_by_release(names, "Predictions", "Sum")], stacked=True),
        _chart("Mean prediction by release", region, [_by_release(names, "MeanPrediction", "Average")]),
        _chart(
            "Drift, PSI against the baseline",
            region,
            [
                [DRIFT_NAMESPACE, "bedplate_max_psi", *drift, {"stat": "Maximum", "label": "worst feature"}],
                [DRIFT_NAMESPACE, "bedplate_prediction_psi", *drift, {"stat": "Maximum", "label": "predictions"}],
            ],
            lines=[("warn", spec.monitors.psi_warn), ("alert", spec.monitors.psi_alert)],
            period_s=3600,
        ),
        _chart(
            "Deployments and rollbacks, of every model of this environment",
            region,
            [
                _triggered_rules(args.prefix, "deployments", "a deployment progressed, ended or was rolled back"),
                _triggered_rules(args.prefix, "endpoint-states", "an endpoint is rolling back or failed"),
            ],
        ),
        _chart(
            "Spend this month, USD: SageMaker, the whole account",
            "us-east-1",  # AWS has billing metrics in this region only
            [["AWS/Billing", "EstimatedCharges", "ServiceName", "AmazonSageMaker", "Currency", "USD"]],
            stat="Maximum",
            period_s=21600,
        ),
    ]


def _chart(
    title: str,
    region: str,
    metrics: list[Any],
    *,
    lines: Sequence[tuple[str, float]] = (),
    stacked: bool = False,
    stat: str = "Sum",
    period_s: int = 60,
) -> Json:
    properties: Json = {
        "title": title,
        "region": region,
        "view": "timeSeries",
        "stacked": stacked,
        "stat": stat,
        "period": period_s,
        "metrics": metrics,
    }
    if lines:
        properties["annotations"] = {"horizontal": [{"label": label, "value": value} for label, value in lines]}
    return {"type": "metric", "properties": properties}


def _by_release(names: ModelNames, metric: str, stat: str) -> list[Json]:
    """Returns a search for the metric of every release, because releases do not exist yet when `up` creates it."""
    term = f'{{{SERVING_NAMESPACE},Endpoint,Release}} MetricName="{metric}" Endpoint="{names.endpoint}"'
    return [{"expression": f"SEARCH('{term}', '{stat}', 60)", "id": metric.lower(), "label": ""}]


def _triggered_rules(prefix: str, rule: str, label: str) -> list[Any]:
    """Returns the metric that counts the events that an EventBridge rule matched."""
    return ["AWS/Events", "TriggeredRules", "RuleName", f"{prefix}{rule}", {"stat": "Sum", "label": label}]
