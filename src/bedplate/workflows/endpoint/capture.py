"""Reads the latest captured requests and answers of a model, without listing everything there ever was."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from bedplate.domain.data.capture import CapturedRequest, read
from bedplate.domain.names import VARIANT
from bedplate.domain.release import version_told
from bedplate.workflows.stack_context import StackContext

READERS = 16
OURS = "bedplate-"
"""InferenceIds of requests that we sent to see who answers; they are no customer's, and are not read."""
WINDOWS = (timedelta(minutes=10), timedelta(hours=2), timedelta(days=2), timedelta(days=30), timedelta(days=400))
"""How far back is looked, until enough is found."""


def capture_uri(stack: StackContext, model: str) -> str:
    """Where the data capture of a release is sent; SageMaker adds endpoint, variant and time."""
    return f"s3://{stack.outputs.capture_bucket}/{stack.names(model).capture_prefix}".rstrip("/")


def latest(
    stack: StackContext,
    model: str,
    *,
    answers: int,
    version: int | None = None,
    until: datetime | None = None,
    since: datetime | None = None,
    variant: str = VARIANT,
) -> tuple[CapturedRequest, ...]:
    """The newest records that together hold at least `answers` answers, oldest first; fewer when there are not more.

    With `version` only those that a release of that version answered (a version that was released twice is one model),
    with `until` only those up to then, with `since` only those from then on. `variant` is the champion's or another's.
    """
    end = until or stack.clock.now()
    found: list[CapturedRequest] = []
    seen: set[str] = set()
    count = 0
    for start in [since] if since else [end - window for window in WINDOWS]:
        uris = [uri for uri in _files(stack, model, start, end, variant) if uri not in seen]
        seen |= set(uris)
        for record in _records(stack, list(reversed(uris))):
            if (record.inference_id or "").startswith(OURS):
                continue
            if (version is None or (record.release and version_told(record.release) == version)) and (
                since is None or record.at >= since
            ):
                found.append(record)
                count += len(record.answers)
            if count >= answers:
                return tuple(sorted(found, key=lambda r: r.at))
    return tuple(sorted(found, key=lambda r: r.at))


def find_event(
    stack: StackContext, model: str, event_id: str, *, since: datetime | None = None, until: datetime | None = None
) -> tuple[CapturedRequest, str] | None:
    """The newest record of this eventId or inferenceId between two times, with the file it is in; None without one.

    Captured files are read from the newest back, so an event of long ago is found sooner when its day is given.
    """
    end = until or stack.clock.now()
    wanted, seen = event_id.encode(), set[str]()
    for start in [since] if since else [end - window for window in WINDOWS]:
        uris = [uri for uri in _files(stack, model, start, end) if uri not in seen]
        seen |= set(uris)
        newest_first = uris[::-1]
        with ThreadPoolExecutor(READERS) as pool:
            for at in range(0, len(uris), READERS):
                batch = newest_first[at : at + READERS]
                for uri, body in zip(batch, pool.map(stack.objects.get, batch), strict=True):
                    for record in reversed(list(read(body)) if wanted in body else []):
                        if event_id in (record.event_id, record.inference_id):
                            return record, uri
    return None


def _files(stack: StackContext, model: str, start: datetime, end: datetime, variant: str = VARIANT) -> list[str]:
    names = stack.names(model)
    prefix = f"{capture_uri(stack, model)}/{names.endpoint}/{variant}/"
    first, last = (f"{prefix}{moment:%Y/%m/%d/%H/%M-%S}" for moment in (start, end + timedelta(seconds=1)))
    found = []
    for info in stack.objects.list(prefix, after=first):
        if info.uri > last:
            break
        found.append(info.uri)
    return found


def _records(stack: StackContext, newest_first: list[str]) -> Iterator[CapturedRequest]:
    """A batch of files at a time, so that no more is read than is wanted."""
    with ThreadPoolExecutor(READERS) as pool:
        for at in range(0, len(newest_first), READERS):
            for body in pool.map(stack.objects.get, newest_first[at : at + READERS]):
                yield from reversed(list(read(body)))
