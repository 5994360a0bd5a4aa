"""Identifies the caller: account, ARN, and the actor that the ledger records."""

from __future__ import annotations

import getpass
import os
import subprocess

from bedplate.aws.session import Session
from bedplate.ports import Identity


def get_identity(session: Session) -> Identity:
    """Returns account and ARN from STS, and the actor for the ledger.

    On AWS the actor is what STS authenticated: the session name of an assumed role, else the user name. The local
    platform authenticates no one, so there it is `session.actor`, else `claimed_actor()`.
    Raises PlatformError without credentials.
    """
    caller = session.caller_identity()
    arn = caller["Arn"]
    actor = (session.actor or claimed_actor()) if session.endpoint_url else actor_of(arn)
    return Identity(caller["Account"], session.region, arn, actor, session.endpoint_url)


def actor_of(arn: str) -> str:
    """Returns the last part of an STS ARN: the session name or the user name.

    >>> actor_of("arn:aws:sts::123456789012:assumed-role/approver/ada@example.com")
    'ada@example.com'
    >>> actor_of("arn:aws:iam::123456789012:user/teams/ml/grace"), actor_of("arn:aws:iam::123456789012:root")
    ('grace', 'root')
    """
    return arn.rpartition(":")[2].rpartition("/")[2]


def claimed_actor() -> str:
    """Returns the actor that this machine claims: BEDPLATE_ACTOR, else git's user.email, else the login name."""
    return os.environ.get("BEDPLATE_ACTOR") or _git_email() or getpass.getuser()


def _git_email() -> str | None:
    try:
        run = subprocess.run(["git", "config", "user.email"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() or None
