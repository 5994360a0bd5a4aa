"""What can go wrong, and with which exit code the command line says so.

    BedplateError                     1   something failed
    ├── UsageError                    2   the command, or a file it reads, is wrong
    │   ├── SettingsError             2   a stack file or model.yaml does not say what it must
    │   └── NotFound                  2   a model, version, stack or release that does not exist
    ├── GateFailed                    3   a gate did not open, or drift was found
    ├── ApprovalNeeded                4   a person has to say yes first
    ├── RolledBack                    5   the platform put the old release back by itself
    ├── NotEnoughData                 6   no verdict: too little data to judge
    ├── Locked                        7   somebody else is at work
    ├── OverBudget                    8   the money is, or would be, gone
    └── PlatformError                 1   AWS, or the local platform, refused or failed
        ├── Conflict                  1   the thing changed, or exists, under our hands
        ├── Denied                    1   the identity at work may not do this
        └── JobFailed                 1   a training or processing job ended in failure

Only `bedplate.cli` turns these into exit codes. Adapters raise them `from` the foreign exception.
"""

from __future__ import annotations


class BedplateError(Exception):
    """What happened and where; `next_step` is the command to type next, printed on a line of its own.

    >>> print(BedplateError("no such thing", next_step="bedplate models list"))
    no such thing
    """

    exit_code = 1

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class UsageError(BedplateError):
    exit_code = 2


class SettingsError(UsageError):
    """A file of the user's is wrong; `problems` holds one line for each fault: file, key, what was expected."""

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), next_step: str | None = None) -> None:
        super().__init__("\n".join([message, *(f"  {p}" for p in problems)]), next_step=next_step)
        self.problems = problems


class NotFound(UsageError):
    pass


class GateFailed(BedplateError):
    exit_code = 3


class ApprovalNeeded(BedplateError):
    exit_code = 4


class RolledBack(BedplateError):
    """`evidence` is what the message rests on, as lines to print below it: the graph of the alarm."""

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
