"""Writes the executable by which the Pulumi CLI starts one of our providers: `pulumi-resource-<package>`.

`bedplate up --engine pulumi` does so by itself; for a `pulumi` typed by hand:

    python -m bedplate.engine.automation.launcher .bedplate/state/plugins
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path


def write_launcher(
    directory: Path, package: str = "aws", *, provider: str = "bedplate.engine.automation.plugin:aws", version: str = ""
) -> Path:
    """Write it for this very Python, and return its path; `directory` then belongs on PATH.

    `provider` is MODULE:FUNCTION, the function a factory from a package's name. Written anew only when it differs, and
    by a rename, so that a CLI at work never sees half of it.
    """
    words = [sys.executable, "-m", "bedplate.engine.automation.plugin", "--package", package, "--provider", provider]
    words += ["--version", version] if version else []
    text = f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'
    path = directory / f"pulumi-resource-{package}"
    if path.exists() and path.read_text(encoding="utf-8") == text and os.access(path, os.X_OK):
        return path
    directory.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.chmod(0o755)
    temporary.replace(path)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bedplate.engine.automation.launcher", description="Write pulumi-resource-aws."
    )
    parser.add_argument("directory", type=Path, help="the folder to put on PATH")
    sys.stdout.write(f"{write_launcher(parser.parse_args(arguments).directory.resolve())}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
