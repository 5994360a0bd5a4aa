"""A topic with a queue behind it: what a platform tells by SNS, read as a subscriber reads it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any


class Inbox:
    """A topic with a queue behind it."""

    def __init__(self, client: Callable[[str], Any], name: str) -> None:
        self._sqs = client("sqs")
        self.topic = client("sns").create_topic(Name=name)["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        matches = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        client("sns").subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=matches["Attributes"]["QueueArn"])

    def receive(self, count: int = 1, within_s: float = 8) -> list[tuple[str | None, str]]:
        """Subject and message of the next `count` notifications, or of those that came in time."""
        matches: list[tuple[str | None, str]] = []
        deadline = time.monotonic() + within_s
        while len(matches) < count and time.monotonic() < deadline:
            response = self._sqs.receive_message(QueueUrl=self._queue, WaitTimeSeconds=1, MaxNumberOfMessages=10)
            for message in response.get("Messages", ()):
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
                body = json.loads(message["Body"])
                matches.append((body.get("Subject"), body["Message"]))
        return matches
