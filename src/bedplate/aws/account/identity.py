"""Where and as whom we are at work."""

from __future__ import annotations

import getpass
import os
import subprocess

from bedplate.aws.session import Session
from bedplate.ports import Identity


def whoami(session: Session) -> Identity:
    """Account and ARN as STS has them, and the person that the ledger will name.

    On AWS the person is what STS vouches for: the session's name of an assumed role, the user's name otherwise. On a
    laptop nobody vouches, so it is BEDPLATE_ACTOR, else git's user.email, else the name one is signed in with.
    Raises PlatformError without credentials.
    """
    caller = session.caller()
    arn = caller["Arn"]
    person = (session.actor or claimed()) if session.endpoint_url else person_of(arn)
    return Identity(caller["Account"], session.region, arn, person, session.endpoint_url)


def person_of(arn: str) -> str:
    """The last part of an STS ARN: session or user name.

    >>> person_of("arn:aws:sts::123456789012:assumed-role/approver/ada@example.com")
    'ada@example.com'
    >>> person_of("arn:aws:iam::123456789012:user/teams/ml/grace"), person_of("arn:aws:iam::123456789012:root")
    ('grace', 'root')
    """
    return arn.rpartition(":")[2].rpartition("/")[2]


def claimed() -> str:
    """Who somebody on a laptop says they are: BEDPLATE_ACTOR, else git's user.email, else the name signed in with."""
    return os.environ.get("BEDPLATE_ACTOR") or _git_email() or getpass.getuser()


def _git_email() -> str | None:
    try:
        done = subprocess.run(["git", "config", "user.email"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
