"""Reads a model's latest captured requests and predictions from S3 without listing the whole capture."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import takewhile

from bedplate.domain.data.capture import CapturedRequest, read_capture
from bedplate.domain.names import VARIANT
from bedplate.domain.release import version_of
from bedplate.workflows.stack_context import StackContext

MAX_READERS = 16
PROBE_ID_PREFIX = "bedplate-"
"""Prefix of the inferenceIds of Bedplate's own requests, which are skipped."""
WINDOWS = (timedelta(minutes=10), timedelta(hours=2), timedelta(days=2), timedelta(days=30), timedelta(days=400))
"""How far back to look, one window after the other, until there are enough predictions."""


def capture_uri(stack: StackContext, model: str) -> str:
    """Returns the S3 prefix of a release's data capture; SageMaker appends endpoint, variant and time."""
    return f"s3://{stack.outputs.capture_bucket}/{stack.names(model).capture_prefix}".rstrip("/")


def read_latest(
    stack: StackContext,
    model: str,
    *,
    min_predictions: int,
    version: int | None = None,
    until: datetime | None = None,
    since: datetime | None = None,
    variant: str = VARIANT,
) -> tuple[CapturedRequest, ...]:
    """Returns the newest requests with together at least `min_predictions` predictions, oldest first.

    Returns all requests when there are fewer predictions. `version` selects the requests that any release of that
    version served, `until` and `since` those in a period, `variant` those of a production variant or shadow variant.
    """
    end = until or stack.clock.now()
    requests: list[CapturedRequest] = []
    visited: set[str] = set()
    count = 0
    for start in [since] if since else [end - window for window in WINDOWS]:
        uris = [uri for uri in _list_files(stack, model, start, end, variant) if uri not in visited]
        visited |= set(uris)
        for request in _read_requests(stack, uris[::-1]):
            if (request.inference_id or "").startswith(PROBE_ID_PREFIX):
                continue
            if (version is None or (request.release and version_of(request.release) == version)) and (
                since is None or request.inference_time >= since
            ):
                requests.append(request)
                count += len(request.predictions)
            if count >= min_predictions:
                return tuple(sorted(requests, key=lambda r: r.inference_time))
    return tuple(sorted(requests, key=lambda r: r.inference_time))


def find_event(
    stack: StackContext, model: str, event_id: str, *, since: datetime | None = None, until: datetime | None = None
) -> tuple[CapturedRequest, str] | None:
    """Returns the newest request with this eventId or inferenceId between two times, and the URI of its file.

    Returns None when there is none. The files are read from the newest to the oldest, so an old event is found sooner
    when its day is given.
    """
    end = until or stack.clock.now()
    needle, visited = event_id.encode(), set[str]()
    for start in [since] if since else [end - window for window in WINDOWS]:
        uris = [uri for uri in _list_files(stack, model, start, end) if uri not in visited]
        visited |= set(uris)
        newest_first = uris[::-1]
        with ThreadPoolExecutor(MAX_READERS) as pool:
            for first in range(0, len(uris), MAX_READERS):
                batch = newest_first[first : first + MAX_READERS]
                for uri, body in zip(batch, pool.map(stack.objects.get, batch), strict=True):
                    for request in reversed(list(read_capture(body)) if needle in body else []):
                        if event_id in (request.event_id, request.inference_id):
                            return request, uri
    return None


def _list_files(stack: StackContext, model: str, start: datetime, end: datetime, variant: str = VARIANT) -> list[str]:
    prefix = f"{capture_uri(stack, model)}/{stack.names(model).endpoint}/{variant}/"
    first, last = (f"{prefix}{time:%Y/%m/%d/%H/%M-%S}" for time in (start, end + timedelta(seconds=1)))
    infos = stack.objects.list(prefix, start_after=first)
    return [info.uri for info in takewhile(lambda info: info.uri <= last, infos)]


def _read_requests(stack: StackContext, newest_first: list[str]) -> Iterator[CapturedRequest]:
    """Reads the files in batches, so that no more files are read than needed."""
    with ThreadPoolExecutor(MAX_READERS) as pool:
        for first in range(0, len(newest_first), MAX_READERS):
            for body in pool.map(stack.objects.get, newest_first[first : first + MAX_READERS]):
                yield from reversed(list(read_capture(body)))
