"""What the image is called that this repository builds: by the stack's `image_tag`, or by a tag of what is in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bedplate import __version__
from bedplate.settings.stack import StackSettings

LOCK_FILES = ("requirements/bedplate.lock", "requirements.lock")
_BUILT_FROM = ("Dockerfile", *LOCK_FILES)
_DIGITS = 8


def image_tag(project_dir: Path, settings: StackSettings) -> str:
    """`image_tag` of the stack's file; else `<Bedplate's version>-<8 digits of the SHA-256 of Dockerfile and lock>`.

    A repository's tags are immutable, so a default must change whenever the image does. A project without either file
    gets the version alone.
    """
    if settings.image_tag:
        return settings.image_tag
    digest = hashlib.sha256()
    found = [path for name in _BUILT_FROM if (path := project_dir / name).is_file()]
    for path in found:
        digest.update(f"{path.relative_to(project_dir).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return f"{__version__}-{digest.hexdigest()[:_DIGITS]}" if found else __version__


def image_name(project_dir: Path, project: str, stack: str, settings: StackSettings) -> str:
    """What is built, tagged and pushed: with the registry's address where the stack file names the account."""
    name = f"{project}-{stack}:{image_tag(project_dir, settings)}"
    if settings.account_id is None:
        return name
    return f"{settings.account_id}.dkr.ecr.{settings.region}.amazonaws.com/{name}"
