"""Writes the executable by which the Pulumi CLI starts one of our providers: `pulumi-resource-<package>`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path


def write_launcher(
    directory: Path, package: str = "aws", *, provider: str = "bedplate.engine.plugin:aws", version: str = ""
) -> Path:
    """Write it for this very Python, and return its path; `directory` then belongs on PATH.

    `provider` is MODULE:FUNCTION, the function a factory from a package's name. Written anew only when it differs, and
    by a rename, so that a CLI at work never sees half of it.
    """
    words = [sys.executable, "-m", "bedplate.engine.plugin", "--package", package, "--provider", provider]
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
