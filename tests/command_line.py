"""Runs `bedplate` commands in this process."""

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
    """The exit code and output of a command."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


def run_bedplate(*args: str) -> CommandResult:
    """Runs `bedplate ...` in this process, with its environment."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with redirect_stdout(stdout), redirect_stderr(stderr), pytest.raises(SystemExit) as exit_info:
        main(args)
    return CommandResult(int(exit_info.value.code or 0), stdout.getvalue(), stderr.getvalue())
