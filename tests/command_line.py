"""What a person types, and what comes back."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

from bedplate.cli import main


@dataclass(frozen=True)
class CommandResult:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


def run_bedplate(*args: str) -> CommandResult:
    """`bedplate ...` in this process."""
    output, err = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(args)
    return CommandResult(int(ended.value.code or 0), output.getvalue(), err.getvalue())
