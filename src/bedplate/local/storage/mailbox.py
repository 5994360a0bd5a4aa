"""Writes the e-mail that AWS would send: one .eml file for each message, in the state directory's `outbox`."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

SENDER = "no-reply@local.bedplate.example"


class Mailbox:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, to: str, subject: str, body: str, sent_at: float) -> Path:
        """Writes one message and returns its path; file names start with the time and contain the recipient."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = SENDER, to, " ".join(subject.split())
        date = datetime.fromtimestamp(sent_at, UTC)
        message["Date"] = format_datetime(date)
        message.set_content(body)
        digest = hashlib.sha256(f"{to}{subject}{body}{sent_at}".encode()).hexdigest()[:8]
        name = f"{date:%Y%m%dT%H%M%S%f}-{re.sub(r'[^A-Za-z0-9.@_-]', '_', to)}-{digest}.eml"
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / name
        path.write_bytes(bytes(message))
        return path
