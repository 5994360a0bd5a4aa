"""The account's event history: every call that changed something, who made it and what it touched (CloudTrail)."""

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
from bedplate.local.trail.calls import ApiCall, ApiRequest, read

KEPT = 20_000
"""Events; the oldest go first. AWS keeps 90 days."""
DAYS = 90
_PRUNE_EVERY = 1_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, at REAL NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL,
    username TEXT NOT NULL, access_key TEXT NOT NULL, data_event INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_at ON events (at);
CREATE TABLE IF NOT EXISTS touched (seq INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS touched_name ON touched (name);
CREATE INDEX IF NOT EXISTS touched_seq ON touched (seq);
"""
_COLUMNS = {
    "EventId": "id = ?",
    "EventName": "name = ?",
    "EventSource": "source = ?",
    "Username": "username = ?",
    "AccessKeyId": "access_key = ?",
    "ResourceName": "seq IN (SELECT seq FROM touched WHERE name = ?)",
    "ResourceType": "seq IN (SELECT seq FROM touched WHERE kind = ?)",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `body` is CloudTrail's record of it (`eventVersion` 1.10), as a dict."""

    seq: int
    at: float
    data_event: bool
    body: dict[str, Any]
    resources: tuple[tuple[str, str], ...]


class EventHistory:
    """`note` is called for every request and only remembers; `drain`, on a loop and before a look, reads and keeps.

    `person` answers who an access key belongs to: a userIdentity of CloudTrail, or None.
    """

    def __init__(
        self,
        path: Path,
        account_id: str,
        now: Callable[[], float],
        person: Callable[[str], Mapping[str, Any] | None] = lambda _: None,
    ) -> None:
        self._db = Database(path, _SCHEMA)
        self._account, self._now, self.person = account_id, now, person
        self._waiting: deque[ApiRequest] = deque()
        self._since_pruned = 0
        self.keep_data_event: Callable[[ApiCall], bool] = lambda _: False
        """Whether some trail's selectors ask for this data event."""

    def note(self, request: ApiRequest) -> None:
        self._waiting.append(request)

    def drain(self) -> None:
        """Keep what was noted: one transaction for all of it."""
        while self._waiting:
            try:
                request = self._waiting.popleft()
            except IndexError:  # another thread took the last one
                break
            call = read(request)
            if call is not None and (not call.data_event or self.keep_data_event(call)):
                self._keep(call)
        if self._since_pruned >= _PRUNE_EVERY:
            self._prune()
        self._db.commit()

    def close(self) -> None:
        self.drain()
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
        """Management events, newest first: those of all attributes (CloudTrail's names of them), between two moments
        (epoch seconds, both included), older than the event of the number `before`."""
        self.drain()
        wheres: list[str] = ["data_event = 0"]
        values: list[Any] = []
        for key, value in attributes:
            if key == "ReadOnly":
                wheres.append("0" if value == "true" else "1")
                continue
            wheres.append(_COLUMNS[key])
            values.append(value)
        for clause, bound in (("at >= ?", since), ("at <= ?", until), ("seq < ?", before)):
            if bound is not None:
                wheres.append(clause)
                values.append(bound)
        return self._events(f"WHERE {' AND '.join(wheres)} ORDER BY seq DESC LIMIT ?", (*values, limit))

    def after(self, seq: int, limit: int = 500) -> list[Event]:
        """What came after an event, data events too, oldest first: for the trails that deliver to a bucket."""
        self.drain()
        return self._events("WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))

    @property
    def last(self) -> int:
        """The number of the newest event, 0 when there is none."""
        self.drain()
        return int(self._db.rows("SELECT COALESCE(MAX(seq), 0) FROM events")[0][0])

    def _events(self, clause: str, values: tuple[Any, ...]) -> list[Event]:
        rows = self._db.rows(f"SELECT seq, at, data_event, body FROM events {clause}", values)
        return [Event(seq, at, bool(data), json.loads(body), tuple(self._touched(seq))) for seq, at, data, body in rows]

    def _touched(self, seq: int) -> list[tuple[str, str]]:
        rows = self._db.rows("SELECT kind, name FROM touched WHERE seq = ? ORDER BY rowid", (seq,))
        return [(kind, name) for kind, name in rows]

    def _keep(self, call: ApiCall) -> None:
        event_id = str(uuid.uuid4())
        identity = self._identity(call)
        username = str(identity.get("userName") or identity.get("principalId", "").rpartition(":")[2])
        body = {
            "eventVersion": "1.10",
            "userIdentity": identity,
            "eventTime": datetime.fromtimestamp(call.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
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
            "managementEvent": not call.data_event,
            "recipientAccountId": self._account,
            "eventCategory": "Data" if call.data_event else "Management",
        }
        seq = self._db.write(
            "INSERT INTO events (id, at, name, source, username, access_key, data_event, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (event_id, call.at, call.name, call.source, username, call.access_key, int(call.data_event),
             json.dumps(body)),
        )  # fmt: skip
        self._db.write_many("INSERT INTO touched VALUES (?, ?, ?)", [(seq, *each) for each in call.resources])
        self._since_pruned += 1

    def _identity(self, call: ApiCall) -> dict[str, Any]:
        """Whom the key belongs to; else the person that the client names, as bedplate's commands do; else the key."""
        known = self.person(call.access_key)
        if known is not None:
            return {**known, "accountId": self._account, "accessKeyId": call.access_key}
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
        oldest = (newest - KEPT, self._now() - DAYS * 86400)
        self._db.write("DELETE FROM events WHERE seq <= ? OR at < ?", oldest)
        self._db.write("DELETE FROM touched WHERE seq NOT IN (SELECT seq FROM events)")
