"""Describes resources that remain after a destroy, found by their tags, and how to delete each."""

from __future__ import annotations

from dataclasses import dataclass

_JOB_KINDS = ("training-job", "processing-job", "hyper-parameter-tuning-job")
"""Kinds of SageMaker resources that stay as records of jobs."""
_NAMED_KINDS = ("endpoint", "endpoint-config", "model", "model-package-group", "monitoring-schedule", "pipeline")
"""Kinds whose CLI command and option are named after the kind."""
_FREE = "stays as a free record; to delete it"

# By service and kind of an ARN: the command that deletes it, or what happens to it without one.
_REMOVAL = {
    "s3": "aws s3 rb --force s3://{name}, after deleting its object versions (locked objects: after their retention)",
    "kms:key": "nothing to do if its deletion is scheduled; otherwise: aws kms schedule-key-deletion --key-id {name}",
    **{f"sagemaker:{kind}": f"{_FREE}: aws sagemaker delete-{kind} --{kind}-name {{name}}" for kind in _JOB_KINDS},
    **{f"sagemaker:{kind}": f"aws sagemaker delete-{kind} --{kind}-name {{name}}" for kind in _NAMED_KINDS},
    **{
        f"sagemaker:{kind}-job-definition": f"aws sagemaker delete-{kind}-job-definition --job-definition-name {{name}}"
        for kind in ("data-quality", "model-quality", "model-bias", "model-explainability")
    },
    "sagemaker:model-package": "aws sagemaker delete-model-package --model-package-name {arn}",
    "sagemaker:mlflow-tracking-server": "aws sagemaker delete-mlflow-tracking-server --tracking-server-name {name}",
    "cloudwatch:alarm": "aws cloudwatch delete-alarms --alarm-names {name}",
    "logs:log-group": "aws logs delete-log-group --log-group-name {name}",
    "sns": "aws sns delete-topic --topic-arn {arn}",
    "sqs": "aws sqs delete-queue --queue-url <the URL printed by aws sqs get-queue-url --queue-name {name}>",
    "ecr:repository": "aws ecr delete-repository --force --repository-name {name}",
    "ssm:parameter": "aws ssm delete-parameter --name /{name}",
    "events:rule": "aws events delete-rule --name {name}, after removing its targets",
    "cloudtrail:trail": "aws cloudtrail delete-trail --name {name}",
}


@dataclass(frozen=True, slots=True)
class RemainingResource:
    """A resource that still has the stack's tags. `removal` says how to delete it."""

    arn: str
    removal: str

    @property
    def job_record(self) -> str:
        """The kind of job if the resource is only a job's record, which costs nothing; otherwise empty."""
        service, kind = self.arn.split(":", 5)[2], self.arn.split(":", 5)[5].split("/", 1)[0]
        return kind.replace("-", " ") if service == "sagemaker" and kind in _JOB_KINDS else ""


def describe_remaining(arn: str) -> RemainingResource:
    """Returns the resource of an ARN with the way to delete it.

    >>> describe_remaining("arn:aws:cloudwatch:us-east-1:123456789012:alarm:p-dev-errors").removal
    'aws cloudwatch delete-alarms --alarm-names p-dev-errors'
    >>> describe_remaining("arn:aws:sns:us-east-1:123456789012:p-dev-alerts").removal
    'aws sns delete-topic --topic-arn arn:aws:sns:us-east-1:123456789012:p-dev-alerts'
    >>> describe_remaining("arn:aws:sagemaker:us-east-1:123456789012:training-job/p-dev-1").job_record
    'training job'
    """
    service, resource = arn.split(":", 5)[2], arn.split(":", 5)[5]
    kind, separator, name = resource.replace(":", "/", 1).partition("/")
    if f"{service}:{kind}" in _REMOVAL and separator:
        return RemainingResource(arn, _REMOVAL[f"{service}:{kind}"].format(name=name, arn=arn))
    removal = _REMOVAL.get(service, "in the console of {service}, or with its delete API")
    return RemainingResource(arn, removal.format(name=resource, arn=arn, service=service))
