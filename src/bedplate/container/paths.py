"""Locates SageMaker's `/opt/ml` directories, which BEDPLATE_CONTAINER_ROOT moves to another folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

CONTAINER_ROOT = "BEDPLATE_CONTAINER_ROOT"
OPT_ML = Path("/opt/ml")


def root(environment: Mapping[str, str] = os.environ) -> Path:
    """Returns the folder that stands for `/opt/ml`.

    >>> root({}).as_posix(), root({"BEDPLATE_CONTAINER_ROOT": "/tmp/job"}).as_posix()
    ('/opt/ml', '/tmp/job')
    """
    return Path(environment.get(CONTAINER_ROOT) or OPT_ML)


def relocate(path: str, root_dir: Path) -> Path:
    """Returns a path at or below `/opt/ml` moved to `root_dir`; any other path unchanged.

    >>> relocate("/opt/ml/processing/input", Path("/tmp/job")).as_posix()
    '/tmp/job/processing/input'
    >>> relocate("/elsewhere", Path("/tmp/job")).as_posix()
    '/elsewhere'
    """
    source = Path(path)
    return root_dir / source.relative_to(OPT_ML) if source.is_relative_to(OPT_ML) else source
