"""Resource types of CloudWatch and CloudWatch Logs: metric alarms, composite alarms, dashboards and log groups."""

from __future__ import annotations

from bedplate.engine.provider.resource_type import FollowUpCall, TagOperations, named_type, toggle_calls

ALARM_PROPERTIES = (
    *("actionsEnabled", "alarmActions", "alarmDescription", "comparisonOperator", "datapointsToAlarm", "dimensions"),
    *("evaluateLowSampleCountPercentiles", "evaluationPeriods", "extendedStatistic", "insufficientDataActions"),
    *("metricName", "metricQueries", "namespace", "okActions", "period", "statistic", "threshold", "unit"),
    *("thresholdMetricId", "treatMissingData"),
)
TAGS = TagOperations({"ResourceARN": "{arn}"})

RESOURCE_TYPES = (
    named_type(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "cloudwatch",
        ("PutMetricAlarm", "DescribeAlarms", "DeleteAlarms"),
        max_name_length=255,
        member_paths={"name": "AlarmName|AlarmNames", "metricQueries": "Metrics"},
        read_path="MetricAlarms[AlarmName={name}]",
        missing_codes=("ResourceNotFound",),
        outputs={"arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"},
        update_calls=(FollowUpCall("PutMetricAlarm", ALARM_PROPERTIES),),
        tags=TAGS,
    ),
    named_type(
        "aws:cloudwatch/compositeAlarm:CompositeAlarm",
        "cloudwatch",
        ("PutCompositeAlarm", "DescribeAlarms", "DeleteAlarms"),
        "alarmName",
        max_name_length=255,
        member_paths={"alarmName": "AlarmName|AlarmNames"},
        fixed_params={"AlarmTypes": ["CompositeAlarm"]},
        read_path="CompositeAlarms[AlarmName={alarmName}]",
        missing_codes=("ResourceNotFound",),
        outputs={"arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{alarmName}"},
        update_calls=(
            FollowUpCall(
                "PutCompositeAlarm",
                ("alarmRule", "alarmDescription", "alarmActions", "okActions", "insufficientDataActions"),
            ),
        ),
        replaces=("alarmName", "actionsEnabled"),
        tags=TAGS,
    ),
    named_type(
        "aws:cloudwatch/dashboard:Dashboard",
        "cloudwatch",
        ("PutDashboard", "GetDashboard", "DeleteDashboards"),
        "dashboardName",
        max_name_length=255,
        member_paths={"dashboardName": "DashboardName|DashboardNames"},
        missing_codes=("ResourceNotFound", "DashboardNotFoundError"),
        outputs={"dashboardArn": "arn:aws:cloudwatch::{account}:dashboard/{dashboardName}"},
        update_calls=(FollowUpCall("PutDashboard", ("dashboardBody",)),),
    ),
    named_type(
        "aws:cloudwatch/logGroup:LogGroup",
        "logs",
        ("CreateLogGroup", "DescribeLogGroups", "DeleteLogGroup"),
        max_name_length=512,
        member_paths={"name": "logGroupName|logGroupNamePrefix"},
        read_path="logGroups[logGroupName={name}]",
        missing_codes=("ResourceNotFoundException",),
        outputs={"arn": "arn:aws:logs:{region}:{account}:log-group:{name}"},
        create_follow_ups=(FollowUpCall("PutRetentionPolicy", ("retentionInDays",)),),
        update_calls=toggle_calls("retentionInDays", "PutRetentionPolicy", "DeleteRetentionPolicy"),
        replaces=("name", "logGroupClass", "kmsKeyId"),
        tags=TagOperations({"resourceArn": "{arn}"}, tags_member="tags", keys_member="tagKeys"),
    ),
)
