"""An SNS topic with a subscribed SQS queue, for tests of notifications."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any


class Inbox:
    """An SNS topic, whose notifications are read from a subscribed SQS queue."""

    def __init__(self, client: Callable[[str], Any], name: str) -> None:
        self._sqs = client("sqs")
        self.topic = client("sns").create_topic(Name=name)["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]
        client("sns").subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=attributes["QueueArn"])

    def receive(self, count: int = 1, within_s: float = 8) -> list[tuple[str | None, str]]:
        """Returns subject and message of the next `count` notifications, or of those that arrive in time."""
        notifications: list[tuple[str | None, str]] = []
        deadline = time.monotonic() + within_s
        while len(notifications) < count and time.monotonic() < deadline:
            response = self._sqs.receive_message(QueueUrl=self._queue, WaitTimeSeconds=1, MaxNumberOfMessages=10)
            for message in response.get("Messages", ()):
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
                body = json.loads(message["Body"])
                notifications.append((body.get("Subject"), body["Message"]))
        return notifications
