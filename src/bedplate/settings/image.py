"""Name and tag of the container image that this repository builds."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bedplate import __version__
from bedplate.settings.stack import StackSettings

LOCK_FILES = ("requirements/bedplate.lock", "requirements.lock")
_BUILD_FILES = ("Dockerfile", *LOCK_FILES)
_DIGITS = 8


def image_tag(project_dir: Path, settings: StackSettings) -> str:
    """Returns the stack file's `image_tag`, or `<Bedplate's version>-<8 digits of the SHA-256 of Dockerfile and lock>`.

    Tags of the ECR repository are immutable, so the default must change whenever the image does. A project without
    Dockerfile and lock files gets the version alone.
    """
    if settings.image_tag:
        return settings.image_tag
    digest = hashlib.sha256()
    paths = [path for name in _BUILD_FILES if (path := project_dir / name).is_file()]
    for path in paths:
        digest.update(f"{path.relative_to(project_dir).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return f"{__version__}-{digest.hexdigest()[:_DIGITS]}" if paths else __version__


def image_name(project_dir: Path, project: str, stack: str, settings: StackSettings) -> str:
    """Returns the name to build and push, with the registry's address when the stack file has an `account_id`."""
    name = f"{project}-{stack}:{image_tag(project_dir, settings)}"
    if settings.account_id is None:
        return name
    return f"{settings.account_id}.dkr.ecr.{settings.region}.amazonaws.com/{name}"
