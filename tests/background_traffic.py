"""Sends requests to an endpoint in the background of a test."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any


class BackgroundTraffic:
    """Sends requests of `batch_size` rows to an endpoint, one after the other, until the `with` block ends.

    `client` is a boto3 client of `sagemaker-runtime`. After the last of `rows` it begins with the first again.
    """

    def __init__(self, client: Any, endpoint: str, rows: Sequence[Mapping[str, Any]], *, batch_size: int = 20) -> None:
        self._client, self._endpoint, self._rows, self._batch_size = client, endpoint, rows, batch_size
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        first = 0
        while not self._stop.wait(0.02):
            batch = [self._rows[(first + i) % len(self._rows)] for i in range(self._batch_size)]
            first += self._batch_size
            body = "\n".join(json.dumps(row) for row in batch)
            self._client.invoke_endpoint(
                EndpointName=self._endpoint,
                Body=body.encode(),
                ContentType="application/jsonlines",
                Accept="application/jsonlines",
            )
