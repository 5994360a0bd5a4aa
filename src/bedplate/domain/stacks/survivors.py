"""What is still there after a destroy, found by its tags, and how each is removed."""

from __future__ import annotations

from dataclasses import dataclass

_RECORDS = ("training-job", "processing-job", "hyper-parameter-tuning-job")
"""Of SageMaker: what is left of what ran."""
_FREE = "stays as a record and costs nothing, else"

# By service and kind of an ARN: the command that removes it, or what becomes of it by itself.
_HOW = {
    "s3": "aws s3 rb --force s3://{name}, after its object versions (objects under a lock: when their time is over)",
    "kms:key": "nothing to do when it waits for its deletion, else: aws kms schedule-key-deletion --key-id {name}",
    **{f"sagemaker:{kind}": f"{_FREE}: aws sagemaker delete-{kind} --{kind}-name {{name}}" for kind in _RECORDS},
    "sagemaker:endpoint": "aws sagemaker delete-endpoint --endpoint-name {name}",
    "sagemaker:endpoint-config": "aws sagemaker delete-endpoint-config --endpoint-config-name {name}",
    "sagemaker:model": "aws sagemaker delete-model --model-name {name}",
    "sagemaker:model-package": "aws sagemaker delete-model-package --model-package-name {arn}",
    "sagemaker:model-package-group": "aws sagemaker delete-model-package-group --model-package-group-name {name}",
    "sagemaker:monitoring-schedule": "aws sagemaker delete-monitoring-schedule --monitoring-schedule-name {name}",
    "sagemaker:model-quality-job-definition": (
        "aws sagemaker delete-model-quality-job-definition --job-definition-name {name}"
    ),
    "sagemaker:model-bias-job-definition": (
        "aws sagemaker delete-model-bias-job-definition --job-definition-name {name}"
    ),
    "sagemaker:model-explainability-job-definition": (
        "aws sagemaker delete-model-explainability-job-definition --job-definition-name {name}"
    ),
    "cloudwatch:alarm": "aws cloudwatch delete-alarms --alarm-names {name}",
    "logs:log-group": "aws logs delete-log-group --log-group-name {name}",
    "sagemaker:pipeline": "aws sagemaker delete-pipeline --pipeline-name {name}",
    "sagemaker:mlflow-tracking-server": "aws sagemaker delete-mlflow-tracking-server --tracking-server-name {name}",
    "sagemaker:data-quality-job-definition": (
        "aws sagemaker delete-data-quality-job-definition --job-definition-name {name}"
    ),
    "sns": "aws sns delete-topic --topic-arn {arn}",
    "sqs": "aws sqs delete-queue --queue-url <the URL that aws sqs get-queue-url --queue-name {name} tells>",
    "ecr:repository": "aws ecr delete-repository --force --repository-name {name}",
    "ssm:parameter": "aws ssm delete-parameter --name /{name}",
    "events:rule": "aws events delete-rule --name {name}, after its targets",
    "cloudtrail:trail": "aws cloudtrail delete-trail --name {name}",
}


@dataclass(frozen=True, slots=True)
class Survivor:
    arn: str
    how: str

    @property
    def record(self) -> str:
        """What it is when it is no more than the record of a job, which costs nothing; else empty."""
        service, kind = self.arn.split(":", 5)[2], self.arn.split(":", 5)[5].split("/", 1)[0]
        return kind.replace("-", " ") if service == "sagemaker" and kind in _RECORDS else ""


def survivor(arn: str) -> Survivor:
    """How what carries this ARN is removed.

    >>> survivor("arn:aws:cloudwatch:us-east-1:123456789012:alarm:p-dev-errors").how
    'aws cloudwatch delete-alarms --alarm-names p-dev-errors'
    >>> survivor("arn:aws:sns:us-east-1:123456789012:p-dev-alerts").how
    'aws sns delete-topic --topic-arn arn:aws:sns:us-east-1:123456789012:p-dev-alerts'
    >>> survivor("arn:aws:sagemaker:us-east-1:123456789012:training-job/p-dev-1").record
    'training job'
    """
    service, rest = arn.split(":", 5)[2], arn.split(":", 5)[5]
    kind, separator, name = rest.replace(":", "/", 1).partition("/")
    if f"{service}:{kind}" in _HOW and separator:
        return Survivor(arn, _HOW[f"{service}:{kind}"].format(name=name, arn=arn))
    told = _HOW.get(service, "by the console of {service}, or its delete call")
    return Survivor(arn, told.format(name=rest, arn=arn, service=service))
