"""CloudTrail's event history: the calls that changed something, with their callers and resources."""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bedplate.local.storage.database import Database
from bedplate.local.trail.calls import ApiCall, ApiRequest, parse_call

MAX_EVENTS = 20_000
"""Number of events to keep; the oldest are deleted first. AWS keeps 90 days."""
RETENTION_DAYS = 90
_PRUNE_EVERY = 1_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, at REAL NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL,
    username TEXT NOT NULL, access_key TEXT NOT NULL, data_event INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_at ON events (at);
CREATE TABLE IF NOT EXISTS resources (seq INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS resources_name ON resources (name);
CREATE INDEX IF NOT EXISTS resources_seq ON resources (seq);
"""
_CONDITIONS = {
    "ReadOnly": "? <> 'true'",  # the history has no read-only events
    "EventId": "id = ?",
    "EventName": "name = ?",
    "EventSource": "source = ?",
    "Username": "username = ?",
    "AccessKeyId": "access_key = ?",
    "ResourceName": "seq IN (SELECT seq FROM resources WHERE name = ?)",
    "ResourceType": "seq IN (SELECT seq FROM resources WHERE kind = ?)",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `body` is CloudTrail's JSON record of it (`eventVersion` 1.10)."""

    seq: int
    time: float
    is_data_event: bool
    body: dict[str, Any]
    resources: tuple[tuple[Any, ...], ...]
    """(type, name) pairs."""


class EventHistory:
    """`record` only queues a request; `write_pending`, called by a loop and before each lookup, parses and stores.

    `find_identity` returns the CloudTrail userIdentity of an access key, or None.
    """

    def __init__(
        self,
        path: Path,
        account_id: str,
        now: Callable[[], float],
        find_identity: Callable[[str], Mapping[str, Any] | None] = lambda _: None,
    ) -> None:
        self._db = Database(path, _SCHEMA)
        self._account, self._now, self.find_identity = account_id, now, find_identity
        self._pending: deque[ApiRequest] = deque()
        self._since_pruned = 0
        self.is_recorded: Callable[[ApiCall], bool] = lambda _: False
        """Whether a trail's selectors match this data event."""

    def record(self, request: ApiRequest) -> None:
        self._pending.append(request)

    def write_pending(self) -> None:
        """Writes the queued requests, in one transaction."""
        while self._pending:
            try:
                request = self._pending.popleft()
            except IndexError:  # another thread took the last one
                break
            call = parse_call(request)
            if call is not None and (not call.is_data_event or self.is_recorded(call)):
                self._insert(call)
        if self._since_pruned >= _PRUNE_EVERY:
            self._prune()
        self._db.commit()

    def close(self) -> None:
        self.write_pending()
        self._db.close()

    def lookup(
        self,
        attributes: Iterable[tuple[str, str]] = (),
        *,
        since: float | None = None,
        until: float | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> list[Event]:
        """Returns the management events that match all attributes (CloudTrail's names), newest first.

        `since` and `until` are epoch seconds, both inclusive; only events before the number `before` are returned.
        """
        self.write_pending()
        conditions: list[str] = ["data_event = 0"]
        values: list[Any] = []
        for key, value in attributes:
            conditions.append(_CONDITIONS[key])
            values.append(value)
        for condition, bound in (("at >= ?", since), ("at <= ?", until), ("seq < ?", before)):
            if bound is not None:
                conditions.append(condition)
                values.append(bound)
        return self._events(f"WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?", (*values, limit))

    def list_after(self, seq: int, limit: int = 500) -> list[Event]:
        """Returns the events after the number `seq`, oldest first, with data events: for trails."""
        self.write_pending()
        return self._events("WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))

    @property
    def last_seq(self) -> int:
        """The number of the newest event; 0 without events."""
        self.write_pending()
        return int(self._db.rows("SELECT COALESCE(MAX(seq), 0) FROM events")[0][0])

    def _events(self, clause: str, values: tuple[Any, ...]) -> list[Event]:
        rows = self._db.rows(f"SELECT seq, at, data_event, body FROM events {clause}", values)
        return [
            Event(seq, at, bool(is_data_event), json.loads(body), self._list_resources(seq))
            for seq, at, is_data_event, body in rows
        ]

    def _list_resources(self, seq: int) -> tuple[tuple[Any, ...], ...]:
        return tuple(self._db.rows("SELECT kind, name FROM resources WHERE seq = ? ORDER BY rowid", (seq,)))

    def _insert(self, call: ApiCall) -> None:
        event_id = str(uuid.uuid4())
        identity = self._identity(call)
        username = str(identity.get("userName") or identity.get("principalId", "").rpartition(":")[2])
        body = {
            "eventVersion": "1.10",
            "userIdentity": identity,
            "eventTime": datetime.fromtimestamp(call.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": call.source,
            "eventName": call.name,
            "awsRegion": call.region,
            "sourceIPAddress": "127.0.0.1",
            "userAgent": call.user_agent,
            **({"errorCode": call.error} if call.error else {}),
            "requestParameters": dict(call.parameters),
            "responseElements": None,
            "eventID": event_id,
            "readOnly": False,
            "resources": [{"type": kind, "ARN": name} for kind, name in call.resources if name.startswith("arn:")],
            "eventType": "AwsApiCall",
            "managementEvent": not call.is_data_event,
            "recipientAccountId": self._account,
            "eventCategory": "Data" if call.is_data_event else "Management",
        }
        seq = self._db.write(
            "INSERT INTO events (id, at, name, source, username, access_key, data_event, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (event_id, call.time, call.name, call.source, username, call.access_key, int(call.is_data_event),
             json.dumps(body)),
        )  # fmt: skip
        self._db.write_many("INSERT INTO resources VALUES (?, ?, ?)", [(seq, *pair) for pair in call.resources])
        self._since_pruned += 1

    def _identity(self, call: ApiCall) -> dict[str, Any]:
        """Returns the key's user or role, else a user named by bedplate's User-Agent, else one named by the key."""
        identity = self.find_identity(call.access_key)
        if identity is not None:
            return {**identity, "accountId": self._account, "accessKeyId": call.access_key}
        name = call.actor or call.access_key or "anonymous"
        return {
            "type": "IAMUser",
            "principalId": name,
            "arn": f"arn:aws:iam::{self._account}:user/{name}",
            "accountId": self._account,
            "accessKeyId": call.access_key,
            "userName": name,
        }

    def _prune(self) -> None:
        self._since_pruned = 0
        newest = int(self._db.rows("SELECT COALESCE(MAX(seq), 0) FROM events")[0][0])
        oldest = (newest - MAX_EVENTS, self._now() - RETENTION_DAYS * 86400)
        self._db.write("DELETE FROM events WHERE seq <= ? OR at < ?", oldest)
        self._db.write("DELETE FROM resources WHERE seq NOT IN (SELECT seq FROM events)")
