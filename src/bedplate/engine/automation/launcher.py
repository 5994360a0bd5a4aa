"""Writes the executable with which the Pulumi CLI starts one of our providers: `pulumi-resource-<package>`.

`bedplate up --engine pulumi` writes it automatically; to use `pulumi` directly:

    python -m bedplate.engine.automation.launcher .bedplate/state/plugins
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from bedplate.engine.atomic_file import write_atomically


def write_launcher(
    directory: Path,
    package: str = "aws",
    *,
    provider: str = "bedplate.engine.automation.local_provider:build_aws_provider",
    version: str = "",
) -> Path:
    """Writes the launcher for the current Python and returns its path; add `directory` to PATH.

    `provider` is MODULE:FUNCTION, where the function takes a package name and returns a provider. Rewrites only a
    launcher that differs, and atomically, because a CLI may be running.
    """
    command = [sys.executable, "-m", "bedplate.engine.automation.plugin", "--package", package, "--provider", provider]
    command += ["--version", version] if version else []
    text = f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n'
    path = directory / f"pulumi-resource-{package}"
    if path.exists() and path.read_text(encoding="utf-8") == text and os.access(path, os.X_OK):
        return path
    write_atomically(path, text.encode(), mode=0o755)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the launcher into the directory of the command line and prints its path."""
    parser = argparse.ArgumentParser(
        prog="python -m bedplate.engine.automation.launcher", description="Writes pulumi-resource-aws."
    )
    parser.add_argument("directory", type=Path, help="the folder to put on PATH")
    sys.stdout.write(f"{write_launcher(parser.parse_args(arguments).directory.resolve())}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
