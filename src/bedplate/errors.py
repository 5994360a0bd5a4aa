"""The exceptions of Bedplate, and the exit code that the command line returns for each.

    BedplateError                     1   the command failed
    ├── UsageError                    2   the command, or a file that it reads, is wrong
    │   ├── SettingsError             2   a stack file or model.yaml is invalid
    │   ├── UnsupportedFormat         2   a stored document has a format that this version does not read
    │   └── NotFound                  2   a model, version, stack or release does not exist
    ├── GateFailed                    3   a gate failed, or drift was found
    ├── ApprovalNeeded                4   a person has to approve first
    ├── RolledBack                    5   the deployment was rolled back automatically
    ├── NotEnoughData                 6   there is too little data for a verdict
    ├── Locked                        7   another command is running on the same stack or model
    ├── OverBudget                    8   a budget is, or would be, exceeded
    └── PlatformError                 1   AWS, or the local platform, rejected a call or failed
        ├── Conflict                  1   the resource already exists, or changed in the meantime
        ├── Denied                    1   the caller lacks a permission
        └── JobFailed                 1   a training or processing job failed

Only `bedplate.cli` turns these into exit codes. Adapters raise them `from` the foreign exception.
"""

from __future__ import annotations


class BedplateError(Exception):
    """`message` says what happened and where; the CLI prints the command `next_step` on a line of its own.

    >>> print(BedplateError("there is no model x", next_step="bedplate models list"))
    there is no model x
    """

    exit_code = 1

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class UsageError(BedplateError):
    exit_code = 2


class SettingsError(UsageError):
    """A user's file is invalid; `problems` holds one line for each error: file, key, what was expected."""

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), next_step: str | None = None) -> None:
        super().__init__("\n".join([message, *(f"  {p}" for p in problems)]), next_step=next_step)
        self.problems = problems


class NotFound(UsageError):
    pass


class UnsupportedFormat(UsageError, ValueError):
    """A stored JSON document was written in a format that this version does not read."""


class GateFailed(BedplateError):
    exit_code = 3


class ApprovalNeeded(BedplateError):
    exit_code = 4


class RolledBack(BedplateError):
    """`evidence` holds the lines to print below the message: the graph of the alarm."""

    exit_code = 5

    def __init__(self, message: str, *, next_step: str | None = None, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(message, next_step=next_step)
        self.evidence = evidence


class NotEnoughData(BedplateError):
    exit_code = 6


class Locked(BedplateError):
    exit_code = 7


class OverBudget(BedplateError):
    exit_code = 8


class PlatformError(BedplateError):
    pass


class Conflict(PlatformError):
    pass


class Denied(PlatformError):
    pass


class JobFailed(PlatformError):
    pass
