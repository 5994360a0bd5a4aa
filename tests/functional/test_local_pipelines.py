"""EventBridge rules start SageMaker pipelines on the local platform; failed events reach a dead-letter queue."""

from __future__ import annotations

import json
from typing import Any

from builders import ACCOUNT
from platform_client import ClientFactory
from polling import wait_until


def create_pipeline(client: ClientFactory, name: str, *command: str) -> str:
    step = {
        "Name": "print-reason",
        "Type": "Processing",
        "Arguments": {
            "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": list(command)},
            "Environment": {"REASON": {"Get": "Parameters.Reason"}},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1}
            },
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/pipelines",
        },
    }
    definition = {"Version": "2020-12-01", "Parameters": [{"Name": "Reason", "Type": "String"}], "Steps": [step]}
    response = client("sagemaker").create_pipeline(
        PipelineName=name,
        PipelineDisplayName=name,
        PipelineDefinition=json.dumps(definition),
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/pipelines",
        ClientRequestToken="0123456789012345678901234567890123456789",
    )
    return str(response["PipelineArn"])


def send_event(client: ClientFactory, source: str, target: dict[str, Any]) -> None:
    client("events").put_rule(Name=source, EventPattern=json.dumps({"source": [source]}))
    parameters = {"PipelineParameterList": [{"Name": "Reason", "Value": "$.detail.alarmName"}]}
    target = {"Id": "1", "SageMakerPipelineParameters": parameters, **target}
    client("events").put_targets(Rule=source, Targets=[target])
    entry = {"Source": source, "DetailType": "t", "Detail": json.dumps({"alarmName": "drift"})}
    client("events").put_events(Entries=[entry])


def test_event_runs_the_pipeline_step_with_parameters_from_the_event(client: ClientFactory) -> None:
    arn = create_pipeline(client, "reasons", "python", "-c", "import os; print('because of', os.environ['REASON'])")
    send_event(client, "test.reasons", {"Arn": arn})
    sagemaker = client("sagemaker")
    (execution,) = sagemaker.list_pipeline_executions(PipelineName="reasons")["PipelineExecutionSummaries"]
    arguments = {"PipelineExecutionArn": execution["PipelineExecutionArn"]}
    status = wait_until(
        lambda: sagemaker.describe_pipeline_execution(**arguments)["PipelineExecutionStatus"],
        lambda status: status != "Executing",
    )
    assert status == "Succeeded"
    (step,) = sagemaker.list_pipeline_execution_steps(**arguments)["PipelineExecutionSteps"]
    job = step["Metadata"]["ProcessingJob"]["Arn"].rsplit("/", 1)[-1]
    group = "/aws/sagemaker/ProcessingJobs"
    (stream,) = client("logs").describe_log_streams(logGroupName=group, logStreamNamePrefix=job)["logStreams"]
    lines = client("logs").get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    assert "because of drift" in [line["message"] for line in lines]


def test_event_for_a_missing_pipeline_reaches_the_dead_letter_queue_with_the_reason(client: ClientFactory) -> None:
    queue = client("sqs").create_queue(QueueName="dead-letters")["QueueUrl"]
    missing = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:pipeline/missing"
    send_event(
        client,
        "test.dead",
        {"Arn": missing, "DeadLetterConfig": {"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:dead-letters"}},
    )
    (letter,) = client("sqs").receive_message(QueueUrl=queue, MessageAttributeNames=["All"], WaitTimeSeconds=5)[
        "Messages"
    ]
    assert json.loads(letter["Body"])["detail"] == {"alarmName": "drift"}
    assert "does not exist" in letter["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"]
